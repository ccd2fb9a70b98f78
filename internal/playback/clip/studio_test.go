package clip

import (
	"context"
	"errors"
	"math"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/remux/remuxtest"
	"github.com/millrace/millrace/internal/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// studio is an archive with one stream that the test fills.
type studio struct {
	t       testing.TB
	archive *archive.Archive
	dir     string // of the archive
	keys    *keyring.Ring
	n       int64
	at      kvs.Millis // when the next fragment begins
	shots   map[int64]remuxtest.Fragment
}

const stream kvs.StreamID = 7

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newStudio(t testing.TB) *studio {
	t.Helper()
	s := &studio{t: t, keys: keyringtest.New(t), dir: t.TempDir(), at: kvs.MillisOf(begin), shots: map[int64]remuxtest.Fragment{}}
	var err error
	if s.archive, err = archive.Open(t.Context(), archive.Options{Dir: s.dir, Keys: s.keys, Now: func() time.Time { return begin }}); err != nil {
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

// film stores a Matroska file, its fragments one after the other.
func (s *studio) film(file []byte) {
	s.t.Helper()
	shots := remuxtest.Cut(s.t, file)
	for i, shot := range shots {
		if i > 0 {
			s.at += kvs.Millis(shot.Timecode - shots[i-1].Timecode)
		}
		s.store(shot)
	}
	s.at += kvs.Millis(shots[len(shots)-1].Length)
}

// store puts a fragment into the archive that begins at s.at.
func (s *studio) store(shot remuxtest.Fragment) {
	s.t.Helper()
	s.n++
	s.shots[s.n] = shot
	tracks, err := codec.Tracks(shot.Header)
	if err != nil {
		s.t.Fatal(err)
	}
	var facts []segment.Track
	for i := range tracks {
		facts = append(facts, segment.Track{Number: uint32(tracks[i].Number), Frames: 1, Bytes: 1, Fingerprint: tracks[i].Fingerprint})
	}
	key, err := s.keys.Current(s.t.Context(), stream, s.at)
	if err != nil {
		s.t.Fatal(err)
	}
	f := kvs.Fragment{Stream: stream, Number: kvs.FragmentNumber{N: s.n, Server: s.at, Random: 5}, Producer: s.at, Duration: shot.Length, Size: int64(len(shot.Body))}
	done := make(chan error, 1)
	s.archive.Append(archive.Record{Fragment: f, Key: key, Retention: 24, Timecode: shot.Timecode, Header: shot.Header,
		Body: net.Buffers{shot.Body}, Frames: shot.Table, Tracks: facts}, func(err error) { done <- err })
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
}

// rows are all fragments that are stored.
func (s *studio) rows() []archive.Stored {
	s.t.Helper()
	rows, _, err := s.archive.Range(s.t.Context(), stream, kvs.ProducerClock, kvs.TimeRange{End: kvs.MaxMillis}, 0, math.MaxInt32, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// clip opens a clip of everything.
func (s *studio) clip(o Options) *Clip {
	s.t.Helper()
	o.Archive = s.archive
	if o.Fragments == nil {
		o.Fragments = s.rows()
	}
	c, err := Open(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}
