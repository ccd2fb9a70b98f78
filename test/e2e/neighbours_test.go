package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// spoilt is a text of the same shape that nobody gave out.
func spoilt(text string) string {
	b := []byte(text)
	for i := len(b) / 2; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c < '9' || c >= 'a' && c < 'z' || c >= 'A' && c < 'Z':
			b[i]++
			return string(b)
		}
	}
	return text
}

// triesTokens brings tokens that another account was given.
func (n neighbour) triesTokens(t *testing.T, whose neighbour) {
	var streams, fragments, channels struct{ NextToken string }
	whose.caller(t).must(t, "ListSignalingChannels", object{"MaxResults": 1}, &channels)
	whose.caller(t).must(t, "ListStreams", object{"MaxResults": 1}, &streams)
	whose.caller(t).must(t, "ListFragments", object{"StreamName": "yard", "MaxResults": 1, "FragmentSelector": always()}, &fragments)
	var usage struct{ NextToken string }
	if err := whose.client(t).Admin(t.Context(), "ListUsage", object{"Max": 1}, &usage); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op    string
		in    object
		token string
	}{
		{"ListStreams", object{"MaxResults": 1}, streams.NextToken},
		{"ListSignalingChannels", object{"MaxResults": 1}, channels.NextToken},
		{"ListSignalingChannels", object{"MaxResults": 1}, streams.NextToken},
		{"ListStreams", object{"MaxResults": 1}, channels.NextToken},
		{"ListTagsForResource", object{"ResourceARN": n.channelARN(t, "door")}, channels.NextToken},
		{"ListTagsForStream", object{"StreamName": "yard"}, streams.NextToken},
		{"ListTagsForResource", object{"ResourceARN": n.arn(t, "yard")}, streams.NextToken},
		{"ListFragments", object{"StreamName": "yard", "MaxResults": 1}, fragments.NextToken},
		{"/millrace/ListUsage", object{"Max": 1}, usage.NextToken},
	} {
		if c.token == "" || spoilt(c.token) == c.token {
			t.Fatalf("%s gave no token", c.op)
		}
		path := c.op
		if o := wire.ByName(c.op); o != nil {
			path = o.Path
		}
		q := func(token string) question {
			in := maps.Clone(c.in)
			in["NextToken"] = token
			return question{title: c.op + " with a token", path: path, body: plainJSON(t, in)}
		}
		got := n.ask(t, q(c.token), c.token)
		equal(t, c.op+" with a token", got, n.ask(t, q(spoilt(c.token)), spoilt(c.token)))
	}
}

// like is a fragment number of the same counter that was never given: its random bits are
// others.
func like(number string) string {
	last := number[len(number)-1]
	return number[:len(number)-1] + string('0'+(last-'0'+1)%10)
}

// triesNumbers asks for another account's fragments in a stream of its own that has the same
// name.
func (n neighbour) triesNumbers(t *testing.T, whose neighbour) {
	number := whose.number[1]
	for _, c := range []struct {
		op string
		in func(number string) object
	}{
		{"GetMediaForFragmentList", func(number string) object { return object{"StreamName": "yard", "Fragments": []string{number}} }},
		{"GetMediaForFragmentList", func(number string) object {
			return object{"StreamName": "yard", "Fragments": []string{n.number[0], number}}
		}},
		{"GetMedia", func(number string) object {
			return object{"StreamName": "yard", "StartSelector": object{"StartSelectorType": "FRAGMENT_NUMBER", "AfterFragmentNumber": number}}
		}},
		{"GetMedia", func(number string) object {
			return object{"StreamName": "yard", "StartSelector": object{"StartSelectorType": "CONTINUATION_TOKEN", "ContinuationToken": number}}
		}},
	} {
		q := func(number string) question {
			return question{title: c.op + " of a number", path: wire.ByName(c.op).Path, body: plainJSON(t, c.in(number))}
		}
		got, never := n.ask(t, q(number), number), n.ask(t, q(like(number)), like(number))
		if got.Status == http.StatusOK { // media of the asker's own: how far behind they are is told, too
			got.Body, never.Body = strings.Join(numbersIn(got.Body), " "), strings.Join(numbersIn(never.Body), " ")
		}
		equal(t, c.op+" of a number", got, never)
		for _, seen := range numbersIn(got.Body) {
			if !slices.Contains(n.number, seen) {
				t.Errorf("%s shows fragment %s of somebody else", c.op, seen)
			}
		}
	}
}

var fragmentNumber = regexp.MustCompile(`\d{47}`)

func numbersIn(text string) []string { return fragmentNumber.FindAllString(text, -1) }

