package sessionurl

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

const now = kvs.Millis(1_700_000_000_000)

var yard = kvs.Stream{ID: 7, Account: "111122223333", Region: "us-east-1", Name: "yard", Created: now - 1000, Retention: 24}

func newRoom(t *testing.T, p quota.Profile, limits map[string]string) room {
	t.Helper()
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Profile: p, Settings: limits})
	if err != nil {
		t.Fatal(err)
	}
	return room{Options{Limits: book, Now: func() time.Time { return now.Time() }}}
}

// decode reads a call as it comes over the wire, with a stream's name.
func decode(t *testing.T, body string, in wire.Input) {
	t.Helper()
	if err := wire.Decode([]byte(strings.Replace(body, "{", `{"StreamName":"yard",`, 1)), in); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if err := in.Check(); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
}

func TestWhatHLSSessionsAre(t *testing.T) {
	r := newRoom(t, quota.Open, nil)
	base := playback.Session{Max: 5, Created: now, Expires: now + 300_000}
	for body, change := range map[string]func(*playback.Session){
		`{"PlaybackMode":"LIVE"}`: func(*playback.Session) {},
		`{"HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP"}}`: func(s *playback.Session) {
			s.Clock, s.Discontinuity = kvs.ProducerClock, playback.Never
		},
		`{"HLSFragmentSelector":{},"DisplayFragmentTimestamp":"ALWAYS","ContainerFormat":"MPEG_TS","DiscontinuityMode":"ON_DISCONTINUITY","Expires":43200,"MaxMediaPlaylistFragmentResults":3}`: func(s *playback.Session) {
			s.ShowTimes, s.Container, s.Discontinuity, s.Expires, s.Max = true, playback.TS, playback.OnDiscontinuity, now+43_200_000, 3
		},
		`{"DisplayFragmentTimestamp":"NEVER","ContainerFormat":"FRAGMENTED_MP4","DiscontinuityMode":"NEVER"}`: func(s *playback.Session) { s.Discontinuity = playback.Never },
		`{"PlaybackMode":"ON_DEMAND","HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":1699999000,"EndTimestamp":1700000000}}}`: func(s *playback.Session) {
			s.Mode, s.Max, s.Range = playback.OnDemand, 1000, kvs.TimeRange{Start: now - 1_000_000, End: now}
		},
		`{"PlaybackMode":"ON_DEMAND","HLSFragmentSelector":{"FragmentSelectorType":"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":0,"EndTimestamp":1800000000.5}},"DiscontinuityMode":"ALWAYS"}`: func(s *playback.Session) {
			s.Mode, s.Max, s.Clock, s.Range = playback.OnDemand, 1000, kvs.ProducerClock, kvs.TimeRange{End: 1_800_000_000_500}
		},
		`{"PlaybackMode":"LIVE_REPLAY","HLSFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":{"StartTimestamp":1699999999.5}}}`: func(s *playback.Session) {
			s.Mode, s.Range = playback.LiveReplay, kvs.TimeRange{Start: now - 500, End: playback.NoEnd}
		},
	} {
		in := &wire.GetHLSStreamingSessionURLInput{}
		decode(t, body, in)
		want := base
		change(&want)
		got, err := r.wantHLS(yard, in)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", body, err, d)
		}
	}
}

func TestWhatDASHSessionsAre(t *testing.T) {
	r := newRoom(t, quota.Open, nil)
	for body, want := range map[string]playback.Session{
		`{"PlaybackMode":"LIVE"}`: {Kind: playback.DASH, Discontinuity: playback.Never, Max: 5, Created: now, Expires: now + 300_000},
		`{"DisplayFragmentNumber":"ALWAYS","DisplayFragmentTimestamp":"ALWAYS","MaxManifestFragmentResults":5000,"Expires":300,"PlaybackMode":"ON_DEMAND","DASHFragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":{"StartTimestamp":1699999000,"EndTimestamp":1699999001}}}`: {
			Kind: playback.DASH, Mode: playback.OnDemand, Discontinuity: playback.Never, ShowNumbers: true, ShowTimes: true, Max: 5000,
			Range: kvs.TimeRange{Start: now - 1_000_000, End: now - 999_000}, Created: now, Expires: now + 300_000,
		},
	} {
		in := &wire.GetDASHStreamingSessionURLInput{}
		decode(t, body, in)
		got, err := r.wantDASH(yard, in)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v %s", body, err, d)
		}
	}
}

