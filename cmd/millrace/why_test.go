package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/rejection"
)

// reporter answers ListRejections: the n-th answer is the n-th text, the last one for
// ever.
type reporter struct {
	answers []string
	asked   atomic.Int64
	last    atomic.Pointer[map[string]string]
}

func (p *reporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := map[string]string{}
	if json.NewDecoder(r.Body).Decode(&in); r.URL.Path != "/millrace/ListRejections" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	p.last.Store(&in)
	n := int(p.asked.Add(1))
	fmt.Fprint(w, p.answers[min(n, len(p.answers))-1])
}

// folded is an entry of ListRejections that happened count times.
func folded(count int64) rejection.Entry {
	first := rejection.Refusal{
		Time: time.UnixMilli(1_700_000_000_000).UTC(), Scope: rejection.Fragment, Code: 4010, Error: "TRACK_NUMBER_MISMATCH", Case: "undeclared-track",
		Why: "block of track 5 at byte 900", Fix: "Declare every track before the first cluster.", Limit: "fragment.tracks", Told: true,
		Request: "req-1", Client: "192.0.2.1:5", Number: "91", Timecode: 40, Producer: time.UnixMilli(40).UTC(), Offset: 900, Began: 800, Track: 5, Frame: 2,
	}
	last := first
	last.Time, last.Number, last.Offset, last.Told = first.Time.Add(time.Minute), "92", 1900, false
	return rejection.Entry{Count: count, First: first, Last: last}
}

func answer(t *testing.T, entries ...rejection.Entry) string {
	b, err := json.Marshal(map[string]any{"Rejections": entries, "Sessions": 1})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What plays is said behind what was refused, or where nothing was.
func TestWhySaysWhatPlays(t *testing.T) {
	const players = `"Players":[{"As":"HLS"},{"As":"HLS with MPEG-TS","Why":"ContainerFormat MPEG_TS carries H.264; H.265 is played with FRAGMENTED_MP4."},{"As":"DASH"}]}`
	const want = "The newest fragment plays as HLS, DASH.\nNot as HLS with MPEG-TS: ContainerFormat MPEG_TS carries H.264; H.265 is played with\n                         FRAGMENTED_MP4.\n"
	call := folded(2)
	call.Last.Call = "GetClip"
	for name, c := range map[string]struct{ answer, begins string }{
		"nothing was refused": {`{"Sessions":1,` + players, "garden: nothing was refused"},
		"a call":              {strings.TrimSuffix(answer(t, call), "}") + "," + players, "4010 TRACK"},
	} {
		code, out, errs := command(t, &reporter{answers: []string{c.answer}}, nil, "why", "garden")
		if code != exitOK || !strings.HasPrefix(out, c.begins) || !strings.HasSuffix(out, "\n"+want) || name == "a call" && !strings.Contains(out, "Z, GetClip, request req-1") {
			t.Errorf("%s: %d, %s\n%s", name, code, errs, out)
		}
		if _, out, _ = command(t, &reporter{answers: []string{c.answer}}, nil, "why", "garden", "--json"); strings.Contains(out, "plays") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestWhySaysEverything(t *testing.T) {
	p := &reporter{answers: []string{answer(t, folded(7))}}
	code, out, errs := command(t, p, nil, "why", "garden", "--since", "2023-11-14T00:00:00Z")
	want := `4010 TRACK_NUMBER_MISMATCH, undeclared-track: 7 times
  why    block of track 5 at byte 900
  where  fragment 92, timecode 40, producer time 1970-01-01T00:00:00.040Z, cluster at byte 800,
         found at byte 1900, track 5, block 2
  when   2023-11-14T22:14:20.000Z, request req-1 from 192.0.2.1:5; the producer was not told
  first  2023-11-14T22:13:20.000Z, fragment 91, timecode 40, producer time
         1970-01-01T00:00:00.040Z, cluster at byte 800, found at byte 900, track 5, block 2
  fix    Declare every track before the first cluster.
  limit  millrace limit set fragment.tracks VALUE --stream garden

`
	if code != exitOK || out != want || errs != "" {
		t.Errorf("%d, %s\n%s\nwant\n%s", code, errs, out, want)
	}
	if in := *p.last.Load(); in["StreamName"] != "garden" || in["Since"] != "2023-11-14T00:00:00Z" {
		t.Errorf("asked %v", in)
	}
	if code, out, _ := command(t, p, nil, "why", "arn:aws:x", "--json"); code != exitOK || !strings.HasPrefix(out, `{"Count":7,"First":{"Time":`) || strings.Count(out, "\n") != 1 {
		t.Errorf("as JSON: %d, %s", code, out)
	}
	if in := *p.last.Load(); in["StreamARN"] != "arn:aws:x" || len(in) != 1 {
		t.Errorf("asked %v", in)
	}
}

func TestWhyWhenThereIsNothing(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"nothing came", `{"Sessions":0}`, "garden: nothing was refused, and nothing came: the stream has no fragment; 0 PutMedia sessions open now.\n"},
		{"all is well", `{"Sessions":1,"NewestFragment":{"FragmentNumber":"91","ServerTimestamp":"2023-11-14T22:13:20Z"}}`,
			"garden: nothing was refused. The newest fragment, 91, came 2023-11-14T22:13:20.000Z, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, _ := command(t, &reporter{answers: []string{c.answer}}, nil, "why", "garden")
			if code != exitOK || !strings.HasPrefix(out, c.want) {
				t.Errorf("%d, %s", code, out)
			}
		})
	}
	if code, out, _ := command(t, &reporter{answers: []string{`{}`}}, nil, "why", "garden", "--json"); code != exitOK || out != "" {
		t.Errorf("as JSON: %d, %q", code, out)
	}
}