// triesPlayback asks its own sessions for another account's fragments, and brings tokens that
// nobody gave out.
func (n neighbour) triesPlayback(t *testing.T, whose neighbour) {
	selector := object{"StreamName": "yard", "PlaybackMode": "ON_DEMAND", "HLSFragmentSelector": always()}
	master := n.session(t, "GetHLSStreamingSessionURL", selector)
	list := mediaLists(t, master, downloadText(t, master))[0]
	g := parseMedia(t, list)[0]
	tsIn := maps.Clone(selector)
	tsIn["ContainerFormat"] = "MPEG_TS"
	tsMaster := n.session(t, "GetHLSStreamingSessionURL", tsIn)
	ts := segmentIn(t, mediaLists(t, tsMaster, downloadText(t, tsMaster))[0])
	mpd := n.session(t, "GetDASHStreamingSessionURL", object{"StreamName": "yard", "PlaybackMode": "ON_DEMAND", "DASHFragmentSelector": always()})
	asked := map[string]bool{}
	for _, u := range []string{master, list.url, mpd, g.init, g.media[0], ts} {
		good, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		download(t, u) // it is there for its own account
		asked[good.Path] = true
		get := func(change func(url.Values)) reply {
			values := good.Query()
			change(values)
			return n.ask(t, question{title: good.Path, method: http.MethodGet, path: good.Path + "?" + values.Encode(), bearer: true},
				whose.number[1], like(whose.number[1]))
		}
		// Parameters of another account's URLs.
		if good.Query().Get("FragmentNumber") != "" {
			got := get(func(v url.Values) { v.Set("FragmentNumber", whose.number[1]) })
			equal(t, good.Path+" of a fragment", got, get(func(v url.Values) { v.Set("FragmentNumber", like(whose.number[1])) }))
			if got.Status != http.StatusNotFound {
				t.Errorf("%s of another account's fragment: %+v", good.Path, got)
			}
		}
		// A token that was changed is like one that was made up.
		token := good.Query().Get("SessionToken")
		got := get(func(v url.Values) { v.Set("SessionToken", spoilt(token)) })
		equal(t, good.Path+" with a token", got, get(func(v url.Values) { v.Set("SessionToken", "Ci"+strings.Repeat("A", len(token)-3)+"~") }))
		if got.Status != http.StatusForbidden {
			t.Errorf("%s with a token that nobody gave out: %+v", good.Path, got)
		}
	}
	if len(asked) != 6 {
		t.Errorf("%d of the six actions were asked: %v", len(asked), slices.Sorted(maps.Keys(asked)))
	}
}

// segmentIn is the first segment of a playlist without init segments.
func segmentIn(t *testing.T, l mediaList) string {
	t.Helper()
	for line := range strings.Lines(l.text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return resolve(t, l.url, line)
		}
	}
	t.Fatalf("no segment in\n%s", l.text)
	return ""
}

// ownInputs are what operations of our own need besides a stream.
var ownInputs = map[string]object{
	"SetLimit":       {"Name": "PutMedia.sessions", "Value": "3"},
	"ResetLimit":     {"Name": "PutMedia.sessions"},
	"AddHold":        {"Note": "x"},
	"RemoveHold":     {"Hold": 1},
	"EraseFragments": {"DryRun": true},
}

// triesOwn asks every operation of our own that may name a stream.
func (n neighbour) triesOwn(t *testing.T, whose neighbour) {
	about := 0
	for _, op := range n.ownOperations(t) {
		if op == "Reset" || op == "SetClock" { // of development servers
			continue
		}
		for _, way := range []string{"StreamName", "StreamARN", "ChannelName", "ChannelARN"} {
			q := func(x thing) question {
				in := maps.Clone(ownInputs[op])
				if in == nil {
					in = object{}
				}
				in[way] = x.name
				if strings.HasSuffix(way, "ARN") {
					in[way] = x.arn
				}
				return question{title: op + " by " + way, path: "/millrace/" + op, body: plainJSON(t, in)}
			}
			x := whose.hidden
			if strings.HasPrefix(way, "Channel") {
				x = whose.channel
			}
			got := n.ask(t, q(x), x.said()...)
			equal(t, q(x).title, got, n.ask(t, q(x.instead()), x.instead().said()...))
			equal(t, q(x).title+" of an account that never was", got, n.ask(t, q(x.elsewhere(whose.account)), x.elsewhere(whose.account).said()...))
			if got.Status == http.StatusOK {
				t.Errorf("%s: %+v", q(x).title, got)
			}
			if got.Status == http.StatusNotFound {
				about++
			}
		}
	}
	if about < 14 {
		t.Errorf("only %d calls were about a stream or channel", about)
	}
	n.triesHolds(t, whose)
}

// triesHolds names the hold of another account.
func (n neighbour) triesHolds(t *testing.T, whose neighbour) {
	var made struct{ Hold int }
	err := whose.client(t).Admin(t.Context(), "AddHold", object{"StreamName": "gate"}, &made)
	if err != nil { // who is no root of the installation may not have holds
		t.Logf("AddHold: %v", err)
		made.Hold = 1
	}
	q := func(hold int) question {
		return question{title: "RemoveHold", path: "/millrace/RemoveHold", body: plainJSON(t, object{"StreamName": "gate", "Hold": hold})}
	}
	equal(t, "RemoveHold", n.ask(t, q(made.Hold), fmt.Sprint(made.Hold)), n.ask(t, q(7_654_321), "7654321"))
	if err == nil {
		if err := whose.client(t).Admin(t.Context(), "RemoveHold", object{"StreamName": "gate", "Hold": made.Hold}, nil); err != nil {
			t.Error(err)
		}
	}
}

// ownOperations are all there are, as the server lists them to who asks for one that is not.
func (s *server) ownOperations(t *testing.T) []string {
	t.Helper()
	a := s.ask(t, question{title: "an operation that there is not", path: "/millrace/Nothing", body: []byte("{}")})
	_, list, ok := strings.Cut(a.Body, "this server has ")
	if !ok {
		t.Fatalf("%+v", a)
	}
	list, _, _ = strings.Cut(list, `."`)
	return strings.Split(list, ", ")
}
