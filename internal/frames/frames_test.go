package frames

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var one = []Track{{Number: 1}}

// all decodes a table that is whole.
func all(t *testing.T, table []byte, body int64) (list []Frame) {
	t.Helper()
	for f, err := range Decode(table, body) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

const ms = time.Millisecond

func TestLacedFramesShareTheirBlock(t *testing.T) {
	table := New([]Track{{Number: 7}, {Number: 300}})
	defer table.Release()
	table.Block(Block{Track: 1, Key: true, Offset: 20, Sizes: []int{5, 0, 6}, Time: -10 * ms, Each: 21_333_333})
	table.Block(Block{Track: 1, Key: true, Offset: 40, Sizes: []int{5, 7}, Time: 54 * ms})
	table.Lasts(43 * ms)
	table.Block(Block{Track: 0, Key: true, Offset: 60, Sizes: []int{1, 1}, Time: 0})
	table.NotKey()
	want := []Frame{
		{Track: 300, Key: true, Offset: 20, Length: 5, Converted: 5, Presentation: -10 * ms, Decode: -10 * ms},
		{Track: 300, Key: true, Offset: 25, Length: 0, Converted: 0, Presentation: 11333 * time.Microsecond, Decode: 11333 * time.Microsecond},
		{Track: 300, Key: true, Offset: 25, Length: 6, Converted: 6, Presentation: 32667 * time.Microsecond, Decode: 32667 * time.Microsecond},
		{Track: 300, Key: true, Offset: 40, Length: 5, Converted: 5, Presentation: 54 * ms, Decode: 54 * ms},
		{Track: 300, Key: true, Offset: 45, Length: 7, Converted: 7, Presentation: 75500 * time.Microsecond, Decode: 75500 * time.Microsecond},
		{Track: 7, Offset: 60, Length: 1, Converted: 1},
		{Track: 7, Offset: 61, Length: 1, Converted: 1},
	}
	if diff := cmp.Diff(want, all(t, table.Encode(), 62)); diff != "" {
		t.Error(diff)
	}
}

// Each track is sorted by itself, and only decode times move.
func TestDecodeTimesAreThePresentationTimesSorted(t *testing.T) {
	table := New([]Track{{Number: 1}, {Number: 2}})
	defer table.Release()
	at := int64(0)
	for _, b := range []struct{ track, shown int }{{0, 0}, {1, 5}, {0, 120}, {0, 40}, {1, 26}, {0, 80}, {0, 120}} {
		at += 10
		table.Block(Block{Track: b.track, Offset: at, Sizes: []int{4}, Time: time.Duration(b.shown) * ms})
	}
	var got []string
	for _, f := range all(t, table.Encode(), at+4) {
		got = append(got, fmt.Sprintf("%d:%d/%d", f.Track, f.Presentation/ms, f.Decode/ms))
	}
	want := []string{"1:0/0", "2:5/5", "1:120/40", "1:40/80", "2:26/26", "1:80/120", "1:120/120"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The bytes of the format page, by hand.
func TestEncodedBytes(t *testing.T) {
	table := New([]Track{{Number: 1, AnnexB: true}})
	defer table.Release()
	table.Block(Block{Key: true, Offset: 22, Sizes: []int{6}, Time: 0})
	table.Data([]byte{0, 0, 1, 0x65, 1, 2})
	table.Block(Block{Offset: 36, Sizes: []int{200}, Time: 80 * ms})
	table.Block(Block{Offset: 244, Sizes: []int{3}, Time: 40 * ms})
	want := []byte{1,
		1<<1 | 1, 22, 6, 2, 0, 0, // grows by one
		1 << 1, 8, 0xC8, 1, 0, 0x80, 0xE2, 9, 0xFF, 0xF0, 4, // shown 80000 later, decoded 40000 earlier
		1 << 1, 8, 3, 0, 0xFF, 0xF0, 4, 0x80, 0xF1, 4, // shown 40000 earlier, decoded 40000 later
	}
	if got := table.Encode(); !bytes.Equal(got, want) {
		t.Errorf("% X\nwant\n% X", got, want)
	}
}

func TestFragmentsWithVeryManySmallFramesHaveNoTable(t *testing.T) {
	table := New(one)
	sizes := slices.Repeat([]int{0}, 256)
	for range freeRows / 256 {
		table.Block(Block{Sizes: sizes, Offset: 9})
	}
	if n := len(all(t, table.Encode(), 9)); n != freeRows {
		t.Errorf("%d frames", n)
	}
	table.Block(Block{Sizes: []int{0}, Offset: 9 + rowBytes}) // the body has room for one more
	table.Block(Block{Sizes: []int{0}, Offset: 9 + rowBytes})
	table.Data(nil)
	table.Lasts(ms)
	table.NotKey()
	table.Block(Block{Sizes: []int{0}, Offset: 100 * rowBytes})
	if b := table.Encode(); b != nil {
		t.Errorf("%d bytes", len(b))
	}
	table.Release()
	table = New(one)
	defer table.Release()
	table.Block(Block{Sizes: []int{1 << 40}, Offset: 20})
	if b := table.Encode(); b != nil {
		t.Errorf("% X for a frame of 2^40 bytes", b)
	}
	if b := New(one).Encode(); b != nil {
		t.Errorf("% X without frames", b)
	}
}

func TestBrokenTables(t *testing.T) {
	for name, table := range map[string][]byte{
		"another version":         {2, 3, 22, 6, 0, 0, 0},
		"half a row":              {1, 3, 22, 6, 0, 0},
		"beyond the body":         {1, 3, 22, 79, 0, 0, 0},
		"far beyond the body":     {1, 3, 22, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0},
		"shorter than nothing":    {1, 3, 22, 6, 13, 0, 0},
		"a number without an end": append([]byte{1}, slices.Repeat([]byte{0xFF}, 12)...),
		"a second row too far":    {1, 3, 22, 6, 0, 0, 0, 3, 0, 73, 0, 0, 0},
	} {
		var frames int
		var last error
		for _, err := range Decode(table, 100) {
			if last = err; err == nil {
				frames++
			}
		}
		if last != ErrBroken || frames > 1 {
			t.Errorf("%s: %d frames, %v", name, frames, last)
		}
	}
	for range Decode(nil, 100) {
		t.Error("a frame in no table")
	}
	for range Decode([]byte{1, 3, 22, 6, 0, 0, 0, 3, 0, 73, 0, 0, 0}, 100) {
		break
	}
}

func TestAnnexB(t *testing.T) {
	for name, c := range map[string]struct {
		codec   string
		private []byte
		want    bool
	}{
		"avcC":            {"V_MPEG4/ISO/AVC", []byte{1, 0x42}, false},
		"hvcC":            {"V_MPEGH/ISO/HEVC", []byte{1, 1}, false},
		"parameter sets":  {"V_MPEG4/ISO/AVC", []byte{0, 0, 0, 1, 0x67}, true},
		"short code":      {"V_MPEGH/ISO/HEVC", []byte{0, 0, 1, 0x40}, true},
		"none":            {"V_MPEG4/ISO/AVC", nil, true},
		"another codec":   {"V_VP9", []byte{0, 0, 0, 1}, false},
		"a track of tone": {"A_AAC", nil, false},
	} {
		if got := AnnexB(c.codec, c.private); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFingerprintsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for _, c := range [][2]string{{"A_AAC", ""}, {"A_AA", "C"}, {"A_AAC", "\x11\x90"}, {"A_AAC", "\x12\x10"}} {
		seen[Fingerprint(c[0], []byte(c[1]))] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d fingerprints of 4 configurations", len(seen))
	}
	// The first 8 bytes of SHA-256("A_AAC\x00\x11\x90"), computed with sha256sum.
	if got := Fingerprint("A_AAC", []byte{0x11, 0x90}); got != 0x07ccdf4cdec903bc {
		t.Errorf("%016x", got)
	}
}
