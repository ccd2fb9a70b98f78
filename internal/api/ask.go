package api

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// Authorizer says whether a principal may do something; nil means yes, an error of
// kind Denied means no. It is an *authority.Authority.
type Authorizer interface {
	Authorize(ctx context.Context, ask *authority.Ask) error
}

// Span is the range of time that a call asks for.
type Span = authority.Span

// question begins the question whether the caller may take an action, on no resource.
func (c *Call) question(a kvs.Action) *authority.Ask {
	h := c.Request.Header
	c.ask = authority.Ask{
		Principal: &c.Principal, Action: a, Resource: "*", Keys: (*callKeys)(c),
		Request: authority.Request{
			Time: c.front.o.Now(), Secure: c.Request.TLS != nil, Source: c.front.Source(c.Request),
			UserAgent: h.Get("User-Agent"), Referer: h.Get("Referer"), Region: c.region, Listener: listenerOf(c.Request.Context()),
		},
	}
	return &c.ask
}

// Question begins a question about the caller and an action, on no resource, for what
// [Call.Authorize] cannot say. It is asked by [Call.Ask], and over when another one begins.
func (c *Call) Question(a kvs.Action) *authority.Ask { return c.question(a) }

// Ask asks a question; an error of kind Denied means no.
func (c *Call) Ask(ctx context.Context, ask *authority.Ask) error {
	return c.front.o.Authorizer.Authorize(ctx, ask)
}

// AskAgain asks the question of the call once more, when what the answer rests upon may have
// changed.
func (c *Call) AskAgain(ctx context.Context) error { return c.Ask(ctx, &c.ask) }

// Authorize asks whether the caller may take an action on a resource, "" for none. It is
// for calls that are about something else than a stream; keys are what they say about
// themselves, nil for nothing.
func (c *Call) Authorize(ctx context.Context, a kvs.Action, resource string, keys authority.Keys) error {
	ask := c.question(a)
	if resource != "" {
		ask.Resource = resource
	}
	if keys != nil {
		ask.Keys = keys
	}
	return c.front.o.Authorizer.Authorize(ctx, ask)
}

// authorize finds what the call is about and asks whether the caller may. The policies are
// asked about what is not there as well, so that who may not ask learns nothing; who may is
// told that it is not there.
func (f *Front) authorize(ctx context.Context, c *Call, route Route) error {
	ask := c.question(route.action())
	if route.Target == nil {
		return f.o.Authorizer.Authorize(ctx, ask)
	}
	c.span = route.Span
	t, err := route.Target(c)
	if err != nil {
		return err
	}
	if route.Own && t.unnamed() { // our own may be about one stream or all
		return f.o.Authorizer.Authorize(ctx, ask)
	}
	missing := f.resolve(ctx, c, t)
	switch {
	case missing == nil:
		about(ask, c)
	case kvs.KindOf(missing) == kvs.NotFound:
		c.Note(slog.String("asked", t.String()))
		ask.Resource = f.wouldBe(c.Principal.Account, t)
	default:
		c.Note(slog.String("asked", t.String()))
		return missing
	}
	ask.Shown = t.String()
	if err := f.o.Authorizer.Authorize(ctx, ask); err != nil {
		return err
	}
	return missing
}

// about fills in what the call is about.
func about(ask *authority.Ask, c *Call) {
	if ch := &c.Channel; ch.ID != 0 {
		ask.Resource, ask.Owner, ask.Tags = ch.ARN().String(), ch.Account, ch.Tags
		return
	}
	s := &c.Stream
	ask.Resource, ask.Owner, ask.Tags = s.ARN().String(), s.Account, s.Tags
}

// wouldBe is the resource of what is not there: its ARN as given, or the one that a thing of
// the kind and name would have.
func (f *Front) wouldBe(account kvs.AccountID, t Target) string {
	if t.ARN != nil {
		return *t.ARN
	}
	kind := cmp.Or(t.Kind, kvs.StreamResource)
	return kvs.ARN{Partition: "aws", Region: f.o.Region, Account: account, Kind: kind, Name: *t.Name, Code: "0"}.String()
}

