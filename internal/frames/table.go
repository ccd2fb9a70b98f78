package frames

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/segment"
)

// A table keeps free rows and one more for rowBytes of the body before them: its memory
// (24 bytes a row, twice that while it grows) stays below that of the body, which is
// counted. A fragment that has more, and smaller, frames gets no table.
const (
	freeRows = 2048
	rowBytes = 64
)

// keepRows is how many rows of memory are worth keeping for another fragment.
const keepRows = 4 * freeRows

// maxBody is the longest body that has a table, in bytes; no record is longer.
const maxBody = 1 << 30

// Track is what a table must know of a track.
type Track struct {
	Number      uint64
	AnnexB      bool   // see the function of that name
	Fingerprint uint64 // likewise
}

// TrackOf is the track of a Matroska header.
func TrackOf(number uint64, codecID string, private []byte) Track {
	return Track{Number: number, AnnexB: AnnexB(codecID, private), Fingerprint: Fingerprint(codecID, private)}
}

// Block is one block of the fragment: its frames lie behind each other.
type Block struct {
	Track  int           // which of the table's tracks
	Key    bool          // see [Table.NotKey]
	Offset int64         // of the first frame's data, from the start of the body
	Sizes  []int         // of the frames, in bytes; not kept
	Time   time.Duration // presentation time of the first frame, from the cluster's timecode
	Each   time.Duration // from one frame to the next; 0 = unknown. See [Table.Lasts]
}

// row is a frame on its way into the table.
type row struct {
	time   int64  // presentation, microseconds
	offset uint32 // maxBody bounds these three
	length uint32
	growth int32  // by conversion
	track  uint32 // which one, shifted left by one, with the key flag
}

// Table collects the frames of one fragment while it streams by. Make it with [New].
type Table struct {
	tracks []Track
	shares []share // per track
	rows   []row
	over   bool // more rows than memory is given for, or a body too long

	block int           // the last block's first row
	at    time.Duration // and its time

	filling int   // the row whose data comes next
	missing int64 // bytes of it that have not come
	count   counter

	sorted []int64 // scratch of encoding
	out    []byte
}

// share is what a track has of the fragment.
type share struct {
	frames uint32
	bytes  int64
	mixed  bool // its frames do not come in the order in which they are shown
}

var pool = sync.Pool{New: func() any { return new(Table) }}

// New returns an empty table for a fragment of these tracks. It keeps tracks, which must
// not change until [Table.Release].
func New(tracks []Track) *Table {
	t := pool.Get().(*Table)
	t.tracks = tracks
	t.shares = slices.Grow(t.shares[:0], len(tracks))[:len(tracks)]
	clear(t.shares)
	t.rows, t.block, t.over = t.rows[:0], 0, false
	t.filling, t.missing, t.count = 0, 0, counter{}
	return t
}

// Release gives the table's memory to another fragment. t must not be used afterwards.
func (t *Table) Release() {
	if cap(t.rows) > keepRows {
		t.rows, t.sorted, t.out = nil, nil, nil
	}
	t.tracks = nil
	pool.Put(t)
}

// Block adds the frames of the next block. Their bytes follow through [Table.Data].
func (t *Table) Block(b Block) {
	end := b.Offset
	for _, n := range b.Sizes {
		end += int64(n)
	}
	s := &t.shares[b.Track]
	s.frames, s.bytes = s.frames+uint32(len(b.Sizes)), s.bytes+end-b.Offset
	if t.over || end > maxBody || int64(len(t.rows)+len(b.Sizes)) > freeRows+b.Offset/rowBytes {
		t.over = true
		return
	}
	track := uint32(b.Track) << 1
	if b.Key {
		track |= 1
	}
	t.block, t.at = len(t.rows), b.Time
	offset := b.Offset
	for _, n := range b.Sizes {
		t.rows = append(t.rows, row{offset: uint32(offset), length: uint32(n), track: track})
		offset += int64(n)
	}
	t.times(min(b.Each, time.Hour), 1) // a fragment lasts for seconds; sums stay in range
	if t.tracks[b.Track].AnnexB {
		t.fill(t.block)
	}
}

// times sets when the last block's frames are shown: each so far behind the one before.
func (t *Table) times(total time.Duration, frames int64) {
	for i := range t.rows[t.block:] {
		n := int64(i)
		after := int64(total)/frames*n + int64(total)%frames*n/frames
		t.rows[t.block+i].time = (t.at + time.Duration(after)).Round(time.Microsecond).Microseconds()
	}
}

// Lasts says how long all frames of the last block last together. It may come before or
// after their bytes.
func (t *Table) Lasts(d time.Duration) {
	if frames := int64(len(t.rows) - t.block); !t.over && frames > 0 {
		t.times(d, frames)
	}
}

// NotKey says that the last block's frames refer to another one, which Matroska may tell
// behind them.
func (t *Table) NotKey() {
	if t.over {
		return
	}
	for i := range t.rows[t.block:] {
		t.rows[t.block+i].track &^= 1
	}
}

// fill makes i the row whose data comes next.
func (t *Table) fill(i int) {
	t.filling, t.count = i, counter{}
	if i < len(t.rows) {
		t.missing = int64(t.rows[i].length)
	}
}

// Data takes further bytes of the last block's frames, cut anywhere.
func (t *Table) Data(p []byte) {
	if t.over || len(t.rows) == 0 || !t.tracks[t.rows[t.block].track>>1].AnnexB {
		return
	}
	for t.filling < len(t.rows) && int64(len(p)) >= t.missing {
		t.count.add(p[:t.missing])
		p = p[t.missing:]
		r := &t.rows[t.filling]
		r.growth = int32(t.count.converted(int64(r.length)) - int64(r.length))
		t.fill(t.filling + 1)
	}
	if t.filling < len(t.rows) {
		t.count.add(p)
		t.missing -= int64(len(p))
	}
}

// Tracks returns what each track has of the fragment, in memory of its own. It knows all
// frames, also when there are more than a table takes.
func (t *Table) Tracks() []segment.Track {
	all := make([]segment.Track, len(t.tracks))
	for i, s := range t.shares {
		of := &t.tracks[i]
		all[i] = segment.Track{Number: uint32(min(of.Number, math.MaxUint32)), Frames: s.frames, Bytes: s.bytes, Fingerprint: of.Fingerprint}
	}
	return all
}

// Encode returns the table's bytes in memory of their own; nil when there are no frames,
// or more than a table takes (readers then look for them in the body).
func (t *Table) Encode() []byte {
	if t.over || len(t.rows) == 0 {
		return nil
	}
	t.order()
	t.out = t.append(t.out[:0])
	return slices.Clone(t.out)
}
