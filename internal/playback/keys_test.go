package playback

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// lock is a wrapping key that works until it is turned.
type lock struct{ failure atomic.Int64 }

func (l *lock) Ready(context.Context, kvs.StreamID) error {
	if f := keyring.Failure(l.failure.Load()); f != 0 {
		return &keyring.Error{Failure: f}
	}
	return nil
}

// A wrapping key that fails while a consumer follows ends the session behind the chunk
// that it has, with the number of the failure, from the live buffer and the archive alike.
func TestAKeyThatFailsUnderWay(t *testing.T) {
	for f := keyring.AccessDenied; f <= keyring.NotFound; f++ {
		for _, live := range []bool{true, false} {
			s := newStudio(t)
			l := &lock{}
			s.options.Keys = l
			first := s.stored(100)
			r := s.follow(earliest, newSink())
			r.until(len(documentHead) + len(first.sent) + 1)
			l.failure.Store(int64(f))
			s.stored(100)
			if !live {
				s.evict()
			}
			got := r.wait()
			if len(got) != 2 || !got[0].whole || got[1].tags[tagErrorID] != strconv.Itoa(int(f)) || got[1].tags[tagErrorCode] != keyTexts[f] {
				t.Errorf("%v: got %+v", f, got)
			}
			if e, ok := errors.AsType[*keyring.Error](r.err); !ok || e.Failure != f {
				t.Errorf("%v: ended with %v", f, r.err)
			}
			o := newSink()
			if sent, err := New(s.options).Pick(t.Context(), s.stream, []string{first.Info().Number.String()}, o); sent != 0 || err != nil || parse(t, o.bytes())[0].tags[tagPickCode] != strconv.Itoa(int(f)) {
				t.Errorf("%v: picked %d, %v", f, sent, err)
			}
		}
	}
}
