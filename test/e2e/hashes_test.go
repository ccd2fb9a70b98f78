package e2e

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// hashed is what ffmpeg makes of media.
type hashed struct {
	pictures []frameHash // decoded, in the order of presentation; none of sound alone
	sound    []frameHash // coded packets; of G.711 the decoded samples
	other    []frameHash // coded packets of a second track of sound
}

// tracks are those that there are, in their order.
func (h *hashed) tracks() (all []*[]frameHash) {
	for _, frames := range []*[]frameHash{&h.pictures, &h.sound, &h.other} {
		if len(*frames) > 0 {
			all = append(all, frames)
		}
	}
	return all
}

// begin is when the first picture is presented, or the first sound where there is no picture.
func (h *hashed) begin() float64 { return (*h.tracks()[0])[0].time }

// frameHash is the MD5 of a picture or packet and its time in seconds.
type frameHash struct {
	time float64
	md5  string
}

// How the sound of a recording is compared.
const (
	noSound = ""
	coded   = "coded"   // packet for packet
	samples = "samples" // decoded, wherever packets begin
	alone   = "alone"   // packet for packet, and there is no picture
	two     = "two"     // packet for packet, of two tracks
)

// hashes lets ffmpeg read media from a file or URL. It must not complain. Args are those of
// copied sound.
func hashes(t *testing.T, in, sound string, args ...string) (h hashed) {
	t.Helper()
	if sound != alone {
		h.pictures = framemd5(t, in, "-map", "0:v:0", "-vsync", "passthrough", "-autoscale", "0", "-enc_time_base", "1:90000")
	}
	packets := func(track string) []frameHash {
		return framemd5(t, in, append([]string{"-map", track, "-c", "copy"}, args...)...)
	}
	switch sound {
	case coded, alone:
		h.sound = packets("0:a:0")
	case two:
		h.sound, h.other = packets("0:a:0"), packets("0:a:1")
	case samples:
		h.sound = decoded(t, in)
	}
	return h
}

