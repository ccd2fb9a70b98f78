package clip

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// pieceSize is how much is written at once.
const pieceSize = 256 << 10

// WriteRange writes size bytes of the file from byte off on, as far as there are any. Begin, if not nil, is
// called with each fragment before its media are written. Errors that are not those of w say
// why the media cannot be read; kind NotFound means that they are gone meanwhile.
func (c *Clip) WriteRange(ctx context.Context, w io.Writer, off, size int64, begin func(kvs.Fragment) error) error {
	size = min(size, c.Size()-off)
	out := &limited{w: w, left: size}
	if off < c.head.Size() {
		if _, err := c.head.WriteFrom(out, off); err != nil && !errors.Is(err, errFull) {
			return err
		}
	}
	if out.left <= 0 {
		return nil
	}
	err := c.writeMedia(ctx, out, max(0, off-c.head.Size()), begin)
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

var errFull = errors.New("all that was asked for is written")

// limited writes so many bytes, in pieces, and returns errFull then.
type limited struct {
	w    io.Writer
	left int64
}

func (l *limited) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		if l.left == 0 {
			return n, errFull
		}
		var m int
		m, err = l.w.Write(p[:min(int64(len(p)), pieceSize, l.left)])
		n, p, l.left = n+m, p[m:], l.left-int64(m)
	}
	return n, err
}

// writeMedia writes media from a byte of them on. The next fragment is read while one is
// written.
func (c *Clip) writeMedia(ctx context.Context, w *limited, at int64, begin func(kvs.Fragment) error) error {
	ctx, cancel := context.WithCancel(ctx)
	reads := make(chan read)
	free := make(chan []byte, 2)
	free <- nil
	free <- nil
	first := c.find(at)
	end := first // behind the last fragment that is needed
	for need := at + w.left; end < len(c.parts) && c.parts[end].at < need; end++ {
	}
	go c.readAll(ctx, c.parts[first:end], free, reads)
	defer func() {
		cancel()
		for range reads { // until the reader has ended
		}
	}()
	for i := first; i < end; i++ {
		r, ok := <-reads
		if !ok {
			return context.Cause(ctx)
		}
		if r.err != nil {
			return r.err
		}
		p := &c.parts[i]
		if begin != nil {
			if err := begin(p.stored.Fragment); err != nil {
				return err
			}
		}
		if _, err := w.Write(r.media[max(0, at-p.at):]); err != nil {
			return err
		}
		free <- r.media
	}
	return nil
}

// read is the media of a fragment, or why they cannot be read.
type read struct {
	media []byte
	err   error
}

// readAll reads one fragment after the other into free memory, until the first error.
func (c *Clip) readAll(ctx context.Context, parts []part, free <-chan []byte, reads chan<- read) {
	defer close(reads)
	for i := range parts {
		var r read
		select {
		case r.media = <-free:
		case <-ctx.Done():
			return
		}
		r.media, r.err = c.read(ctx, &parts[i], r.media[:0])
		select {
		case reads <- r:
		case <-ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
	}
}

// read reads the media of one fragment.
func (c *Clip) read(ctx context.Context, p *part, b []byte) ([]byte, error) {
	r, err := c.archive.OpenRecord(ctx, *p.stored)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	f, err := openFragment(r, p.stored, p.codecs)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b = slices.Grow(b, int(p.size))
	for _, number := range p.tracks {
		if b, err = f.AppendPayload(b, number); err != nil {
			return nil, err
		}
	}
	return b, measured(p.stored, int64(len(b)), p.size)
}
