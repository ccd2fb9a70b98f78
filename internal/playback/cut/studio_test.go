package cut

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/internal/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const streamID kvs.StreamID = 7

// begin is the producer timestamp of the first fragment of a film.
const begin kvs.Millis = 1_763_812_800_123

// studio is a real archive with films in it, and counts who opens records.
type studio struct {
	t       testing.TB
	archive *archive.Archive
	keys    *keyring.Ring
	n       int64
	bare    bool // store fragments without their tables of frames
	opened  atomic.Int64
	hook    func() // called in OpenRecord, if set
}

func newStudio(t testing.TB) *studio {
	t.Helper()
	s := &studio{t: t, keys: keyringtest.New(t)}
	var err error
	if s.archive, err = archive.Open(t.Context(), archive.Options{Dir: t.TempDir(), Keys: s.keys}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.archive.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.archive.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *studio) OpenRecord(ctx context.Context, f archive.Stored) (*archive.Reader, error) {
	s.opened.Add(1)
	if s.hook != nil {
		s.hook()
	}
	return s.archive.OpenRecord(ctx, f)
}

// shot is a stored fragment beside what was put in.
type shot struct {
	archive.Stored
	*remuxtest.Fragment
}

// film stores a Matroska file.
func (s *studio) film(file []byte) (all []shot) {
	s.t.Helper()
	list := remuxtest.Cut(s.t, file)
	for i := range list {
		all = append(all, s.store(&list[i], begin+kvs.Millis(list[i].Timecode-list[0].Timecode)))
	}
	return all
}

// store stores a fragment.
func (s *studio) store(f *remuxtest.Fragment, producer kvs.Millis) shot {
	s.t.Helper()
	s.n++
	number := kvs.FragmentNumber{N: s.n, Server: begin + kvs.Millis(s.n)*2000, Random: uint32(s.n) * 31}
	key, err := s.keys.Current(s.t.Context(), streamID, number.Server)
	if err != nil {
		s.t.Fatal(err)
	}
	r := archive.Record{Fragment: kvs.Fragment{Stream: streamID, Number: number, Producer: producer, Duration: f.Length, Size: int64(len(f.Body))},
		Retention: 24, Timecode: f.Timecode, Key: key, Header: f.Header, Body: net.Buffers{f.Body}}
	if !s.bare {
		r.Frames = f.Table
	}
	tracks, err := codec.Tracks(f.Header)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, t := range tracks {
		row := segment.Track{Number: uint32(t.Number), Fingerprint: t.Fingerprint}
		for _, k := range f.Frames {
			if k.Track == t.Number {
				row.Frames, row.Bytes = row.Frames+1, row.Bytes+int64(len(k.Data))
			}
		}
		r.Tracks = append(r.Tracks, row)
	}
	done := make(chan error, 1)
	s.archive.Append(r, func(err error) { done <- err })
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	stored, ok, err := s.archive.Get(s.t.Context(), streamID, number, 0)
	if err != nil || !ok {
		s.t.Fatal(ok, err)
	}
	return shot{stored, f}
}

// clip stores a clip of package mediatest.
func (s *studio) clip(name string) []shot { return s.film(mediatest.Bytes(name)) }
