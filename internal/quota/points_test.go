package quota

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
)

// load is calls of one operation that each ask for so many fragments.
type load struct {
	operation    string
	calls, asked int
}

// spend makes the calls and returns how many were refused.
func (r *rated) spend(s kvs.Stream, all ...load) (refused int) {
	r.t.Helper()
	for _, l := range all {
		for range l.calls {
			err := r.Points(OperationOf(l.operation), s, l.asked)
			if err != nil && kvs.KindOf(err) != kvs.TooManyRequests {
				r.t.Fatal(err)
			}
			if err != nil {
				refused++
			}
		}
	}
	return refused
}

var cam = kvs.Stream{ID: 7, Account: account, Name: "cam"}

// The worked examples of the limits sheet, section 5: each fills a budget exactly.
func TestWorkedExamples(t *testing.T) {
	for _, c := range []struct {
		name string
		load []load
		over load // one call more
	}{
		{"5 clips of 100", []load{{clip, 5, 100}}, load{clip, 1, 1}},
		{"100 clips of 5", []load{{clip, 100, 5}}, load{clip, 1, 1}},
		{"2 clips of 100, 3 lists of 100", []load{{clip, 2, 100}, {pick, 3, 100}}, load{pick, 1, 1}},
		{"400 MP4 and 100 TS fragments", []load{{"GetMP4MediaFragment", 400, 1}, {"GetTSFragment", 100, 1}}, load{"GetTSFragment", 1, 1}},
		{"live HLS: 250 players with two tracks", []load{{"GetHLSMediaPlaylist", 500, 5}, {"GetMP4MediaFragment", 500, 1}}, load{"GetMP4MediaFragment", 1, 1}},
		{"on-demand DASH: 10 new sessions", []load{{"GetDASHManifest", 10, 1000}}, load{"GetDASHManifest", 1, 1}},
		{"on-demand DASH: 100 sessions that load", []load{{"GetMP4MediaFragment", 500, 1}}, load{"GetMP4MediaFragment", 1, 1}},
		{"lists of fragments", []load{{"ListFragments", 10, 1000}}, load{"ListFragments", 1, 1}},
		{"images: 400 and one each", []load{{images, 20, 25}, {"ListFragments", 15, 100}}, load{images, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRated(t, AWS)
			if n := r.spend(cam, c.load...); n > 0 {
				t.Fatalf("%d calls were refused", n)
			}
			if r.spend(cam, c.over) != 1 {
				t.Error("more was allowed")
			}
			if r.spend(kvs.Stream{ID: 8, Account: account}, c.load...) > 0 {
				t.Error("streams share a budget")
			}
			r.now = r.now.Add(time.Second)
			if r.spend(cam, c.load...) > 0 {
				t.Error("not all was allowed a second later")
			}
		})
	}
}

func TestTheBudgetsAreApart(t *testing.T) {
	r := newRated(t, AWS)
	if r.spend(cam, load{"ListFragments", 10, 1000}, load{pick, 1, 500}) > 0 {
		t.Error("metadata cost media")
	}
	r = newRated(t, AWS)
	// What is refused for want of media takes no metadata.
	if r.spend(cam, load{pick, 1, 500}, load{clip, 10, 200}) != 10 || r.spend(cam, load{"ListFragments", 10, 1000}) != 0 {
		t.Error("a refused call cost points")
	}
}

// A list may be longer than a second's points: it waits for a full budget, and the rest
// is owed.
func TestDebt(t *testing.T) {
	r := newRated(t, AWS)
	step := func(pass time.Duration, l load, refused int) {
		t.Helper()
		r.now = r.now.Add(pass)
		if got := r.spend(cam, l); got != refused {
			t.Errorf("%+v: %d refused, want %d", l, got, refused)
		}
	}
	step(0, load{pick, 1, 1000}, 0)
	step(0, load{pick, 1, 1}, 1)
	step(time.Second, load{pick, 1, 1}, 1)
	step(time.Second/2, load{pick, 1, 250}, 0)
	step(999*time.Millisecond, load{pick, 1, 1000}, 1)
	step(time.Millisecond, load{pick, 1, 1000}, 0)
	step(-time.Hour, load{pick, 1, 1000}, 0) // the clock stepped back
}

func TestPointsAreCountedAndLimitedByCall(t *testing.T) {
	m := metrics.New()
	b := newBook(t, BookOptions{Metrics: m, Settings: map[string]string{"ListFragments.results": "200", "GetMediaForFragmentList.fragments": "10"}})
	for range 1000 { // open: no budgets
		if err := b.Points(OperationOf("ListFragments"), cam, 200); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Points(OperationOf(pick), cam, 10); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ListFragments": "at most 200", pick: "at most 10"} {
		if err := b.Points(OperationOf(name), cam, 201); kvs.KindOf(err) != kvs.InvalidArgument || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	text := page(t, m)
	for _, want := range []string{`millrace_archived_fragments_consumed_total{budget="metadata"} 200000`, `millrace_archived_fragments_consumed_total{budget="media"} 10`,
		`millrace_limit_breaches_total{limit="ListFragments.results"} 1`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("not served: %s", want)
		}
	}
}
