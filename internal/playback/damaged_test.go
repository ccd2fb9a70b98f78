package playback

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/mkv"
)

// doorSink calls a hook when a chunk is about to begin.
type doorSink struct {
	*sink
	begins func()
}

func (o *doorSink) Chunk(f kvs.Fragment) error {
	o.begins()
	return o.sink.Chunk(f)
}

// A slow reader goes on in the archive and finds a damaged record: the session ends with
// the error, which the log needs, and says so where a new document may begin.
func TestSlowReadersAndDamagedRecords(t *testing.T) {
	for _, c := range []struct {
		name   string
		header int  // extra bytes of the header
		size   int  // of the fragment's frames
		write  int  // in which the fragment leaves the live buffer, 0 = before all
		grows  bool // the fragment becomes whole then
		told   bool
	}{
		{"before the header", 0, 100, 0, false, true},
		{"in the header", 5 * bufferSize, 100, 1, false, false},
		{"in the middle of an element", 0, 2 * bufferSize, 3, false, false},
		{"between elements", 0, 100, 3, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStudio(t)
			s.n = 1 // the record of number 2 is broken
			damage := errors.New("damaged")
			s.options.Archive = broken{s.archive, nil, damage}
			if c.header > 0 {
				s.head = &live.Header{Bytes: mkv.AppendVoid(documentHead[:len(documentHead):len(documentHead)], c.header)}
			}
			defer s.st.OpenSession()()
			k := s.open(true)
			k.frame(0, c.size)
			leave := func() {
				if c.grows {
					k.frame(40, c.size)
					k.store()
				}
				s.evict()
			}
			if !c.grows {
				k.store()
			}
			o := &doorSink{newSink(), func() {}}
			if c.write == 0 {
				o.begins = leave
			}
			o.hook = func(write int) {
				if write == c.write {
					leave()
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it waits for more, if it swallows the error
			defer cancel()
			chunks, err := New(s.options).Follow(ctx, s.stream, earliest, o)
			if !errors.Is(err, damage) || chunks != 0 {
				t.Errorf("%d chunks, %v", chunks, err)
			}
			told := bytes.Contains(o.bytes(), []byte("Stored media could not be read."))
			if told != c.told {
				t.Errorf("the reader is told: %v, want %v", told, c.told)
			}
			if told {
				parse(t, o.bytes())
			}
		})
	}
}
