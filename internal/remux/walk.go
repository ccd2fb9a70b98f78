package remux

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

// maxWalked bounds the frames of a fragment without a table; their rows are in memory.
const maxWalked = 1 << 20

// walker finds frames in the Matroska of a body.
type walker struct {
	tracks []codec.Track
	scale  int64            // nanoseconds in a timecode unit
	each   map[uint64]int64 // by track: nanoseconds from frame to frame, 0 unknown

	rows  []frames.Frame
	block int   // the last block's first row
	at    int64 // and its time, nanoseconds
}

// walk lists the frames of a fragment without a table as one would. What it cannot tell
// yet is how long Annex-B frames will be, see [Fragment.count].
func walk(s *Source) ([]frames.Frame, error) {
	w := walker{tracks: s.Tracks, scale: 1_000_000, each: map[uint64]int64{}}
	w.header(s.Header)
	lead := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{}))
	r := mkv.NewReader(io.MultiReader(bytes.NewReader(lead), io.NewSectionReader(s.Body, 0, s.Size)), mkv.Options{Buffer: chunk, MaxFrame: math.MaxInt64 / 2})
	for {
		it, err := r.Next()
		if err == nil {
			err = w.item(it, it.Offset-int64(len(lead)))
		}
		whole := r.Offset() >= int64(len(lead))+s.Size // though the cluster may claim more
		if _, bad := errors.AsType[*mkv.SyntaxError](err); bad || errors.Is(err, io.ErrUnexpectedEOF) && !whole {
			return nil, &kvs.Error{Kind: kvs.InvalidFrame, Message: "the fragment's media cannot be read", Cause: err}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && whole:
			w.sort()
			return w.rows, w.inside(s.Size)
		case err != nil:
			return nil, err
		}
	}
}

// inside fails unless the frames lie within the body. Only the last may not.
func (w *walker) inside(size int64) error {
	for i := range w.rows {
		if r := &w.rows[i]; r.Offset+r.Length > size {
			return broken("the frame at byte %d goes on behind the end of the fragment", r.Offset)
		}
	}
	return nil
}

// header takes what the document says about times. Who cannot read it, cannot read the
// tracks either, and has said so.
func (w *walker) header(b []byte) {
	r := mkv.NewReader(bytes.NewReader(b), mkv.Options{MaxHeader: max(len(b), 64)})
	for i := range w.tracks {
		if t := &w.tracks[i]; t.FrameSamples > 0 && t.SampleRate > 0 {
			w.each[t.Number] = int64(t.FrameSamples) * 1_000_000_000 / int64(t.SampleRate)
		}
	}
	for it, err := r.Next(); err == nil; it, err = r.Next() {
		switch it.Kind {
		case mkv.InfoElement:
			w.scale = int64(min(it.Info.TimecodeScale, math.MaxInt32))
		case mkv.TracksElement:
			for i := range it.Tracks {
				if t := &it.Tracks[i]; t.DefaultDuration > 0 {
					w.each[t.Number] = int64(min(t.DefaultDuration, uint64(time.Hour)))
				}
			}
		}
	}
}

// item takes an element that begins at that byte of the body.
func (w *walker) item(it *mkv.Item, at int64) error {
	switch it.Kind {
	case mkv.BlockGroupStart:
		w.block = len(w.rows)
	case mkv.Block:
		if len(w.rows)+it.Block.Frames > maxWalked {
			return broken("the fragment has more than %d frames", maxWalked)
		}
		w.add(&it.Block, at+int64(it.Block.HeaderLen))
	case mkv.BlockDuration:
		w.times(int64(min(it.Duration, uint64(time.Hour)/uint64(max(w.scale, 1))))*w.scale, int64(len(w.rows)-w.block))
	case mkv.BlockReference:
		for i := range w.rows[w.block:] {
			w.rows[w.block+i].Key = false
		}
	}
	return nil
}

// add adds the frames of a block, the first of which begins at that byte.
func (w *walker) add(b *mkv.BlockHeader, at int64) {
	w.block, w.at = len(w.rows), int64(b.Time)*w.scale
	for _, n := range b.Sizes {
		w.rows = append(w.rows, frames.Frame{Track: b.Track, Key: b.Key, Offset: at, Length: int64(n), Converted: int64(n)})
		at += int64(n)
	}
	w.times(w.each[b.Track], 1)
}

// times sets when the last block's frames are shown, if so many of them last so long.
func (w *walker) times(total, number int64) {
	for i := range w.rows[w.block:] {
		n := int64(i)
		after := total/number*n + total%number*n/number
		w.rows[w.block+i].Presentation = time.Duration(w.at + after).Round(time.Microsecond)
	}
}

// sort gives each frame its decode time: those of a track are decoded at the times at
// which they are shown, sorted.
func (w *walker) sort() {
	sorted := map[uint64][]time.Duration{}
	for i := range w.rows {
		r := &w.rows[i]
		sorted[r.Track] = append(sorted[r.Track], r.Presentation)
	}
	for _, s := range sorted {
		slices.Sort(s)
	}
	for i := range w.rows {
		r := &w.rows[i]
		r.Decode, sorted[r.Track] = sorted[r.Track][0], sorted[r.Track][1:]
	}
}

// count computes how long the walked frames of Annex-B tracks will be.
func (f *Fragment) count() error {
	var scratch []byte
	for i := range f.walked {
		r := &f.walked[i]
		if t, ok := f.Track(r.Track); !ok || !t.AnnexB || r.Length == 0 {
			continue
		}
		data, err := f.read(r)
		if err != nil {
			return err
		}
		if out, ok := convert(scratch[:0], data); ok {
			r.Converted, scratch = int64(len(out)), out
		}
	}
	return nil
}
