package ingest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/mkv"
)

// Which fragment tags between two clusters describe shows in which one fails for them
// (decisions sheet, row 3; wire-media sections 3.3 and 3.4).
func TestWhoseMetadataItIs(t *testing.T) {
	shared := newStudio(t, quota.Open)
	bad := meta("AWS_KINESISVIDEO_NONE", "")
	eleven := func() (b []byte) {
		for range 11 {
			b = append(b, meta("n", "v")...)
		}
		return b
	}()
	events := meta("AWS_KINESISVIDEO_IMAGE_GENERATION", "", "AWS_KINESISVIDEO_IMAGE_PREFIX", "p", "AWS_KINESISVIDEO_NOTIFICATION", "")
	const fine, first, second = "b1@0 r1@0 p1@0 b2@1000 r2@1000 p2@1000", "b1@0 e1@0:4012 b2@1000 r2@1000 p2@1000", "b1@0 r1@0 p1@0 b2@1000 e2@1000:4012"
	ofTrack := mkv.AppendTags(nil, []mkv.Tag{{Targets: &mkv.Targets{TrackUIDs: []uint64{11}}, Simple: []mkv.SimpleTag{{Name: "AWSOME"}}}})
	ofMovie := mkv.AppendTags(nil, []mkv.Tag{{Targets: &mkv.Targets{TypeValue: 50}, Simple: []mkv.SimpleTag{{Name: "AWSOME"}}}})
	for _, test := range []struct {
		name string
		app  string
		body []any
		want string
	}{
		{"the SDK's header tags are the first fragment's", sdkApp, []any{bad, aSecond(0), aSecond(1000)}, first},
		{"the SDK's tags are the next fragment's", sdkApp, []any{aSecond(0), bad, aSecond(1000)}, second},
		{"also behind the end tag", sdkApp, []any{aSecond(0), endTag, bad, aSecond(1000)}, second},
		{"also in front of it", sdkApp, []any{aSecond(0), bad, endTag, aSecond(1000)}, second},
		{"tags behind the last cluster are its own", sdkApp, []any{aSecond(0), aSecond(1000), bad}, second},
		{"and add to those in front of it", sdkApp, []any{aSecond(0), meta("a", "b"), aSecond(1000), eleven[:len(eleven)/11*10]}, "b1@0 r1@0 p1@0 b2@1000 e2@1000:4009"},
		{"ten in all are allowed", sdkApp, []any{aSecond(0), meta("a", "b"), aSecond(1000), eleven[:len(eleven)/11*9]}, fine},
		{"the embedded producer's tags are the previous fragment's", embeddedApp, []any{aSecond(0), bad, aSecond(1000)}, first},
		{"its header tags are nobody's", embeddedApp, []any{bad, aSecond(0), aSecond(1000)}, fine},
		{"its tags with the end tag", embeddedApp, []any{aSecond(0), meta("AWS_X", "", endOfFragment, ""), aSecond(1000)}, first},
		{"its last tags", embeddedApp, []any{aSecond(0), aSecond(1000), bad}, second},
		{"another writer's header tags are nobody's", otherApp, []any{bad, aSecond(0), aSecond(1000)}, fine},
		{"its tags are the next fragment's", otherApp, []any{aSecond(0), bad, aSecond(1000)}, second},
		{"event tags are allowed and do not count", sdkApp, []any{events, eleven[:len(eleven)/11*10], aSecond(0), events, endTag, aSecond(1000)}, fine},
		{"tags about a track are the container's", sdkApp, []any{ofTrack, aSecond(0), ofTrack, aSecond(1000)}, fine},
		{"tags about the whole are not", sdkApp, []any{aSecond(0), ofMovie, aSecond(1000)}, second},
		{"a fragment that failed takes its tags with it", sdkApp, []any{bad, unknown(0, frame(9, 0, 1)), aSecond(1000)}, "b1@0 e1@0:4010 b2@1000 r2@1000 p2@1000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := shared.again(t)
			s.put(s.stream(24), append([]any{head(test.app)}, test.body...)...).want(test.want, 0)
			s.wantEmpty()
		})
	}
}

// The tags in front of the first cluster go with the first fragment that is not refused,
// and count there; unless they are the reason themselves.
func TestHeaderTagsWaitForAFragmentThatIsKept(t *testing.T) {
	s := newStudio(t, quota.Open)
	refused := unknown(0, frame(9, 0, 1))
	tags := func(n int) []byte { return bytes.Repeat(meta("a", "b"), n) }
	s.put(s.stream(24), head(sdkApp), tags(1), refused, unknown(0, at(0)), aSecond(1000), aSecond(2000)).
		want("b1@0 e1@0:4010 b2@0 e2@0:4004 b3@1000 r3@1000 p3@1000 b4@2000 r4@2000 p4@2000", 0)
	for i, want := range [][]byte{append(head(sdkApp), tags(1)...), head(sdkApp)} {
		if got := s.shelf.all()[i].Header; !bytes.Equal(got, want) {
			t.Errorf("fragment %d has the header %X, want %X", i+1, got, want)
		}
	}
	s.put(s.stream(24), head(sdkApp), tags(8), refused, tags(3), aSecond(1000), aSecond(2000)).
		want("b1@0 e1@0:4010 b2@1000 e2@1000:4009 b3@2000 r3@2000 p3@2000", 0)
	s.put(s.stream(24), head(sdkApp), tags(11), aSecond(0), aSecond(1000)).
		want("b1@0 e1@0:4009 b2@1000 r2@1000 p2@1000", 0)
	s.wantEmpty()
}