// Every rule of the playback sheet, section 3.1, with what its message says.
func TestWhatSessionsCannotBe(t *testing.T) {
	span := func(mode, clock, times string) string {
		return `{"PlaybackMode":"` + mode + `","HLSFragmentSelector":{"FragmentSelectorType":"` + clock + `_TIMESTAMP","TimestampRange":{` + times + `}}}`
	}
	for _, c := range []struct{ body, says string }{
		{`{"HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":1}}}`, "HLSFragmentSelector.TimestampRange must not be given with PlaybackMode LIVE"},
		{`{"PlaybackMode":"ON_DEMAND"}`, "PlaybackMode ON_DEMAND needs HLSFragmentSelector"},
		{`{"PlaybackMode":"LIVE_REPLAY"}`, "PlaybackMode LIVE_REPLAY needs HLSFragmentSelector"},
		{`{"PlaybackMode":"LIVE_REPLAY","HLSFragmentSelector":{}}`, "LIVE_REPLAY needs HLSFragmentSelector.TimestampRange"},
		{span("LIVE_REPLAY", "SERVER", `"EndTimestamp":2`), "TimestampRange needs StartTimestamp"},
		{span("ON_DEMAND", "SERVER", `"StartTimestamp":2`), "ON_DEMAND needs TimestampRange.EndTimestamp"},
		{span("ON_DEMAND", "SERVER", `"StartTimestamp":2,"EndTimestamp":2`), "EndTimestamp 1970-01-01T00:00:02.000Z must be later than StartTimestamp 1970-01-01T00:00:02.000Z"},
		{span("ON_DEMAND", "SERVER", `"StartTimestamp":1699999000,"EndTimestamp":1700000000.001`), "EndTimestamp 2023-11-14T22:13:20.001Z must be in the past with FragmentSelectorType SERVER_TIMESTAMP; it is 2023-11-14T22:13:20.000Z now"},
		{span("LIVE_REPLAY", "SERVER", `"StartTimestamp":1699999000,"EndTimestamp":1700000001`), "must be in the past"},
		{span("LIVE_REPLAY", "PRODUCER", `"StartTimestamp":1699990000,"EndTimestamp":1700076400.001`), "EndTimestamp 2023-11-15T19:26:40.001Z is 24h0m0.001s after StartTimestamp 2023-11-14T19:26:40.000Z; at most 24h are allowed"},
		{span("ON_DEMAND", "PRODUCER", `"StartTimestamp":-1,"EndTimestamp":2`), "StartTimestamp must not be before 1970"},
	} {
		in := &wire.GetHLSStreamingSessionURLInput{}
		decode(t, c.body, in)
		_, err := newRoom(t, quota.AWS, nil).wantHLS(yard, in)
		if kvs.KindOf(err) != kvs.InvalidArgument || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.body, err, c.says)
		}
	}
}

func TestLimitsOfSessions(t *testing.T) {
	day := `{"PlaybackMode":"ON_DEMAND","HLSFragmentSelector":{"TimestampRange":{"StartTimestamp":1690000000,"EndTimestamp":1699999999}},"MaxMediaPlaylistFragmentResults":5000}`
	in := &wire.GetHLSStreamingSessionURLInput{}
	decode(t, day, in)
	s, err := newRoom(t, quota.Open, map[string]string{"GetHLSMediaPlaylist.fragments": "100"}).wantHLS(yard, in)
	if err != nil || s.Max != 100 {
		t.Errorf("%v, at most %d", err, s.Max)
	}
	if _, err := newRoom(t, quota.Open, map[string]string{"playback.range": "1h"}).wantHLS(yard, in); kvs.KindOf(err) != kvs.InvalidArgument {
		t.Error(err)
	}
	stored := yard
	stored.Retention = 0
	_, err = newRoom(t, quota.Open, nil).wantHLS(stored, in)
	if kvs.KindOf(err) != kvs.NoRetention || !strings.Contains(err.Error(), "UpdateDataRetention") {
		t.Error(err)
	}
}

func TestPausesOfProducers(t *testing.T) {
	for _, c := range []struct {
		profile quota.Profile
		tag     string
		breaks  bool
	}{{quota.Open, "", false}, {quota.AWS, "", true}, {quota.Open, "break", true}, {quota.AWS, "survive", false}, {quota.Open, "perhaps", false}} {
		s := yard
		s.Tags = map[string]string{"millrace:live-pause": c.tag}
		got, err := newRoom(t, c.profile, nil).wantDASH(s, &wire.GetDASHStreamingSessionURLInput{})
		if err != nil || got.Break != c.breaks {
			t.Errorf("%s, tag %q: %v, %v", c.profile, c.tag, got.Break, err)
		}
	}
}

// A session that is asked for behind a revocation is not one of those that it ended.
func TestSessionsAfterARevocation(t *testing.T) {
	s := yard
	s.SessionsFrom = now + 1
	got, err := newRoom(t, quota.Open, nil).wantHLS(s, &wire.GetHLSStreamingSessionURLInput{})
	if err != nil || got.Created != now+1 || got.Expires != now+300_001 {
		t.Errorf("%+v, %v", got, err)
	}
}
