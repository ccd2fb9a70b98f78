package frames

import (
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"time"
)

// order finds the tracks whose frames do not come in the order in which they are shown.
func (t *Table) order() {
	last := slices.Grow(t.sorted[:0], len(t.tracks))[:len(t.tracks)]
	for i := range last {
		last[i] = math.MinInt64
	}
	for _, r := range t.rows {
		i := r.track >> 1
		if r.time < last[i] {
			t.shares[i].mixed = true
		}
		last[i] = r.time
	}
	t.sorted = last
}

// append encodes the rows.
func (t *Table) append(b []byte) []byte {
	decode := t.decodeTimes()
	b = append(b, Version)
	var end, shown int64
	for i, r := range t.rows {
		f := rowBits{
			track: t.tracks[r.track>>1].Number<<1 | uint64(r.track&1),
			gap:   uint64(int64(r.offset) - end), length: uint64(r.length),
			growth: int64(r.growth), shown: r.time - shown, decode: decode[i] - r.time,
		}
		b = f.append(b)
		end, shown = int64(r.offset)+int64(r.length), r.time
	}
	return b
}

// decodeTimes gives each frame its decode time: fragments are closed groups of pictures,
// so the frames of a track are decoded at the times at which they are shown, sorted.
func (t *Table) decodeTimes() []int64 {
	n := len(t.rows)
	t.sorted = slices.Grow(t.sorted[:0], 2*n)[:2*n]
	decode, scratch := t.sorted[:n], t.sorted[n:]
	for i, r := range t.rows {
		decode[i] = r.time
	}
	for track := range t.shares {
		if !t.shares[track].mixed {
			continue
		}
		of := scratch[:0]
		for _, r := range t.rows {
			if int(r.track>>1) == track {
				of = append(of, r.time)
			}
		}
		slices.Sort(of)
		for i, r := range t.rows {
			if int(r.track>>1) == track {
				decode[i], of = of[0], of[1:]
			}
		}
	}
	return decode
}

// rowBits is a row as it is encoded: differences.
type rowBits struct {
	track, gap, length    uint64
	growth, shown, decode int64
}

func (r *rowBits) append(b []byte) []byte {
	b = binary.AppendUvarint(b, r.track)
	b = binary.AppendUvarint(b, r.gap)
	b = binary.AppendUvarint(b, r.length)
	b = binary.AppendVarint(b, r.growth) // Go's signed varints are zigzag
	b = binary.AppendVarint(b, r.shown)
	return binary.AppendVarint(b, r.decode)
}

// parse reads a row from the front of b and returns what is behind it.
func (r *rowBits) parse(b []byte) (rest []byte, ok bool) {
	for _, v := range []*uint64{&r.track, &r.gap, &r.length} {
		n := 0
		if *v, n = binary.Uvarint(b); n <= 0 {
			return nil, false
		}
		b = b[n:]
	}
	for _, v := range []*int64{&r.growth, &r.shown, &r.decode} {
		n := 0
		if *v, n = binary.Varint(b); n <= 0 {
			return nil, false
		}
		b = b[n:]
	}
	return b, true
}

// maxTime bounds times in microseconds on their way through sums: 142 years.
const maxTime = 1 << 52

// sane reports whether a row's values can be added to those of the rows before without
// leaving the body or the range of times.
func (r *rowBits) sane(rest int64) bool {
	within := func(v int64) bool { return -maxTime < v && v < maxTime }
	return r.gap <= uint64(rest) && r.length <= uint64(rest)-r.gap &&
		within(r.growth) && within(r.shown) && within(r.decode) && int64(r.length)+r.growth >= 0
}

// Decode walks over an encoded table of a fragment whose body has so many bytes. An
// empty table has no frames: that of a fragment of version 1, or with too many. After an
// error, always [ErrBroken], nothing more comes.
func Decode(table []byte, body int64) iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		if len(table) == 0 {
			return
		}
		if table[0] != Version {
			yield(Frame{}, ErrBroken)
			return
		}
		var end, shown int64
		for b := table[1:]; len(b) > 0; {
			var r rowBits
			var ok bool
			if b, ok = r.parse(b); !ok || !r.sane(body-end) || max(shown+r.shown, -shown-r.shown) >= maxTime {
				yield(Frame{}, ErrBroken)
				return
			}
			f := r.frame(end, shown)
			end, shown = f.Offset+f.Length, shown+r.shown
			if !yield(f, nil) {
				return
			}
		}
	}
}

// frame adds the differences to where the frame before ended and when it was shown.
func (r *rowBits) frame(end, shown int64) Frame {
	at := time.Duration(shown+r.shown) * time.Microsecond
	return Frame{
		Track: r.track >> 1, Key: r.track&1 == 1,
		Offset: end + int64(r.gap), Length: int64(r.length), Converted: int64(r.length) + r.growth,
		Presentation: at, Decode: at + time.Duration(r.decode)*time.Microsecond,
	}
}
