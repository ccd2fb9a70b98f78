package ingest

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// aSecond is a fragment of one second.
func aSecond(timecode uint64) []byte { return unknown(timecode, at(0), at(500)) }

// Every error code that a body can bring about, as the producer sees it: about which
// fragment it is, and whether the session goes on.
func TestErrorCodes(t *testing.T) {
	shared := newStudio(t, quota.Open)
	two := headOf(otherApp, 0, videoTrack, audioTrack)
	many := func(n int, name, value string) []byte {
		var b []byte
		for range n {
			b = append(b, meta(name, value)...)
		}
		return b
	}
	broken := errors.New("connection reset")
	twentySeconds := unknown(0, at(0), at(10_000), at(19_990))
	for _, test := range []struct {
		name    string
		limits  []string
		request Request
		body    []any
		want    string
		end     Code
	}{
		{name: "4000 cut inside a cluster of unknown size",
			body: []any{head(otherApp), aSecond(0), aSecond(1000), broken}, want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4000", end: StreamReadError},
		{name: "4000 cut inside a frame",
			body: []any{head(otherApp), aSecond(0), aSecond(1000)[:90]}, want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4000", end: StreamReadError},
		{name: "4000 cut inside a cluster of known size",
			body: []any{head(otherApp), sized(0, at(0), at(40))[:200], broken}, want: "b1@0 e1@0:4000", end: StreamReadError},
		{name: "a whole cluster of known size is kept when the body breaks behind it",
			body: []any{head(otherApp), sized(0, at(0), at(40)), broken}, want: "b1@0 r1@0 p1@0", end: StreamReadError},
		{name: "and so are bytes behind it",
			body: []any{head(otherApp), sized(0, at(0), at(40)), []byte{0xEC}, broken}, want: "b1@0 r1@0 p1@0", end: StreamReadError},
		{name: "4000 cut in front of the first cluster",
			body: []any{head(otherApp)[:30], broken}, want: "e:4000", end: StreamReadError},
		{name: "4000 cut between clusters, after the end tag",
			body: []any{head(otherApp), aSecond(0), endTag, broken}, want: "b1@0 r1@0 p1@0 e:4000", end: StreamReadError},
		{name: "4000 cut in front of a cluster's timecode",
			body: []any{head(otherApp), aSecond(0), unknown(0)[:7]}, want: "b1@0 e1@0:4000", end: StreamReadError},

		{name: "4001", limits: []string{"fragment.bytes", "400"},
			body: []any{head(otherApp), unknown(0, at(0), at(1), at(2), at(3), at(4)), aSecond(9)}, want: "b1@0 e1@0:4001 b2@9 r2@9 p2@9"},
		{name: "4001 by the tags in front of the cluster", limits: []string{"fragment.bytes", "400"},
			body: []any{head(otherApp), aSecond(0), endTag, meta("a", strings.Repeat("x", 200)), meta("b", strings.Repeat("x", 200)), aSecond(5), aSecond(9)},
			want: "b1@0 r1@0 p1@0 b2@5 e2@5:4001 b3@9 r3@9 p3@9"},
		{name: "as large as allowed", limits: []string{"fragment.bytes", strconv.Itoa(len(aSecond(0)))},
			body: []any{head(otherApp), aSecond(0), aSecond(9)}, want: "b1@0 r1@0 p1@0 b2@9 r2@9 p2@9"},

		{name: "4002 while it arrives",
			body: []any{head(otherApp), unknown(0, at(0), at(20_001), at(20_050)), aSecond(30_000)}, want: "b1@0 e1@0:4002 b2@30000 r2@30000 p2@30000"},
		{name: "4002 by its last frame",
			body: []any{headOf(otherApp, 0, mkv.Track{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_X", DefaultDuration: 11e6}), twentySeconds, aSecond(30_000)},
			want: "b1@0 e1@0:4002 b2@30000 r2@30000 p2@30000"},
		{name: "twenty seconds to the millisecond",
			body: []any{headOf(otherApp, 0, mkv.Track{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_X", DefaultDuration: 10e6}), twentySeconds},
			want: "b1@0 r1@0 p1@0"},

		{name: "4004 equal and smaller; it may go on above the greatest",
			body: []any{head(otherApp), aSecond(1000), aSecond(1000), aSecond(999), aSecond(1001)},
			want: "b1@1000 r1@1000 p1@1000 b2@1000 e2@1000:4004 b3@999 e3@999:4004 b4@1001 r4@1001 p4@1001"},
		{name: "4004 after a fragment that failed",
			body: []any{head(otherApp), unknown(1000, frame(9, 0, 10)), aSecond(500)}, want: "b1@1000 e1@1000:4010 b2@500 e2@500:4004"},
		{name: "4004 overlapping frames", limits: []string{"fragment.overlap", "off"},
			body: []any{head(otherApp), aSecond(0), aSecond(500), aSecond(501)}, want: "b1@0 r1@0 p1@0 b2@500 e2@500:4004 b3@501 r3@501 p3@501"},
		{name: "tracks overlap with themselves only", limits: []string{"fragment.overlap", "off"},
			body: []any{two, unknown(0, at(0), frame(2, 0, 10), frame(2, 980, 10), at(1000)), unknown(1050, at(0), frame(2, -60, 10)), unknown(2000, at(0), frame(2, -1010, 10))},
			want: "b1@0 r1@0 p1@0 b2@1050 r2@1050 p2@1050 b3@2000 e3@2000:4004"},
		{name: "overlap is allowed in the open profile",
			body: []any{head(otherApp), aSecond(0), aSecond(500)}, want: "b1@0 r1@0 p1@0 b2@500 r2@500 p2@500"},

		{name: "4005", limits: []string{"fragment.tracks", "1"}, body: []any{two, aSecond(0)}, want: "e:4005", end: TooManyTracks},

		{name: "4006 no Matroska", body: []any{[]byte("GET / HTTP/1.1\r\n\r\n")}, want: "e:4006", end: InvalidMKV},
		{name: "4006 inside a cluster costs the fragment",
			body: []any{head(otherApp), aSecond(0), []byte{0xA3, 0x81, 0x00}}, want: "b1@0 e1@0:4006", end: InvalidMKV},
		{name: "4006 behind a whole cluster of known size does not",
			body: []any{head(otherApp), sized(0, at(0)), []byte{0x00}}, want: "b1@0 r1@0 p1@0 e:4006", end: InvalidMKV},
		{name: "4006 a segment without a cluster", body: []any{head(otherApp)}, want: "e:4006", end: InvalidMKV},
		{name: "4006 no tracks", body: []any{mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{})), aSecond(0)}, want: "e:4006", end: InvalidMKV},
		{name: "4006 a second segment", body: []any{head(otherApp), aSecond(0), endTag, head(otherApp), aSecond(1000)}, want: "b1@0 r1@0 p1@0 e:4006", end: InvalidMKV},
		{name: "4006 a second segment during a fragment", body: []any{head(otherApp), aSecond(0), head(otherApp)}, want: "b1@0 e1@0:4006", end: InvalidMKV},
		{name: "4006 two EBML headers", body: []any{mkv.AppendEBML(nil, mkv.Header{}), head(otherApp), aSecond(0)}, want: "e:4006", end: InvalidMKV},
		{name: "4006 a second Tracks in the header",
			body: []any{head(otherApp), mkv.AppendTracks(nil, []mkv.Track{audioTrack}), aSecond(0)}, want: "e:4006", end: InvalidMKV},
		{name: "4006 Tracks between clusters",
			body: []any{head(otherApp), sized(0, at(0)), mkv.AppendTracks(nil, []mkv.Track{videoTrack})}, want: "b1@0 r1@0 p1@0 e:4006", end: InvalidMKV},
		{name: "4006 endless header", body: []any{head(otherApp), mkv.AppendVoid(nil, maxHeader)}, want: "e:4006", end: InvalidMKV},
		{name: "4006 endless bytes between two fragments",
			body: []any{head(otherApp), aSecond(0), endTag, mkv.AppendVoid(nil, maxLead+1)}, want: "b1@0 r1@0 p1@0 e:4006", end: InvalidMKV},
		{name: "an empty body is no error", body: nil, want: ""},

		{name: "4007 beyond the year 9999",
			body: []any{head(otherApp), aSecond(uint64(kvs.MaxMillis) + 1), aSecond(uint64(kvs.MaxMillis) + 2)},
			want: "b1@253402300800000 e1@253402300800000:4007 b2@253402300800001 e2@253402300800001:4007"},
		{name: "the last millisecond of 9999",
			body: []any{head(otherApp), aSecond(uint64(kvs.MaxMillis))}, want: "b1@253402300799999 r1@253402300799999 p1@253402300799999"},
		{name: "4007 before 1970", request: Request{Relative: true, Start: -10},
			body: []any{head(otherApp), aSecond(9), aSecond(10)}, want: "b1@9 e1@9:4007 b2@10 r2@10 p2@10"},
		{name: "4007 by the scale",
			body: []any{headOf(otherApp, 1<<62, videoTrack), aSecond(1 << 61)}, want: "b1@2305843009213693952 e1@2305843009213693952:4007"},

		{name: "4009 too many", body: []any{head(otherApp), aSecond(0), many(11, "n", "v"), aSecond(1000), many(10, "n", "v"), aSecond(2000)},
			want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4009 b3@2000 r3@2000 p3@2000"},
		{name: "4009 a long name", body: []any{head(otherApp), aSecond(0), meta(strings.Repeat("n", 129), "v"), aSecond(1000), meta(strings.Repeat("n", 128), "v"), aSecond(2000)},
			want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4009 b3@2000 r3@2000 p3@2000"},
		{name: "4009 a long value", body: []any{head(otherApp), aSecond(0), meta("n", strings.Repeat("v", 257)), aSecond(1000), meta("n", strings.Repeat("v", 256)), aSecond(2000)},
			want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4009 b3@2000 r3@2000 p3@2000"},
		{name: "4009 a long binary value", body: []any{head(otherApp), aSecond(0),
			mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "n", Binary: make([]byte, 257)}}}}), aSecond(1000)},
			want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4009"},

		{name: "4010", body: []any{head(otherApp), unknown(0, at(0), frame(2, 1, 10), at(40)), aSecond(1000)}, want: "b1@0 e1@0:4010 b2@1000 r2@1000 p2@1000"},
		{name: "4011", body: []any{two, unknown(0, at(0)), unknown(1000, at(0), frame(2, 0, 10))}, want: "b1@0 e1@0:4011 b2@1000 r2@1000 p2@1000"},
		{name: "4011 no frame at all", body: []any{head(otherApp), unknown(0), aSecond(1000)}, want: "b1@0 e1@0:4011 b2@1000 r2@1000 p2@1000"},
		{name: "4012", body: []any{head(otherApp), aSecond(0), meta("AWS_KINESISVIDEO_X", "v"), aSecond(1000), meta("aws", "v"), aSecond(2000)},
			want: "b1@0 r1@0 p1@0 b2@1000 e2@1000:4012 b3@2000 r3@2000 p3@2000"},
		{name: "4013", limits: []string{"fragment.min-duration", "1s"},
			body: []any{head(otherApp), unknown(0, at(0), at(499)), aSecond(1000)}, want: "b1@0 e1@0:4013 b2@1000 r2@1000 p2@1000"},
		{name: "the last fragment of a session may be short", limits: []string{"fragment.min-duration", "1s"},
			body: []any{head(otherApp), aSecond(0), unknown(1500, at(0), at(499))}, want: "b1@0 r1@0 p1@0 b2@1500 r2@1500 p2@1500"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shared.again(t)
			if test.limits != nil {
				s.limit(test.limits...)
			}
			test.request.Stream = s.stream(24)
			c := s.putCtx(t.Context(), test.request, newScript(test.body...), &ledger{t: t})
			c.want(test.want, test.end)
			s.wantCounts(c)
			s.wantEmpty()
		})
	}
}

// wantCounts compares the summary with the acknowledgements.
func (s *studio) wantCounts(c *call) {
	s.t.Helper()
	var received, persisted, failed int
	for _, a := range c.short {
		switch a[0] {
		case 'r':
			received++
		case 'p':
			persisted++
		case 'e':
			failed++
		}
	}
	if c.Fragments != received || c.Persisted != persisted || c.Failed != failed {
		s.t.Errorf("the summary says %+v; %d received, %d persisted, %d failed were acknowledged", c.Summary, received, persisted, failed)
	}
	if n := len(s.shelf.all()); n < persisted {
		s.t.Errorf("%d fragments in the archive, %d were acknowledged", n, persisted)
	}
}

func TestLenientTracksTurnOff4011(t *testing.T) {
	s := newStudio(t, quota.Open)
	e := s.stream(24, "millrace:lenient-tracks", "1")
	two := headOf(otherApp, 0, videoTrack, audioTrack)
	s.put(e, two, unknown(0, at(0)), unknown(1000), unknown(2000, frame(2, 0, 10))).
		want("b1@0 r1@0 p1@0 b2@1000 e2@1000:4011 b3@2000 r3@2000 p3@2000", 0)
	s.wantEmpty()
}

func TestTheArchivesFailureIs5001(t *testing.T) {
	s := newStudio(t, quota.Open)
	s.shelf.failure = func(n int) error {
		if n == 2 {
			return errors.New("no space left on device")
		}
		return nil
	}
	c := s.put(s.stream(24), head(otherApp), aSecond(0), aSecond(1000), aSecond(2000))
	c.want("b1@0 r1@0 p1@0 b2@1000 r2@1000 e2@1000:5001 b3@2000 r3@2000 p3@2000", 0)
	if c.Fragments != 3 || c.Persisted != 2 || c.Failed != 1 {
		t.Errorf("got %+v", c.Summary)
	}
	s.wantEmpty()
}

func TestACatalogOutOfReachIs5001(t *testing.T) {
	s := newStudio(t, quota.Open)
	e := s.stream(24)
	closeRows := func() {
		if err := s.rows.Close(); err != nil {
			t.Error(err)
		}
	}
	// Numbers are reserved by the thousand: only the next session notices.
	s.put(e, head(otherApp), aSecond(0), closeRows, aSecond(1000)).want("b1@0 r1@0 p1@0 b2@1000 r2@1000 p2@1000", 0)
	s.put(e, head(otherApp), aSecond(0)).want("e:5001", ArchivalError)
	s.wantEmpty()
}

func TestTheExactLines(t *testing.T) {
	s := newStudio(t, quota.Open)
	c := s.put(s.stream(24), head(otherApp), aSecond(1600994737365), aSecond(5), []byte{0})
	n := s.shelf.all()[0].Fragment.Number.String()
	for i, want := range []string{
		`{"EventType":"BUFFERING","FragmentTimecode":1600994737365,"FragmentNumber":"` + n + `"}` + "\n",
		`{"EventType":"RECEIVED","FragmentTimecode":1600994737365,"FragmentNumber":"` + n + `"}` + "\n",
		`{"EventType":"PERSISTED","FragmentTimecode":1600994737365,"FragmentNumber":"` + n + `"}` + "\n",
	} {
		if c.lines[i] != want {
			t.Errorf("got  %swant %s", c.lines[i], want)
		}
	}
	if !strings.HasSuffix(c.lines[4], `","ErrorCode":"FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS","ErrorId":4004}`+"\n") {
		t.Errorf("got %s", c.lines[4])
	}
	c = s.put(s.stream(24), []byte("nonsense"))
	if want := `{"EventType":"ERROR","FragmentTimecode":-1,"FragmentNumber":"","ErrorCode":"INVALID_MKV_DATA","ErrorId":4006}` + "\n"; c.lines[0] != want {
		t.Errorf("got  %swant %s", c.lines[0], want)
	}
	if got := string(Ack{Type: Idle}.AppendJSON(nil)); got != `{"EventType":"IDLE"}`+"\n" {
		t.Errorf("got %s", got)
	}
}

func TestFaultsSayWhatWasWrong(t *testing.T) {
	cause := errors.New("reset by peer")
	f := &Fault{Code: StreamReadError, Reason: "the body broke off", Cause: cause}
	if f.Error() != "4000 STREAM_READ_ERROR: the body broke off" || !errors.Is(f, cause) {
		t.Errorf("got %v", f)
	}
	for c, name := range codeNames {
		if c.String() != name || name == "" {
			t.Errorf("%d has no name", int(c))
		}
	}
}
