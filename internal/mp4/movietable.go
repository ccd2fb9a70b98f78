package mp4

import "encoding/binary"

// table is a growing array of 32-bit numbers as they stand in a file. It never copies
// what is there: a day of frames would need twice its memory.
type table struct {
	pieces [][]byte
	size   int64
}

const firstPiece, largestPiece = 1 << 8, 1 << 16 // bytes

func (t *table) add(v uint32) {
	n := len(t.pieces)
	if n == 0 || len(t.pieces[n-1]) == cap(t.pieces[n-1]) {
		size := firstPiece
		if n > 0 {
			size = min(2*cap(t.pieces[n-1]), largestPiece)
		}
		t.pieces = append(t.pieces, make([]byte, 0, size))
		n++
	}
	t.pieces[n-1] = binary.BigEndian.AppendUint32(t.pieces[n-1], v)
	t.size += 4
}

// runs is a table of values and how often each is repeated.
type runs struct {
	done  table // count and value of each run but the last
	value uint32
	count uint32
}

func (r *runs) add(v uint32) {
	if r.count > 0 && v != r.value {
		r.flush()
	}
	r.value = v
	r.count++
}

func (r *runs) flush() {
	r.done.add(r.count)
	r.done.add(r.value)
	r.count = 0
}

// only reports whether there is one run, of that value.
func (r *runs) only(v uint32) bool { return r.done.size == 0 && r.value == v }

// closed returns the table with one more value, which need not be of the last run. The
// runs can be added to afterwards.
func (r *runs) closed(more ...uint32) (t table, entries uint32) {
	c := *r
	c.done.pieces = append([][]byte(nil), r.done.pieces...)
	if n := len(c.done.pieces); n > 0 {
		c.done.pieces[n-1] = append([]byte(nil), c.done.pieces[n-1]...)
	}
	for _, v := range more {
		c.add(v)
	}
	c.flush()
	return c.done, uint32(c.done.size / 8)
}
