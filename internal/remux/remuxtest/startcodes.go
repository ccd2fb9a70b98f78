package remuxtest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// StartCodes writes a file again as cameras do that know no MP4: with start codes in
// H.264 and H.265 frames, of different forms, and raw parameter sets as private data.
func StartCodes(t testing.TB, file []byte) (out []byte) {
	t.Helper()
	r := mkv.NewReader(bytes.NewReader(file), mkv.Options{})
	var a mkv.Assembler
	video := map[uint64]bool{}
	for n := 0; ; n++ {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		switch it.Kind {
		case mkv.EBML:
			out = append(out, it.Raw...)
		case mkv.SegmentStart:
			out = mkv.AppendSegmentUnknown(out)
		case mkv.TracksElement:
			for i := range it.Tracks {
				if d := &it.Tracks[i]; d.Video != nil {
					d.CodecPrivate, video[d.Number] = annexB(d.CodecID, d.CodecPrivate), true
				}
			}
			out = mkv.AppendTracks(out, it.Tracks)
		case mkv.ClusterTimecode:
			out = mkv.AppendClusterUnknown(out, it.Timecode)
		}
		for _, f := range a.Add(it) {
			if video[f.Track] {
				f.Data = startCodes(f.Data, n)
			}
			out = mkv.AppendSimpleBlock(out, mkv.BlockHeader{Track: f.Track, Time: int16(f.Timecode - int64(it.Timecode)), Key: f.Key}, f.Data)
		}
	}
}

// annexB takes the parameter sets out of an avcC or hvcC record.
func annexB(codecID string, record []byte) (out []byte) {
	sets := func(b []byte, n int) []byte {
		for range n {
			length := int(binary.BigEndian.Uint16(b))
			out = append(append(out, 0, 0, 0, 1), b[2:2+length]...)
			b = b[2+length:]
		}
		return b
	}
	if codecID == "V_MPEG4/ISO/AVC" {
		rest := sets(record[6:], int(record[5]&0x1F))
		sets(rest[1:], int(rest[0]))
		return out
	}
	rest := record[23:]
	for range int(record[22]) {
		rest = sets(rest[3:], int(binary.BigEndian.Uint16(rest[1:])))
	}
	return out
}

// startCodes changes lengths of NAL units to start codes, with zeros around them.
func startCodes(frame []byte, n int) (out []byte) {
	for len(frame) > 4 {
		size := int(binary.BigEndian.Uint32(frame))
		out = append(out, make([]byte, n%3)...)
		out = append(out, 0, 0, 1)
		out = append(out, frame[4:4+size]...)
		frame, n = frame[4+size:], n+1
	}
	return append(out, make([]byte, n%4)...)
}
