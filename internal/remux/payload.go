package remux

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/kvs"
)

// Bodies up to wholeBody bytes are read at once and kept for the next track, longer ones
// in windows: what a reader holds is bounded, and reads are long. Windows begin at
// chunks of the archive, which are unsealed whole.
const (
	wholeBody = 16 << 20
	window    = 4 << 20
	chunk     = 64 << 10
)

// pool keeps the memory of bodies between fragments.
var pool = sync.Pool{New: func() any { return new([]byte) }}

// AppendPayload appends the samples of a track, in their order: as many bytes as
// [Part.Bytes] says.
func (f *Fragment) AppendPayload(dst []byte, number uint64) ([]byte, error) {
	t, err := f.track(number)
	if err != nil {
		return dst, err
	}
	w := writer{track: t}
	if t.Kind.G711() {
		if w.sizer, err = newSizer(t); err != nil {
			return dst, err
		}
	}
	for r, err := range f.frames(t) {
		if err != nil {
			return dst, err
		}
		data, err := f.read(&r)
		if err != nil {
			return dst, err
		}
		if dst, err = w.append(dst, &r, data); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// read returns a frame's bytes, valid until the next call.
func (f *Fragment) read(r *frames.Frame) ([]byte, error) {
	if f.body == nil {
		f.body = pool.Get().(*[]byte)
		*f.body = (*f.body)[:0]
	}
	from, to := r.Offset-f.at, r.Offset+r.Length-f.at
	if from < 0 || to > int64(len(*f.body)) {
		if err := f.load(r); err != nil {
			return nil, err
		}
		from, to = r.Offset-f.at, r.Offset+r.Length-f.at
	}
	return (*f.body)[from:to], nil
}

// load reads the window that the frame begins in, or the whole body.
func (f *Fragment) load(r *frames.Frame) error {
	begin, end := int64(0), f.source.Size
	if end > wholeBody {
		begin = r.Offset / chunk * chunk
		end = min(end, max(begin+window, (r.Offset+r.Length+chunk-1)/chunk*chunk))
	}
	b := slices.Grow((*f.body)[:0], int(end-begin))[:end-begin]
	*f.body, f.at = b[:0], 0
	n, err := f.source.Body.ReadAt(b, begin)
	if n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = &kvs.Error{Kind: kvs.Internal, Message: "the stored fragment is shorter than its row says", Cause: io.ErrUnexpectedEOF}
		}
		return err
	}
	*f.body, f.at = b, begin
	return nil
}

// writer turns frames of one track into samples.
type writer struct {
	track *codec.Track
	sizer *sizer // of G.711
}

func (w *writer) append(dst []byte, r *frames.Frame, data []byte) (_ []byte, err error) {
	switch {
	case w.track.Kind.G711():
		return w.sizer.append(dst, r, data)
	case w.track.Kind.Video():
		return w.units(dst, r, data)
	}
	return append(dst, data...), nil
}

// units appends a frame of NAL units.
func (w *writer) units(dst []byte, r *frames.Frame, data []byte) ([]byte, error) {
	if w.track.AnnexB {
		before := len(dst)
		if dst, ok := convert(dst, data); ok {
			if int64(len(dst)-before) != r.Converted {
				return dst, broken("the frame at byte %d of track %d is not what the table of frames says", r.Offset, r.Track)
			}
			return dst, nil
		}
	}
	if r.Converted != r.Length || !lengths(data, w.track.LengthSize) {
		return dst, broken("the frame at byte %d of track %d is cut off: a NAL unit goes on behind its end", r.Offset, r.Track)
	}
	return append(dst, data...), nil
}

// append appends the FLAC frame of a frame of G.711.
func (z *sizer) append(dst []byte, r *frames.Frame, codes []byte) ([]byte, error) {
	dst, err := z.encoder.Append(dst, codes, z.samples)
	if err != nil {
		return dst, broken("the frame at byte %d of track %d: %v", r.Offset, z.number, err)
	}
	z.samples += uint64(r.Length / z.channels)
	return dst, nil
}
