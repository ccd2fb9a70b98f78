package playback

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
)

// sessions are of each mode, with the greatest numbers that are to be expected.
func sessions() []Session {
	base := Session{
		Stream: 1 << 30, StreamCreated: 1_790_000_000_000, Created: 1_795_000_000_000, Expires: 1_795_043_200_000, Max: 5000,
		Base:   Base{LiveSeq: 1_795_000_000_000, Changes: 1 << 20, Gaps: 1 << 30, Millis: 1 << 40, Listed: 100_000_000},
		Tracks: []SessionTrack{{1, codec.H264, 1<<64 - 1}, {2, codec.AAC, 1}, {3, codec.ULaw, 1 << 60}},
		Kind:   DASH, Clock: kvs.ProducerClock, ShowTimes: true, ShowNumbers: true,
	}
	replay := base
	replay.Mode, replay.Range, replay.Discontinuity = LiveReplay, kvs.TimeRange{Start: 1_795_000_000_000, End: NoEnd}, OnDiscontinuity
	replay.Base.First = 1 << 40
	demand := replay
	demand.Mode, demand.Range.End = OnDemand, demand.Range.Start+86_400_000
	demand.Base.Last, demand.Base.Through, demand.Base.Listed, demand.Break = 1<<40+100_000, 1<<40+150_000, 0, true
	hls := base
	hls.Kind, hls.Container, hls.Discontinuity, hls.Tracks = HLS, TS, Never, []SessionTrack{{Number: 1, Kind: codec.H265}}
	return []Session{base, replay, demand, hls}
}

func TestASessionGoesThroughAToken(t *testing.T) {
	for _, want := range sessions() {
		b := want.AppendBinary([]byte("x"))[1:]
		got, err := ParseSession(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if len(b) > MaxSessionBytes {
			t.Errorf("mode %d takes %d bytes", want.Mode, len(b))
		}
		for i := range b {
			if s, err := ParseSession(b[:i]); kvs.KindOf(err) != kvs.InvalidArgument {
				t.Errorf("%d bytes of %d are %+v, %v", i, len(b), s, err)
			}
		}
		if _, err := ParseSession(append(b, 0)); err == nil {
			t.Error("a byte too many is taken")
		}
	}
}

func FuzzParseSession(f *testing.F) {
	for _, s := range sessions() {
		f.Add(s.AppendBinary(nil))
	}
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSession(b)
		if err != nil {
			return
		}
		again, err := ParseSession(s.AppendBinary(nil))
		if diff := cmp.Diff(s, again); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	})
}
