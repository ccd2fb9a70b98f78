package mkv

import (
	"errors"
	"io"
)

// maxEmptyReads is how often in a row a source may return nothing.
const maxEmptyReads = 100

// errBadRead says that a source broke the contract of io.Reader.
var errBadRead = errors.New("the source returned an impossible count")

// window is the part of the input that lies in memory: a fixed buffer, for a
// while a larger one.
type window struct {
	src    io.Reader
	srcErr error // the source's last word, said when the window has run dry
	fixed  []byte
	buf    []byte // fixed, or a larger one for a whole header element
	r, w   int    // buf[r:w] is read and not released
	held   int    // of these, the bytes of the current item
	offset int64  // of buf[r] in the input
}

func newWindow(src io.Reader, size int) window {
	b := make([]byte, size)
	return window{src: src, fixed: b, buf: b}
}

func (w *window) buffered() int { return w.w - w.r }

// bytes is what lies in memory; the next need may move it.
func (w *window) bytes() []byte { return w.buf[w.r:w.w] }

// take holds the first n bytes for the current item until release.
func (w *window) take(n int) []byte {
	w.held = n
	return w.buf[w.r : w.r+n : w.r+n]
}

// release drops the bytes of the current item, and a larger buffer with them.
func (w *window) release() {
	w.r += w.held
	w.offset += int64(w.held)
	w.held = 0
	if w.r == w.w {
		w.r, w.w = 0, 0
	}
	if len(w.buf) > len(w.fixed) && w.buffered() <= len(w.fixed) {
		w.w = copy(w.fixed, w.bytes())
		w.r = 0
		w.buf = w.fixed
	}
}

// drained reports whether the input has ended and all of it was handed on.
func (w *window) drained() bool { return w.buffered() == 0 && w.srcErr == io.EOF }

// need returns once n bytes lie in the window. It asks the source only while
// there are fewer, so that it never waits for bytes nobody needs yet.
func (w *window) need(n int) error {
	for empty := 0; w.buffered() < n; {
		if w.srcErr != nil {
			return w.fail()
		}
		w.room(n)
		got, err := w.src.Read(w.buf[w.w:])
		if got < 0 || got > len(w.buf)-w.w {
			got, err = 0, errBadRead
		}
		w.w += got
		w.srcErr = err
		if got > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads && err == nil {
			w.srcErr = io.ErrNoProgress
		}
	}
	return nil
}

// fail is the source's error at the place where more bytes were needed.
func (w *window) fail() error {
	err := w.srcErr
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return readError(w.offset+int64(w.buffered()), err)
}

// room makes space behind the window's bytes. It moves them only when n bytes
// would not fit, and grows the buffer only when it is full: by doubling, so
// that memory follows the bytes that came and not the size that was claimed.
func (w *window) room(n int) {
	if w.r+n <= len(w.buf) {
		return
	}
	if w.w == len(w.buf) && w.r == 0 {
		grown := make([]byte, min(2*len(w.buf), n))
		copy(grown, w.buf)
		w.buf = grown
		return
	}
	w.w = copy(w.buf, w.bytes())
	w.r = 0
}
