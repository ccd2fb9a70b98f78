package frames

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode: any bytes decode to frames inside the body, and what decodes without an
// error is the same after encoding it again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 3, 22, 6, 2, 0, 0}, int64(100))
	f.Add([]byte{1, 3, 22, 6, 0, 0, 0, 3, 0, 73, 0, 0, 0}, int64(200))
	f.Add([]byte{1, 2, 0, 0, 1, 1, 1}, int64(0))
	f.Fuzz(func(t *testing.T, table []byte, body int64) {
		body = max(0, min(body, maxBody))
		again := []byte{Version}
		var list []Frame
		var end int64
		var shown time.Duration
		for r, err := range Decode(table, body) {
			if err != nil {
				return
			}
			if r.Offset < end || r.Length < 0 || r.Converted < 0 || r.Offset+r.Length > body {
				t.Fatalf("%+v in a body of %d behind %d", r, body, end)
			}
			bits := rowBits{track: r.Track << 1, gap: uint64(r.Offset - end), length: uint64(r.Length), growth: r.Converted - r.Length,
				shown: (r.Presentation - shown).Microseconds(), decode: (r.Decode - r.Presentation).Microseconds()}
			if r.Key {
				bits.track |= 1
			}
			again = bits.append(again)
			list, end, shown = append(list, r), r.Offset+r.Length, r.Presentation
		}
		if diff := cmp.Diff(list, slices.Collect(first(Decode(again, body)))); diff != "" {
			t.Error(diff)
		}
	})
}

// first takes the frames of a table that has no errors.
func first(seq func(func(Frame, error) bool)) func(func(Frame) bool) {
	return func(yield func(Frame) bool) {
		for f, err := range seq {
			if err != nil || !yield(f) {
				return
			}
		}
	}
}

// convert is what a converter does with a whole frame: slow, and written another way.
func convert(frame []byte) (out []byte) {
	from := bytes.TrimLeft(frame, "\x00")
	if zeros := len(frame) - len(from); zeros < 2 || len(from) == 0 || from[0] != 1 {
		return frame
	}
	for _, unit := range bytes.Split(from[1:], startCode) {
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			out = append(append(out, 0, 0, 0, 0), unit...)
		}
	}
	return out
}

// FuzzTable: frames that arrive in any pieces get the length that converting them whole
// gives, and the table says where they lie.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x65, 9, 9, 0, 0, 0}, []byte{11, 3}, []byte{1, 2, 1})
	f.Add([]byte{0, 0, 1, 0, 0, 1, 5, 0, 0, 0, 0, 1}, []byte{0, 12}, []byte{5, 1})
	f.Add([]byte{9, 0, 0, 1, 5, 0, 0, 2, 0, 0, 1}, []byte{1, 7}, []byte{2, 9})
	f.Add([]byte{0, 0, 1, 6, 0, 0, 1}, []byte{7}, []byte{1})
	f.Fuzz(func(t *testing.T, data, cuts, pieces []byte) {
		if len(data) > 1<<12 || len(cuts) > 100 || len(pieces) == 0 {
			return
		}
		sizes, rest := []int(nil), len(data)
		for _, c := range cuts {
			n := min(int(c), rest)
			sizes, rest = append(sizes, n), rest-n
		}
		sizes = append(sizes, rest)
		table := New([]Track{{Number: 5, AnnexB: true}})
		defer table.Release()
		table.Block(Block{Key: true, Offset: 17, Sizes: sizes, Time: time.Second})
		for i, from := 0, data; len(from) > 0; i++ {
			n := min(len(from), 1+int(pieces[i%len(pieces)]))
			table.Data(from[:n])
			from = from[n:]
		}
		i := 0
		for r, err := range Decode(table.Encode(), 17+int64(len(data))) {
			if err != nil {
				t.Fatal(err)
			}
			frame := data[r.Offset-17:][:r.Length]
			if want := len(convert(frame)); int(r.Length) != sizes[i] || r.Converted != int64(want) {
				t.Fatalf("frame % X: %+v, want %d of %d bytes", frame, r, want, sizes[i])
			}
			i++
		}
		if i != len(sizes) {
			t.Fatalf("%d of %d frames", i, len(sizes))
		}
	})
}
