package producer

import (
	"io"

	"github.com/millrace/millrace/mkv"
)

// tap reads Matroska and gives out the same bytes; see is called with each item before
// its bytes go out. What is no Matroska goes out unseen.
type tap struct {
	src   io.Reader
	see   func(*mkv.Item) error
	items *mkv.Reader // nil once the input is no Matroska
	kept  []byte      // what items has read and not handed on: from base on
	base  int64
	ready []byte
}

func newTap(src io.Reader, see func(*mkv.Item) error) *tap {
	t := &tap{src: src, see: see}
	t.items = mkv.NewReader(recorder{t}, mkv.Options{Buffer: 32 << 10})
	return t
}

// recorder is what items reads from.
type recorder struct{ t *tap }

func (r recorder) Read(p []byte) (int, error) {
	n, err := r.t.src.Read(p)
	r.t.kept = append(r.t.kept, p[:n]...)
	return n, err
}

// Read gives out the input.
func (t *tap) Read(p []byte) (int, error) {
	for len(t.ready) == 0 {
		if t.items == nil {
			return t.src.Read(p)
		}
		if err := t.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, t.ready)
	t.ready = t.ready[n:]
	return n, nil
}

// next makes the next bytes ready.
func (t *tap) next() error {
	it, err := t.items.Next()
	done := t.items.Offset() - t.base
	if err == io.EOF {
		return err
	}
	if err != nil {
		// Not for us to judge: the server says what is wrong with these bytes.
		t.ready, t.items = t.kept[min(done, int64(len(t.kept))):], nil
		return nil
	}
	if done > 64<<10 {
		t.kept = append(t.kept[:0], t.kept[done:]...)
		t.base += done
	}
	t.ready = it.Raw
	return t.see(it)
}