func TestWhyListsStreams(t *testing.T) {
	p := &reporter{answers: []string{`{"Streams":[{"StreamName":"garden","Count":3,"Last":{"Time":"2023-11-14T22:13:20Z","ErrorId":4006,"ErrorCode":"INVALID_MKV_DATA","Why":"no"}}]}`}}
	if code, out, _ := command(t, p, nil, "why"); code != exitOK || !strings.HasPrefix(out, "garden  3 refusals, the latest 2023-11-14T22:13:20.000Z: 4006 INVALID_MKV_DATA: no\n") {
		t.Errorf("%d, %s", code, out)
	}
	if in := *p.last.Load(); len(in) != 0 {
		t.Errorf("asked %v", in)
	}
	if code, out, _ := command(t, &reporter{answers: []string{`{}`}}, nil, "why", "--since", "1h"); code != exitOK || !strings.HasPrefix(out, "Nothing was refused on any stream since ") {
		t.Errorf("%d, %s", code, out)
	}
	for _, args := range [][]string{{"why", "--follow"}, {"why", "x", "--since", "yesterday"}, {"why", "x", "--since", "-5m"}} {
		if code, _, errs := command(t, p, nil, args...); code != exitUsage {
			t.Errorf("%v: %d, %s", args, code, errs)
		}
	}
}

// With --follow what happens again is printed again, and nothing else is.
func TestWhatIsFresh(t *testing.T) {
	known := map[string]int64{}
	other := folded(1)
	other.Last.Track = 6
	for i, step := range []struct {
		now  []rejection.Entry
		want int
	}{{nil, 0}, {[]rejection.Entry{folded(1)}, 1}, {[]rejection.Entry{folded(1)}, 0}, {[]rejection.Entry{other, folded(2)}, 2}, {[]rejection.Entry{other, folded(2)}, 0}} {
		if got := fresh(known, step.now); len(got) != step.want {
			t.Errorf("step %d: %d entries are fresh, want %d", i, len(got), step.want)
		}
	}
}
