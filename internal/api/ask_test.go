package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// policies answers questions and notes the last one.
type policies struct {
	last authority.Ask
	deny error
}

func (p *policies) Authorize(_ context.Context, ask *authority.Ask) error {
	p.last = *ask
	return p.deny
}

// What is asked about streams that are there and that are not, by name and by ARN: the
// denial has the words of the caller, so it is the same for both.
func TestQuestionsAboutStreams(t *testing.T) {
	h := newHouse(t, nil, describe(nil, nil))
	p := &policies{}
	h.front.o.Authorizer = p
	gone, others := yard.ARN(), yard.ARN()
	gone.Code = "5"
	others.Account = "999999999999"
	for _, c := range []struct {
		name, body, resource, shown string
		owner                       kvs.AccountID
		status                      int
	}{
		{"there", named, yard.ARN().String(), "yard", account, 200},
		{"there, by ARN", `{"StreamARN":"` + yard.ARN().String() + `"}`, yard.ARN().String(), yard.ARN().String(), account, 200},
		{"not there", `{"StreamName":"barn"}`, "arn:aws:kinesisvideo:us-east-1:111122223333:stream/barn/0", "barn", "", 404},
		{"not there, by ARN", `{"StreamARN":"` + gone.String() + `"}`, gone.String(), gone.String(), "", 404},
		{"another's", `{"StreamARN":"` + others.String() + `"}`, others.String(), others.String(), "", 404},
	} {
		p.deny = nil
		if x := h.send(h.request("/describeStream", c.body, nil, nil)); x.status != c.status {
			t.Errorf("%s: %d %s", c.name, x.status, x.body)
		}
		got := []string{p.last.Resource, p.last.Shown, string(p.last.Owner), string(p.last.Action)}
		if d := cmp.Diff([]string{c.resource, c.shown, string(c.owner), "kinesisvideo:DescribeStream"}, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		p.deny = &authority.Denial{Reason: kvs.Errorf(kvs.Denied, "No."), Sealed: "why"}
		x := h.send(h.request("/describeStream", c.body, nil, nil))
		if x.status != 403 || x.body != `{"Message":"No."}` || x.header["X-Millrace-Authorization-Message"] != "why" {
			t.Errorf("%s: %d %v %s", c.name, x.status, x.header, x.body)
		}
	}
	if p.last.Request.Region != "us-east-1" || p.last.Request.Secure || !p.last.Request.Source.IsLoopback() || p.last.Principal.AccessKey != caller.AccessKey {
		t.Errorf("%+v", p.last.Request)
	}
}

// X-Forwarded-For counts when a trusted proxy says it, and as far as trusted ones say it.
func TestWhereCallsComeFrom(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"nobody between", "192.0.2.1:5000", nil, "192.0.2.1"},
		{"a stranger claims", "192.0.2.1:5000", []string{"198.51.100.1"}, "192.0.2.1"},
		{"a proxy says", "10.0.0.1:5000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"in front of it a claim", "10.0.0.1:5000", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:5000", []string{"203.0.113.9, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"in two lines", "10.0.0.1:5000", []string{"203.0.113.9, 198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"proxies alone", "10.0.0.1:5000", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"nothing said", "10.0.0.1:5000", nil, "10.0.0.1"},
		{"nonsense", "10.0.0.1:5000", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"with a port", "10.0.0.1:5000", []string{"198.51.100.1:443"}, "198.51.100.1"},
		{"version 6", "[2001:db8::1]:5000", []string{"[2001:db9::7]:443"}, "2001:db9::7"},
		{"version 4 in 6", "[::ffff:10.0.0.1]:5000", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
	} {
		f := &Front{o: Options{Proxies: func() []netip.Prefix { return trusted }}}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := f.Source(r); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if (&Front{}).Source(&http.Request{RemoteAddr: "pipe"}).IsValid() {
		t.Error("a peer without an address has one")
	}
}

// The tags and the range of time of a call are condition keys.
func TestKeysOfACall(t *testing.T) {
	text := func(s string) *string { return &s }
	span := Span{Start: 1_735_442_939_457, Open: true, Clock: kvs.ProducerClock}
	for _, c := range []struct {
		name string
		call Call
		want map[string]string // "-" = absent
	}{
		{"create", Call{Input: &wire.CreateStreamInput{Tags: map[string]string{"Site": "north"}}},
			map[string]string{"aws:requesttag/site": "north", "aws:requesttag/other": "-", "aws:tagkeys": "Site", "millrace:rangestart": "-"}},
		{"tag", Call{Input: &wire.TagResourceInput{Tags: []wire.Tag{{Key: text("a"), Value: text("1")}, {Key: text("b"), Value: text("2")}}}},
			map[string]string{"aws:requesttag/b": "2", "aws:tagkeys": "a b"}},
		{"a name that looks like another", Call{Input: &wire.CreateStreamInput{Tags: map[string]string{"Ta\u017fk": "watch"}}}, map[string]string{"aws:requesttag/task": "-"}},
		{"untag", Call{Input: &wire.UntagStreamInput{TagKeyList: []string{"a", "b"}}}, map[string]string{"aws:tagkeys": "a b", "aws:requesttag/a": "-"}},
		{"no tags", Call{Input: &wire.DescribeStreamInput{}}, map[string]string{"aws:tagkeys": "-", "aws:requesttag/a": "-"}},
		{"range", Call{span: func(*Call) (Span, bool) { return span, true }},
			map[string]string{"millrace:rangestart": "2024-12-29T03:28:59.457Z", "millrace:rangeend": "-", "millrace:rangeclock": "PRODUCER_TIMESTAMP", "millrace:rangecolour": "-"}},
		{"closed range", Call{span: func(*Call) (Span, bool) { return Span{End: 1000}, true }},
			map[string]string{"millrace:rangestart": "1970-01-01T00:00:00.000Z", "millrace:rangeend": "1970-01-01T00:00:01.000Z", "millrace:rangeclock": "SERVER_TIMESTAMP"}},
		{"no range", Call{span: func(*Call) (Span, bool) { return span, false }}, map[string]string{"millrace:rangestart": "-", "millrace:rangeclock": "-"}},
	} {
		for key, want := range c.want {
			values, found := (*callKeys)(&c.call).Lookup(key)
			slices.Sort(values)
			got := strings.Join(values, " ")
			if !found {
				got = "-"
			}
			if got != want {
				t.Errorf("%s: %s is %q, want %q", c.name, key, got, want)
			}
		}
	}
}

// rooms are all that a long call asks again, for a test that changes them meanwhile.
type rooms struct {
	mu         sync.Mutex
	gone       bool // the key
	fail, deny error
	last       authority.Ask
	asked      int
}

func (r *rooms) set(change func(*rooms)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

func (r *rooms) Identify(context.Context, string, string) (p kvs.Principal, secret string, found bool, err error) {
	return p, "", false, nil
}

func (r *rooms) Still(context.Context, *kvs.Principal) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.gone, r.fail
}

func (r *rooms) ByName(context.Context, kvs.AccountID, string) (kvs.Stream, error) { return yard, nil }

func (r *rooms) ByARN(context.Context, kvs.AccountID, kvs.ARN) (kvs.Stream, error) { return yard, nil }

func (r *rooms) Authorize(_ context.Context, ask *authority.Ask) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = *ask
	r.asked++
	return r.deny
}

// A long call is asked about every 20 s, and ends when the answer is no: because the key is
// gone, or because a policy says so. Trouble with the stores ends none.
func TestLongCallsAreAskedAboutAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rooms)
		ends   bool
	}{
		{"nothing changes", func(*rooms) {}, false},
		{"the key goes", func(r *rooms) { r.gone = true }, true},
		{"a policy changes", func(r *rooms) { r.deny = &authority.Denial{Reason: kvs.Errorf(kvs.Denied, "No.")} }, true},
		{"the keys cannot be read", func(r *rooms) { r.fail = errors.New("disk") }, false},
		{"the policies cannot be read", func(r *rooms) { r.deny = errors.New("disk") }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &rooms{}
				f := New(Options{Streams: r, Identifier: r, Authorizer: r})
				call := &Call{front: f, Stream: yard, Principal: kvs.Principal{Account: account, AccessKey: caller.AccessKey}, Request: &http.Request{}}
				about(call.question("kinesisvideo:PutMedia"), call)
				ctx, stop := call.Watch(t.Context())
				defer stop()
				began := time.Now()
				time.Sleep(30 * time.Second)
				r.set(func(r *rooms) {
					if ctx.Err() != nil || r.last.Resource != yard.ARN().String() || r.asked != 1 {
						t.Fatalf("it ended at the first question (%v), which was %+v", context.Cause(ctx), r.last)
					}
					c.change(r)
				})
				select {
				case <-ctx.Done():
					if took := time.Since(began); !c.ends || took != 2*askAgain || !errors.Is(context.Cause(ctx), ErrRevoked) {
						t.Errorf("it ended after %v: %v", took, context.Cause(ctx))
					}
				case <-time.After(time.Minute):
					if c.ends {
						t.Error("it goes on")
					}
				}
			})
		})
	}
}

// After its end nothing is asked any more.
func TestEndedCallsAreNotAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rooms{}
		call := &Call{front: New(Options{Streams: r, Identifier: r, Authorizer: r}), Stream: yard, Request: &http.Request{}}
		call.question("kinesisvideo:PutMedia")
		ctx, stop := call.Watch(t.Context())
		stop()
		time.Sleep(time.Minute)
		r.set(func(r *rooms) {
			if r.asked > 0 || !errors.Is(context.Cause(ctx), context.Canceled) {
				t.Errorf("%d questions, %v", r.asked, context.Cause(ctx))
			}
		})
	})
}
