package e2e

import (
	"bytes"
	"encoding/hex"
	"io"
	"time"

	"github.com/millrace/millrace/mkv"
)

// onMedia are the operations that play what is stored.
var onMedia = []string{"GetHLSStreamingSessionURL", "GetDASHStreamingSessionURL", "GetClip"}

// playing is a call that plays the fragment of a stream that was put just now.
func playing(operation, stream string) object {
	in := object{"StreamName": stream}
	if operation == "GetClip" {
		in["ClipFragmentSelector"] = object{"FragmentSelectorType": "PRODUCER_TIMESTAMP",
			"TimestampRange": object{"StartTimestamp": date(began), "EndTimestamp": date(began.Add(time.Minute))}}
	}
	return in
}

// baseline is the private data of 320x240 in H.264.
const baseline = "0142c00dffe100186742c00dd90141fb0110000003001000000303c0f142a48001000568cb83cb20"

// unplayable provokes what is wrong about the media of a stream.
func (p *provocation) unplayable(s *server) {
	who := s.caller(p)
	private, err := hex.DecodeString(baseline)
	if err != nil {
		p.Fatal(err)
	}
	for _, c := range []struct {
		stream, codec string
		private       []byte
		exception     string
		operations    []string
	}{
		{"strange", "V_VP8", nil, "UnsupportedStreamMediaTypeException", onMedia},
		{"bare", "V_MPEG4/ISO/AVC", nil, "MissingCodecPrivateDataException", onMedia},
		{"spoilt", "V_MPEG4/ISO/AVC", []byte{1, 66, 0, 30, 255}, "InvalidCodecPrivateDataException", onMedia},
		{"noise", "V_MPEG4/ISO/AVC", private, "InvalidMediaFrameException", []string{"GetClip"}},
	} {
		who.must(p, "CreateStream", object{"StreamName": c.stream, "DataRetentionInHours": 24}, nil)
		p.film(s, c.stream, mkv.Track{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: c.codec, CodecPrivate: c.private,
			Video: &mkv.Video{PixelWidth: 320, PixelHeight: 240}})
		for _, op := range c.operations {
			p.expect(who, op, c.exception, playing(op, c.stream))
		}
	}
	who.must(p, "CreateStream", object{"StreamName": "fleeting"}, nil)
	for _, op := range onMedia {
		p.expect(who, op, "NoDataRetentionException", playing(op, "fleeting"))
	}
}

// film stores a fragment of noise of a track.
func (p *provocation) film(s *server, stream string, track mkv.Track) {
	p.Helper()
	b := mkv.AppendEBML(nil, mkv.Header{Version: 1, ReadVersion: 1, MaxIDLength: 4, MaxSizeLength: 8,
		DocType: "matroska", DocTypeVersion: 2, DocTypeReadVersion: 2})
	b = mkv.AppendInfo(mkv.AppendSegmentUnknown(b), &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "millrace e2e", WritingApp: "millrace e2e"})
	b = append(mkv.AppendTracks(b, []mkv.Track{track}), cluster(0, 5, 1000, 1)...)
	session := s.open(p, stream)
	go func() {
		_, err := io.Copy(session, bytes.NewReader(b))
		_ = session.CloseWithError(err)
	}()
	if acks := session.rest(p); len(persisted(acks)) != 1 {
		p.Fatalf("%s: %s", stream, lines(acks))
	}
}