// A stream may say that its producers mean the fragment before.
func TestMetadataOfThePreviousFragmentBySetting(t *testing.T) {
	s := newStudio(t, quota.Open)
	bad := meta("AWS_KINESISVIDEO_NONE", "")
	s.put(s.stream(24, "millrace:metadata", "previous"), head(otherApp), aSecond(0), bad, aSecond(1000)).
		want("b1@0 e1@0:4012 b2@1000 r2@1000 p2@1000", 0)
	s.put(s.stream(24, "millrace:metadata", "next"), head(otherApp), aSecond(0), bad, aSecond(1000)).
		want("b1@0 r1@0 p1@0 b2@1000 e2@1000:4012", 0)
	s.wantEmpty()
}

// An old SDK wrote its first tags in front of the Info that names it.
func TestTagsInFrontOfTheInfo(t *testing.T) {
	for app, want := range map[string]string{sdkApp: "b1@0 e1@0:4012", "GStreamer matroskamux": "b1@0 r1@0 p1@0"} {
		s := newStudio(t, quota.Open)
		b := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{}))
		b = append(b, meta("AWSOME", "")...)
		b = mkv.AppendInfo(b, &mkv.Info{MuxingApp: app})
		b = mkv.AppendTracks(b, []mkv.Track{videoTrack})
		s.put(s.stream(24), b, aSecond(0)).want(want, 0)
	}
}

// What is archived: the header in front of the first cluster with a Segment of unknown
// size, with its tags for the first fragment only; and exactly the bytes from there on,
// cut where a fragment ends.
func TestTheBytesThatAreArchived(t *testing.T) {
	shared := newStudio(t, quota.Open)
	ebml, unknownSegment := mkv.AppendEBML(nil, mkv.Header{DocType: "webm"}), mkv.AppendSegmentUnknown(nil)
	info := mkv.AppendInfo(nil, &mkv.Info{MuxingApp: sdkApp})
	tracks := mkv.AppendTracks(nil, []mkv.Track{videoTrack})
	void, tag, cues := mkv.AppendVoid(nil, 98), meta("a", "b"), mkv.AppendElement(nil, mkv.IDCues, []byte("cues"))
	shortSegment := []byte{0x18, 0x53, 0x80, 0x67, 0xFF}
	knownSegment := []byte{0x18, 0x53, 0x80, 0x67, 0x08, 0x00, 0x00, 0x00, 0xFF}
	a, b, c := unknown(0, at(0), void, groupAt(1, 40, 40)), sized(1000, at(0), at(40)), sdkCluster(2000, at(0))
	cat := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	type want struct{ header, body []byte }
	plain := cat(ebml, unknownSegment, info, tracks)
	for _, test := range []struct {
		name string
		sent [][]byte
		want []want
	}{
		{"clusters of all kinds", [][]byte{ebml, unknownSegment, info, tracks, a, b, c}, []want{{plain, a}, {plain, b}, {plain, c}}},
		{"a Segment of one byte", [][]byte{ebml, shortSegment, info, tracks, a}, []want{{plain, a}}},
		{"a Segment of known size, cut off", [][]byte{ebml, knownSegment, info, tracks, sized(0, at(0))}, []want{{plain, sized(0, at(0))}}},
		{"tags in the first chunk only", [][]byte{ebml, unknownSegment, tag, info, void, tracks, tag, a, b},
			[]want{{cat(ebml, unknownSegment, tag, info, void, tracks, tag), a}, {cat(ebml, unknownSegment, info, void, tracks), b}}},
		{"bytes between clusters belong to the one before", [][]byte{plain, a, tag, cues, b, void, tag}, []want{{plain, cat(a, tag, cues)}, {plain, cat(b, void, tag)}}},
		{"but behind the end tag to the one behind", [][]byte{plain, a, endTag, tag, void, b, tag, endTag, tag}, []want{{plain, cat(a, endTag)}, {plain, cat(tag, void, b, tag, endTag)}}},
	} {
		for _, piece := range []int{0, 1, 7} {
			s := shared.again(t)
			body := newScript(cat(test.sent...))
			body.piece = piece
			s.putCtx(t.Context(), Request{Stream: s.stream(24)}, body, &ledger{t: t})
			got := s.shelf.all()
			if len(got) != len(test.want) {
				t.Fatalf("%s: %d fragments, want %d", test.name, len(got), len(test.want))
			}
			for i, w := range test.want {
				if !bytes.Equal(got[i].Header, w.header) || !bytes.Equal(got[i].body, w.body) {
					t.Errorf("%s, in pieces of %d: fragment %d\nheader %X\nwant   %X\nbody   %X\nwant   %X", test.name, piece, i+1, got[i].Header, w.header, got[i].body, w.body)
				}
				if got[i].Fragment.Size != int64(len(w.body)) {
					t.Errorf("%s: size %d, want %d", test.name, got[i].Fragment.Size, len(w.body))
				}
			}
			s.wantEmpty()
		}
	}
}
