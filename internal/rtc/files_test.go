package rtc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// annexB is the clip as a file of H.264 between start codes; with sets only once when once.
func annexB(t testing.TB, document []byte, once bool) []byte {
	t.Helper()
	source, err := Matroska(document, clipRate)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for i, f := range source.(*film).frames {
		for _, u := range split(f.Data) {
			if set := unitType(u) == unitSPS || unitType(u) == unitPPS; set && once && i > 0 {
				continue
			}
			b = appendUnit(b, u)
		}
	}
	return b
}

// A file gives the frames that the document gives, again and again, each key frame with its
// parameter sets wherever they stand in the file.
func TestH264File(t *testing.T) {
	document := clip(t)
	want, err := Matroska(document, clipRate)
	if err != nil {
		t.Fatal(err)
	}
	for _, once := range []bool{false, true} {
		source, err := H264(bytes.NewReader(annexB(t, document, once)), clipRate)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 600 {
			w, _ := want.Next()
			g, err := source.Next()
			if err != nil || !bytes.Equal(g.Data, w.Data) || g.Key != w.Key || g.Duration != 40*time.Millisecond {
				t.Fatalf("frame %d: %v, %d bytes for %d, key %v for %v", i, err, len(g.Data), len(w.Data), g.Key, w.Key)
			}
		}
		for range 150 { // to the beginning of the document
			_, _ = want.Next()
		}
	}
}

func TestNoH264File(t *testing.T) {
	for name, b := range map[string][]byte{"empty": nil, "zeros": make([]byte, 100), "text": []byte("hello"),
		"no sets": {0, 0, 1, 0x65, 0x80, 1}, "no key": {0, 0, 1, 0x41, 0x80, 1}} {
		source, err := H264(bytes.NewReader(b), clipRate)
		if err == nil {
			_, err = source.Next()
		}
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestOpusFile(t *testing.T) {
	source, err := Opus(bytes.NewReader(oggFile(50)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		f, err := source.Next()
		if err != nil || !bytes.Equal(f.Data, opusPacket(i%50)) || f.Duration != 20*time.Millisecond {
			t.Fatalf("packet %d: %v %v", i, f.Duration, err)
		}
	}
	whole := oggFile(50)
	cut, err := Opus(bytes.NewReader(whole[:len(whole)-100]))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if f, err := cut.Next(); err != nil || !bytes.Equal(f.Data, opusPacket(i%49)) {
			t.Fatalf("packet %d of a file that was cut off: %v", i, err)
		}
	}
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("hello, this is no Ogg file at all"), "no packets": oggFile(0)} {
		source, err := Opus(bytes.NewReader(b))
		if err == nil {
			_, err = source.Next()
		}
		if err == nil || errors.Is(err, io.EOF) && name == "no packets" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What ffmpeg wrote is read as ffprobe reads it. The file was made by: ffmpeg -f lavfi -i
// sine=duration=2 -ac 2 -c:a libopus -b:a 12k -fflags +bitexact -f ogg tone.opus
func TestOpusOfFfmpeg(t *testing.T) {
	b, err := os.ReadFile("testdata/tone.opus")
	if err != nil {
		t.Fatal(err)
	}
	source, err := Opus(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	length := time.Duration(0)
	for range 101 {
		f, err := source.Next()
		if err != nil {
			t.Fatal(err)
		}
		length += f.Duration
	}
	if length != 2020*time.Millisecond {
		t.Errorf("101 packets last %v", length)
	}
}

func TestOpusDurations(t *testing.T) {
	for want, p := range map[time.Duration][]byte{
		60 * time.Millisecond:   {3 << 3},
		20 * time.Millisecond:   {13 << 3},
		2500 * time.Microsecond: {16 << 3},
		40 * time.Millisecond:   {31<<3 | 1},
		120 * time.Millisecond:  {31<<3 | 3, 6},
		0:                       {31<<3 | 3, 63},
	} {
		if d := opusDuration(p); d != want {
			t.Errorf("%x lasts %v, not %v", p, d, want)
		}
	}
	if opusDuration(nil) != 0 || opusDuration([]byte{3}) != 0 {
		t.Error("broken packets have a duration")
	}
}

// FuzzOgg: no file makes the reader panic, or read for ever.
func FuzzOgg(f *testing.F) {
	f.Add(oggFile(4))
	f.Add([]byte("OggS"))
	f.Fuzz(func(t *testing.T, b []byte) {
		source, err := Opus(bytes.NewReader(b))
		for i := 0; err == nil && i < 100; i++ {
			var frame Frame
			if frame, err = source.Next(); err == nil && (len(frame.Data) == 0 || frame.Duration <= 0) {
				t.Fatalf("%+v", frame)
			}
		}
	})
}

// FuzzH264 is the same for H.264, and every key frame has its parameter sets.
func FuzzH264(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 1, 0, 0, 0, 1, 0x65, 0x88, 0, 0, 1, 0x41, 0x80})
	f.Add([]byte{0, 0, 1, 9, 0x10, 0, 0, 1, 0x65})
	f.Fuzz(func(t *testing.T, b []byte) {
		source, err := H264(bytes.NewReader(b), clipRate)
		for i := 0; err == nil && i < 50; i++ {
			var frame Frame
			if frame, err = source.Next(); err == nil && frame.Key && !bytes.HasPrefix(frame.Data[4:], frame.Data[4:5]) {
				t.Fatalf("%x", frame.Data)
			}
			if err == nil && frame.Key && unitType(frame.Data[4:]) != unitSPS {
				t.Fatalf("%x", frame.Data)
			}
		}
	})
}