// decoded are the decoded samples of G.711 in pieces of 20 ms, wherever packets begin. Only the
// first one's time is the media's.
func decoded(t *testing.T, in string) (all []frameHash) {
	t.Helper()
	begin := framemd5(t, in, "-map", "0:a:0", "-c", "copy")[0].time
	pcm := []byte(run(t, environment(), "ffmpeg", "-v", "error", "-i", in, "-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "s16le", "-"))
	for piece := range slices.Chunk(pcm, 2*8000/50) {
		all = append(all, frameHash{begin + float64(len(all))/50, fmt.Sprintf("%x", md5.Sum(piece))})
	}
	return all
}

// framemd5 runs ffmpeg with its framemd5 output.
func framemd5(t *testing.T, in string, args ...string) []frameHash {
	t.Helper()
	args = append(append([]string{"-v", "error", "-copyts", "-i", in}, args...), "-f", "framemd5", "-")
	out, complaints, err := try(t, environment(), nil, "ffmpeg", args...)
	if err != nil || complaints != "" {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, complaints)
	}
	return parseFramemd5(t, out)
}

func parseFramemd5(t *testing.T, out string) (all []frameHash) {
	t.Helper()
	var numerator, denominator float64
	for line := range strings.Lines(out) {
		if _, err := fmt.Sscanf(line, "#tb 0: %g/%g", &numerator, &denominator); err == nil || strings.HasPrefix(line, "#") {
			continue
		}
		field := strings.Split(line, ",")
		if len(field) < 6 { // side data of a packet follow its hash
			t.Fatalf("no frame of framemd5: %q", line)
		}
		pts, err := strconv.ParseFloat(strings.TrimSpace(field[2]), 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, frameHash{pts * numerator / denominator, strings.TrimSpace(field[5])})
	}
	if len(all) == 0 {
		t.Fatalf("no frames in\n%s", out)
	}
	return all
}

// plus is h and then what another producer sent, so many seconds later.
func (h hashed) plus(other hashed, later float64) hashed {
	delayed := func(all, more []frameHash) []frameHash {
		for _, f := range more {
			all = append(all, frameHash{f.time + later, f.md5})
		}
		return all
	}
	return hashed{delayed(h.pictures, other.pictures), delayed(h.sound, other.sound), delayed(h.other, other.other)}
}

// from moves frames so that the first has a time. ffmpeg presents pictures of fragmented MP4 later
// than the boxes say, by the longest negative composition offset, in its own files too; so their
// beginning comes from another parser.
func from(begin float64, all []frameHash) []frameHash {
	moved := slices.Clone(all)
	for i := range moved {
		moved[i].time += begin - all[0].time
	}
	return moved
}

// kinds names the tracks of what is hashed.
func (h *hashed) kinds() map[string][]frameHash {
	return map[string][]frameHash{"picture": h.pictures, "sound": h.sound, "other sound": h.other}
}

// same compares frame for frame what came out with what went in.
func same(t *testing.T, way string, got, want hashed) {
	t.Helper()
	for what, w := range want.kinds() {
		g := got.kinds()[what]
		if len(g) != len(w) {
			t.Errorf("%s: %d frames of %s, want %d", way, len(g), what, len(w))
		}
		for i := range min(len(g), len(w)) {
			if g[i].md5 != w[i].md5 {
				t.Errorf("%s: %s %d is another one (at %.3f s, sent at %.3f s)", way, what, i, g[i].time-g[0].time, w[i].time-w[0].time)
				break
			}
		}
	}
}

// sameTimes compares when frames are presented, counted from the first picture: within a
// millisecond, which is what Matroska's stamps are exact to, and a bit for the time scales.
func sameTimes(t *testing.T, way string, got, want hashed) {
	t.Helper()
	for what, all := range want.kinds() {
		of := got.kinds()[what]
		for i := range min(len(of), len(all)) {
			if g, w := of[i].time-got.begin(), all[i].time-want.begin(); math.Abs(g-w) > 0.0012 {
				t.Errorf("%s: %s %d is presented at %.4f s, was sent for %.4f s", way, what, i, g, w)
				break
			}
		}
	}
}

// annexB is Matroska of H.264 or H.265 with start codes instead of lengths, in frames and
// private data, as many cameras send it.
func annexB(t *testing.T, file []byte) []byte {
	t.Helper()
	out := headOf(t, file, func(track *mkv.Track) {
		switch track.CodecID {
		case "V_MPEG4/ISO/AVC":
			track.CodecPrivate = startCodes(setsOfAVC(track.CodecPrivate))
		case "V_MPEGH/ISO/HEVC":
			track.CodecPrivate = startCodes(setsOfHEVC(track.CodecPrivate))
		}
	})
	var begin int64
	for _, f := range frames(t, bytes.NewReader(file)) {
		data := []byte(f.data)
		if f.track == 1 {
			data = startCodes(units(data, 4))
			if f.key {
				begin = f.timecode
				out = mkv.AppendClusterUnknown(out, uint64(begin))
			}
		}
		out = mkv.AppendSimpleBlock(out, mkv.BlockHeader{Track: f.track, Time: int16(f.timecode - begin), Key: f.key}, data)
	}
	return out
}

// headOf is what stands in front of a file's clusters when their number is not known yet. A
// function may change the tracks.
func headOf(t *testing.T, file []byte, change func(*mkv.Track)) []byte {
	t.Helper()
	for r := mkv.NewReader(bytes.NewReader(file), mkv.Options{}); ; {
		it, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if it.Kind != mkv.TracksElement || it.Tracks == nil {
			continue
		}
		for i := range it.Tracks {
			change(&it.Tracks[i])
		}
		head := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska", DocTypeVersion: 4, DocTypeReadVersion: 2})
		head = mkv.AppendInfo(mkv.AppendSegmentUnknown(head), &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "millrace e2e"})
		return mkv.AppendTracks(head, it.Tracks)
	}
}

// startCodes joins NAL units.
func startCodes(units [][]byte) (b []byte) {
	for _, u := range units {
		b = append(append(b, 0, 0, 0, 1), u...)
	}
	return b
}

// units splits bytes at length fields of n bytes.
func units(b []byte, n int) (all [][]byte) {
	for len(b) >= n {
		size := 0
		for _, c := range b[:n] {
			size = size<<8 | int(c)
		}
		all, b = append(all, b[n:n+size]), b[n+size:]
	}
	return all
}

// setsOfAVC are the parameter sets of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15,
// 5.3.3.1).
func setsOfAVC(b []byte) (all [][]byte) {
	for b = b[5:]; len(all) < 2; { // one SPS, then one PPS
		size := int(b[1])<<8 | int(b[2])
		all, b = append(all, b[3:3+size]), b[3+size:]
	}
	return all
}

// setsOfHEVC are the parameter sets of an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15,
// 8.3.3.1).
func setsOfHEVC(b []byte) (all [][]byte) {
	arrays := int(b[22])
	for b = b[23:]; arrays > 0; arrays-- {
		n := int(b[1])<<8 | int(b[2])
		for b = b[3:]; n > 0; n-- {
			size := int(b[0])<<8 | int(b[1])
			all, b = append(all, b[2:2+size]), b[2+size:]
		}
	}
	return all
}
