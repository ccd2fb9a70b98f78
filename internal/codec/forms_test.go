package codec

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// private returns the private data of a recording.
func private(t testing.TB, name string) []byte {
	t.Helper()
	for _, r := range recordings(t) {
		if r.name == name {
			return r.track.CodecPrivate
		}
	}
	t.Fatal("no recording " + name)
	return nil
}

func of(id string, private []byte) (Track, error) {
	return Of(&mkv.Track{Number: 1, CodecID: id, CodecPrivate: private})
}

func TestFormsOfAAC(t *testing.T) {
	for _, c := range []struct {
		name     string
		config   []byte
		hertz    int
		channels int
		samples  int
		want     string // the codec's name, or what the error says
	}{
		{"LC", []byte{0x11, 0x90}, 48000, 2, 1024, "mp4a.40.2"},
		{"LC with SBR behind it", []byte{0x13, 0x10, 0x56, 0xE5, 0x98}, 24000, 2, 1024, "mp4a.40.2"},
		{"HE-AAC", []byte{0x2B, 0x11, 0x88, 0x00}, 24000, 2, 1024, "mp4a.40.5"},
		{"HE-AAC v2", []byte{0xEB, 0x09, 0x88, 0x00}, 24000, 1, 1024, "mp4a.40.29"},
		{"960 samples", []byte{0x11, 0x94}, 48000, 2, 960, "mp4a.40.2"},
		{"a rate of its own", []byte{0x17, 0x80, 0x5D, 0xE0, 0x10}, 48064, 2, 1024, "mp4a.40.2"},
		{"a byte", []byte{0x11}, 0, 0, 0, "too soon"},
		{"ADTS", []byte{0xFF, 0xF1, 0x50, 0x80}, 0, 0, 0, "ADTS"},
		{"no type", []byte{0x01, 0x90}, 0, 0, 0, "unknown type"},
		{"reserved rate", []byte{0x16, 0x90}, 0, 0, 0, "sampling rate"},
		{"reserved channels", []byte{0x11, 0xC8}, 0, 0, 0, "channel configuration 9"},
		{"ELD", []byte{0xF8, 0xE6, 0x20, 0x00}, 0, 0, 0, "object type 39"},
	} {
		got, err := of("A_AAC", c.config)
		if err != nil {
			if c.hertz > 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if got.SampleRate != c.hertz || got.Channels != c.channels || got.FrameSamples != c.samples || got.String != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestFormsOfG711(t *testing.T) {
	wave := private(t, "alaw")
	extensible := append([]byte{0xFE, 0xFF}, wave[2:]...)
	extensible = append(extensible, make([]byte, 22)...)
	extensible[24] = 7
	if c, err := of("A_MS/ACM", extensible); err != nil || c.Kind != ULaw {
		t.Errorf("%+v, %v", c, err)
	}
	for what, b := range map[string][]byte{"cut off": wave[:14], "no channels": slices.Concat(wave[:2], []byte{0, 0}, wave[4:]),
		"16 bits": slices.Concat(wave[:14], []byte{16, 0}), "PCM": slices.Concat([]byte{1, 0}, wave[2:])} {
		if c, err := of("A_MS/ACM", b); err == nil {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

// Parameter sets make one record, whatever start codes and other units stand around them.
func TestStartCodesMakeOneRecord(t *testing.T) {
	for name, other := range map[string][]byte{"start-codes": {0x09, 0x10}, "hevc-start-codes": {0x46, 0x01, 0x50}} {
		b := private(t, name)
		id := "V_MPEG4/ISO/AVC"
		if strings.HasPrefix(name, "hevc") {
			id = "V_MPEGH/ISO/HEVC"
		}
		want, err := of(id, b)
		if err != nil || !want.AnnexB {
			t.Fatal(name, err)
		}
		code := []byte{0, 0, 1}
		for what, form := range map[string][]byte{
			"long start codes": bytes.ReplaceAll(b, code, []byte{0, 0, 0, 1}),
			"zeros around":     append(append([]byte{0, 0, 0}, b...), 0, 0, 0),
			"other units":      slices.Concat(code, other, b, code, other),
		} {
			c, err := of(id, form)
			if err != nil || !bytes.Equal(c.Config, want.Config) {
				t.Errorf("%s, %s: %v, %x, want %x", name, what, err, c.Config, want.Config)
			}
		}
		if c, err := of(id, b[:len(b)/4]); err == nil {
			t.Errorf("%s cut off: %+v", name, c)
		}
		if c, err := of(id, append([]byte{7}, b...)); err == nil {
			t.Errorf("%s behind another byte: %+v", name, c)
		}
	}
}

func TestFormsOfRecords(t *testing.T) {
	avc, hevc := private(t, "main-bframes"), private(t, "hevc-main")
	change := func(b []byte, at int, to byte) []byte {
		b = slices.Clone(b)
		b[at] = to
		return b
	}
	if c, err := of("V_MPEG/ISO/AVC", change(avc, 4, 0xFD)); err != nil || c.LengthSize != 2 || c.AnnexB {
		t.Errorf("lengths of two bytes: %+v, %v", c, err)
	}
	if _, err := of("V_MPEG4/ISO/AVC", append(slices.Clone(avc), 1, 2, 3)); err != nil {
		t.Errorf("bytes behind the record: %v", err)
	}
	for what, b := range map[string][]byte{"lengths of three bytes": change(avc, 4, 0xFE), "no sequence sets": change(avc, 5, 0xE0),
		"no picture sets": avc[:len(avc)-7], "a set that is none": change(avc, 8, 0x65)} {
		if c, err := of("V_MPEG4/ISO/AVC", b); err == nil {
			t.Errorf("%s: %+v", what, c)
		}
	}
	for n := range avc {
		if c, err := of("V_MPEG4/ISO/AVC", avc[:n]); err == nil {
			t.Errorf("%d bytes of avcC: %+v", n, c)
		}
	}
	for n := range hevc {
		if c, err := of("V_MPEGH/ISO/HEVC", hevc[:n]); err == nil {
			t.Errorf("%d bytes of hvcC: %+v", n, c)
		}
	}
	before := slices.Clone(hevc)
	c, err := of("V_MPEGH/ISO/HEVC", hevc)
	if err != nil || !bytes.Equal(before, hevc) || c.Config[23] != 0xA0 || before[23] != 0x20 {
		t.Errorf("the copy does not say that its sets are all, or the original does: %x, %v", c.Config, err)
	}
}

// writer puts a sequence parameter set together.
type writer []byte // a bit each

func (w *writer) u(v, n int) {
	for i := n - 1; i >= 0; i-- {
		*w = append(*w, byte(v>>i&1))
	}
}

func (w *writer) ue(v int) {
	n := 0
	for (v+1)>>(n+1) > 0 {
		n++
	}
	w.u(0, n)
	w.u(v+1, n+1)
}

func (w *writer) bytes() (b []byte) {
	w.u(1, 1)
	for len(*w)%8 != 0 {
		w.u(0, 1)
	}
	for i := 0; i < len(*w); i += 8 {
		v := byte(0)
		for _, bit := range (*w)[i : i+8] {
			v = v<<1 | bit
		}
		b = append(b, v)
	}
	return b
}

// avcSet makes a sequence parameter set without usability information.
func avcSet(profile, flags, level, order, references, width, height int) []byte {
	var w writer
	for _, v := range []int{0x67, profile, flags, level} {
		w.u(v, 8)
	}
	w.ue(0)
	if avcHigh(byte(profile)) {
		w.ue(1)
		w.ue(0)
		w.ue(0)
		w.u(0, 2)
	}
	w.ue(0)
	w.ue(order)
	if order == 0 {
		w.ue(2)
	}
	w.ue(references)
	w.u(0, 1)
	w.ue(width/16 - 1)
	w.ue(height/16 - 1)
	w.u(0b1100, 4) // frames, direct inference, no cropping, no usability information
	return w.bytes()
}

// Without usability information the depth of reordering is the least that any stream of
// that kind can need.
func TestReorderingThatIsNotSaid(t *testing.T) {
	for _, c := range []struct {
		name string
		set  []byte
		want int
	}{
		{"baseline", avcSet(66, 0, 31, 0, 4, 640, 480), 0},
		{"order of decoding", avcSet(77, 0, 31, 2, 4, 640, 480), 0},
		{"main", avcSet(77, 0, 31, 0, 3, 640, 480), 3},
		{"one reference", avcSet(100, 0, 40, 0, 1, 1920, 1088), 1},
		{"as the level has room", avcSet(100, 0, 40, 0, 16, 1920, 1088), 4},
		{"level 1b", avcSet(77, 0x10, 11, 0, 16, 176, 144), 4},
		{"level 1.1", avcSet(77, 0, 11, 0, 16, 176, 144), 9},
		{"a great level", avcSet(100, 0, 62, 0, 16, 640, 480), 16},
		{"pictures of their own", avcSet(110, 0x10, 40, 0, 4, 640, 480), 0},
	} {
		s, ok := parseAVC(c.set)
		if !ok || s.reorder != c.want || s.rate != 0 {
			t.Errorf("%s: %+v, %t, want %d", c.name, s, ok, c.want)
		}
	}
	if s, ok := parseAVC(avcSet(77, 0, 31, 0, 17, 640, 480)); ok {
		t.Errorf("17 references: %+v", s)
	}
}

// The Matroska header tells the rate when the stream does not.
func TestRateOfTheHeader(t *testing.T) {
	b := private(t, "openh264")
	for duration, want := range map[uint64]float64{0: 0, 40_000_000: 25, 33_366_666: 29.97, 1: 0, 1 << 63: 0} {
		c, err := Of(&mkv.Track{CodecID: "V_MPEG4/ISO/AVC", CodecPrivate: b, DefaultDuration: duration})
		if err != nil || c.FrameRate != want {
			t.Errorf("%d ns: %v, %v, want %v", duration, c.FrameRate, err, want)
		}
	}
}

// The records of ffmpeg, taken apart to parameter sets behind start codes, are made again
// byte by byte.
func TestRecordsMadeAgain(t *testing.T) {
	for _, r := range recordings(t) {
		c, err := Of(&r.track)
		if err != nil || !c.Kind.Video() || c.AnnexB {
			continue
		}
		var stream []byte
		add := func(u []byte) { stream = append(append(stream, 0, 0, 1), u...) }
		rest := c.Config
		if c.Kind == H264 {
			rest, _ = sets(rest[6:], int(rest[5]&0x1F), add)
			sets(rest[1:], int(rest[0]), add)
		} else {
			arrays := int(rest[recordHead-1])
			for rest = rest[recordHead:]; arrays > 0; arrays-- {
				rest, _ = sets(rest[3:], int(rest[1])<<8|int(rest[2]), add)
			}
		}
		got, err := of(r.track.CodecID, stream)
		want := bytes.Clone(c.Config)
		if c.Kind == H265 && want[recordHead-1] > 3 { // other units than parameter sets
			want[recordHead-1] = 3
			want = want[:len(got.Config)]
		}
		if err != nil || !bytes.Equal(got.Config, want) {
			t.Errorf("%s: %v\n%x, ffmpeg's is\n%x", r.name, err, got.Config, want)
		}
	}
}
