package codec

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/hevc"

	"github.com/millrace/millrace/mkv"
)

// corpus is private data of many encoder settings, with what ffprobe says of them;
// make_corpus.sh made it.
//
//go:embed testdata/corpus.txt
var corpus string

// recording is a line of the corpus.
type recording struct {
	name  string
	track mkv.Track
	facts map[string]string
}

func recordings(t testing.TB) (all []recording) {
	t.Helper()
	for line := range strings.Lines(corpus) {
		f := strings.Fields(line)
		private, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatal(f[0], err)
		}
		r := recording{name: f[0], track: mkv.Track{Number: 1, CodecID: f[1], CodecPrivate: private}, facts: map[string]string{}}
		for _, fact := range f[3:] {
			key, value, _ := strings.Cut(fact, "=")
			r.facts[key] = value
		}
		all = append(all, r)
	}
	return all
}

func TestRecordingsAgreeWithFfprobe(t *testing.T) {
	for _, r := range recordings(t) {
		c, err := Of(&r.track)
		if err != nil {
			t.Errorf("%s: %v", r.name, err)
			continue
		}
		got := map[string]string{"sample_rate": strconv.Itoa(c.SampleRate), "channels": strconv.Itoa(c.Channels),
			"width": strconv.Itoa(c.Width), "height": strconv.Itoa(c.Height), "has_b_frames": strconv.Itoa(c.Reorder), "r_frame_rate": ""}
		rate := c.FrameRate
		if n, d, ok := strings.Cut(r.facts["r_frame_rate"], "/"); ok {
			num, _ := strconv.ParseFloat(n, 64)
			den, _ := strconv.ParseFloat(d, 64)
			if math.Abs(num/den-rate) < 1e-6 {
				got["r_frame_rate"] = r.facts["r_frame_rate"]
			}
		}
		for key, want := range r.facts {
			if got[key] != want {
				t.Errorf("%s: %s is %q (%+v), ffprobe says %q", r.name, key, got[key], c, want)
			}
		}
		if err := second(&c); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
	}
}

// second asks another parser for the codec's name, where it reads the record.
func second(c *Track) error {
	want := c.String
	switch c.Kind {
	case H264:
		d, err := avc.DecodeAVCDecConfRec(c.Config)
		if err != nil {
			return err
		}
		sps, err := avc.ParseSPSNALUnit(d.SPSnalus[0], true)
		if err != nil {
			return err
		}
		want = avc.CodecString("avc1", sps)
		if avcHigh(byte(sps.Profile)) && (d.ChromaFormat != sps.ChromaFormatIDC || uint(d.BitDepthLumaMinus1) != sps.BitDepthLumaMinus8) {
			return fmt.Errorf("the record says chroma %d, depth 8+%d, its set %d and 8+%d", d.ChromaFormat, d.BitDepthLumaMinus1, sps.ChromaFormatIDC, sps.BitDepthLumaMinus8)
		}
	case H265:
		d, err := hevc.DecodeHEVCDecConfRec(c.Config)
		if err != nil {
			return err
		}
		sps, err := hevc.ParseSPSNALUnit(d.GetNalusForType(hevc.NALU_SPS)[0])
		if err != nil {
			return err
		}
		want = hevc.CodecString("hvc1", sps)
		if w, h := sps.ImageSize(); int(w) != c.Width || int(h) != c.Height || d.ChromaFormatIDC != sps.ChromaFormatIDC || d.BitDepthLumaMinus8 != sps.BitDepthLumaMinus8 {
			return fmt.Errorf("%dx%d, chroma %d, depth 8+%d", w, h, sps.ChromaFormatIDC, sps.BitDepthLumaMinus8)
		}
	}
	if !strings.EqualFold(want, c.String) {
		return fmt.Errorf("%s, the other parser says %s", c.String, want)
	}
	return nil
}
