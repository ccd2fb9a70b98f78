package mp4

import (
	"io"
	"math"
	"sort"

	"github.com/millrace/millrace/internal/kvs"
)

// Head is a movie's file up to the first byte of media. Its bytes may be read by any
// number of goroutines.
type Head struct {
	pieces [][]byte
	at     []int64 // where each begins
	size   int64
}

func (h *Head) add(p []byte) {
	h.pieces, h.at = append(h.pieces, p), append(h.at, h.size)
	h.size += int64(len(p))
}

// Size is the length in bytes: where the media begin.
func (h *Head) Size() int64 { return h.size }

// WriteTo implements [io.WriterTo].
func (h *Head) WriteTo(w io.Writer) (n int64, err error) { return h.WriteFrom(w, 0) }

// WriteFrom writes the head from byte off on.
func (h *Head) WriteFrom(w io.Writer, off int64) (n int64, err error) {
	i := sort.Search(len(h.at), func(i int) bool { return h.at[i] > off }) - 1
	for ; i < len(h.pieces); i++ {
		p := h.pieces[i]
		m, err := w.Write(p[min(max(0, off-h.at[i]), int64(len(p))):])
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// movieScale is the units of a movie's own time in a second. Milliseconds and the frames
// of usual rates are whole numbers of them.
const movieScale = 90_000

// Head returns the file up to the media that were added. What is added afterwards needs
// another one.
func (m *Movie) Head() *Head {
	ftyp := newBox("ftyp").text("isom").u32(0x200).text("isomiso2iso4mp41mp42")
	origin := m.origin()
	mdat := appendMdat(nil, uint64(m.payload))
	for _, wide := range []bool{false, true} { // 32 bits for places of chunks, unless that is too little
		moov := newBox("moov", nil)
		var length int64
		for i, t := range m.tracks {
			trak, lasts := t.box(uint32(i+1), m.edit(t, origin), wide)
			moov.inner = append(moov.inner, trak)
			length = max(length, lasts)
		}
		moov.inner[0] = m.mvhd(length)
		base := ftyp.size() + moov.size() + int64(len(mdat))
		if !wide && base+m.payload > math.MaxUint32 {
			continue
		}
		for _, t := range m.tracks {
			t.place(base, wide)
		}
		h := &Head{}
		ftyp.write(h)
		moov.write(h)
		h.add(mdat)
		return h
	}
	return nil // not reached: places of 64 bits always do
}

// origin is when the first track begins, in units of the movie.
func (m *Movie) origin() int64 {
	origin := int64(math.MaxInt64)
	for _, t := range m.tracks {
		if t.samples > 0 {
			origin = min(origin, scaled(t.first, movieScale, t.scale))
		}
	}
	return origin
}

func (m *Movie) mvhd(length int64) *box {
	v := version(length)
	at := since1904(m.created)
	b := full("mvhd", v, 0).wide(v, at, at).u32(movieScale).wide(v, length)
	b.u32(0x10000).bytes(1, 0).bytes(make([]byte, 10)...).u32(matrix...) // rate, volume
	return b.bytes(make([]byte, 24)...).u32(uint32(len(m.tracks) + 1))
}

// since1904 is a time as MP4 counts it: 2^32 seconds last until 2040.
func since1904(at kvs.Millis) int64 {
	return min(max(0, int64(at)/1000+2_082_844_800), math.MaxUint32)
}

// version is that of boxes with a duration: 1 has 64 bits for it.
func version(length int64) byte {
	if length > math.MaxUint32 {
		return 1
	}
	return 0
}

// scaled converts a time from units of one scale to another, rounded to the nearest.
func scaled(v int64, to, from uint32) int64 {
	seconds, rest := v/int64(from), v%int64(from)
	half := int64(from) / 2
	if rest < 0 {
		half = -half
	}
	return seconds*int64(to) + (rest*int64(to)+half)/int64(from)
}