type listenerKey struct{}

// OnListener marks the connections of a listener with its name, for policies; it is for
// [http.Server].
func OnListener(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, listenerKey{}, name)
}

func listenerOf(ctx context.Context) string {
	name, _ := ctx.Value(listenerKey{}).(string)
	return name
}

// Source is the address of the client. What proxies say is believed of the trusted ones
// alone: the client is the last hop that is none of them.
func (f *Front) Source(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := at.Addr().Unmap().WithZone("")
	proxies := f.o.Proxies()
	if len(proxies) == 0 || !within(client, proxies) {
		return client
	}
	hops := r.Header.Values("X-Forwarded-For")
	for _, line := range slices.Backward(hops) {
		for _, hop := range slices.Backward(strings.Split(line, ",")) {
			a, ok := hopAddr(strings.TrimSpace(hop))
			if !ok { // what stands in front of it may be made up
				return client
			}
			if client = a; !within(a, proxies) {
				return a
			}
		}
	}
	return client
}

func within(a netip.Addr, all []netip.Prefix) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

// hopAddr reads an address as proxies write it: some add the port.
func hopAddr(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		host, _, split := net.SplitHostPort(text)
		if split != nil {
			return a, false
		}
		a, err = netip.ParseAddr(host)
	}
	return a.Unmap().WithZone(""), err == nil
}

// callKeys are the condition keys that a call of the video services has of its own.
type callKeys Call

// Lookup implements [authority.Keys].
func (k *callKeys) Lookup(key string) ([]string, bool) {
	if name, ok := strings.CutPrefix(key, "aws:requesttag/"); ok {
		return requestTag(k.Input, name)
	}
	if key == "aws:tagkeys" {
		return tagKeys(k.Input)
	}
	if !strings.HasPrefix(key, "millrace:range") || k.span == nil {
		return nil, false
	}
	s, ok := k.span((*Call)(k))
	switch {
	case !ok:
		return nil, false
	case key == "millrace:rangestart":
		return []string{keyDate(s.Start)}, true
	case key == "millrace:rangeend":
		return []string{keyDate(s.End)}, !s.Open
	case key == "millrace:rangeclock" && s.Clock == kvs.ProducerClock:
		return []string{wire.FragmentSelectorTypeProducerTimestamp}, true
	case key == "millrace:rangeclock":
		return []string{wire.FragmentSelectorTypeServerTimestamp}, true
	}
	return nil, false
}

// keyDate writes a time as conditions compare it.
func keyDate(m kvs.Millis) string { return m.Time().Format("2006-01-02T15:04:05.000Z") }

// requestTag returns the values that a request gives a tag, whose name is in lower case. Names of tags have no case in
// conditions, so there may be several.
func requestTag(in wire.Input, name string) (values []string, found bool) {
	eachTag(in, func(key, value string) {
		if strings.ToLower(key) == name {
			values = append(values, value)
		}
	})
	return values, values != nil
}

// tagKeys returns the names of the tags in a request.
func tagKeys(in wire.Input) (names []string, found bool) {
	switch in := in.(type) {
	case *wire.UntagStreamInput:
		return in.TagKeyList, true
	case *wire.UntagResourceInput:
		return in.TagKeyList, true
	}
	eachTag(in, func(key, _ string) { names = append(names, key) })
	return names, names != nil
}

// eachTag calls f for the tags that a request brings.
func eachTag(in wire.Input, f func(key, value string)) {
	var list []wire.Tag
	switch in := in.(type) {
	case *wire.CreateStreamInput:
		for k, v := range in.Tags {
			f(k, v)
		}
	case *wire.TagStreamInput:
		for k, v := range in.Tags {
			f(k, v)
		}
	case *wire.TagResourceInput:
		list = in.Tags
	case *wire.CreateSignalingChannelInput:
		list = in.Tags
	}
	for _, t := range list {
		f(wire.Value(t.Key), wire.Value(t.Value))
	}
}
