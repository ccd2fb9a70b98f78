package inspect

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stock is an archive on disk with fragments of known bytes.
type stock struct {
	t       testing.TB
	dir     string // the data directory
	count   int    // fragments of each stream
	segment int64  // bytes at which one is sealed
	ring    *keyring.Ring
	now     *atomic.Int64 // of the archive's clock, milliseconds
}

var stockStreams = []kvs.StreamID{5, 6}

// the moment that server times count from
const began = 1_800_000_000_000

const stockAccount = kvs.AccountID("000000000000")

// local wraps the data keys of all stocks.
var local = func() *keyring.Local {
	l, err := keyring.NewLocal(make([]byte, 32), nil)
	if err != nil {
		panic(err)
	}
	return l
}()

func (s *stock) unwrap(ctx context.Context, stream kvs.StreamID, wrapped []byte) ([32]byte, error) {
	return local.Unwrap(ctx, "", keyring.Scope{Account: stockAccount, Stream: stream}, wrapped)
}

// open opens keys and archive as a server does.
func (s *stock) open() (*archive.Archive, *keyring.Ring, error) {
	dir := filepath.Join(s.dir, "archive")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	ring, err := keyring.Open(keyring.Options{Path: filepath.Join(dir, "keys"), Provider: local,
		Owner: func(context.Context, kvs.StreamID) (keyring.Owner, error) {
			return keyring.Owner{Account: stockAccount}, nil
		}})
	if err != nil {
		return nil, nil, err
	}
	a, err := archive.Open(context.Background(), archive.Options{Dir: dir, WarmDir: filepath.Join(s.dir, "warm"), SegmentBytes: s.segment, Keys: ring,
		Policy: s.policy, ExpireEvery: 24 * time.Hour, Now: func() time.Time { return time.UnixMilli(s.now.Load()) }})
	if err != nil {
		return nil, nil, errors.Join(err, ring.Close())
	}
	return a, ring, nil
}

// reopen is a start without anything to do.
func (s *stock) reopen(context.Context) error {
	a, ring, err := s.open()
	if err != nil {
		return err
	}
	return errors.Join(a.Close(), ring.Close())
}

// newStock makes an archive of a few sealed segments and an open one.
func newStock(t testing.TB) *stock {
	s := &stock{t: t, dir: t.TempDir(), segment: 100 << 10, now: new(atomic.Int64)}
	s.now.Store(began)
	s.grow(40)
	s.segment = 0
	s.grow(8)
	return s
}

// grow stores more fragments.
func (s *stock) grow(n int) {
	s.t.Helper()
	s.run(func(a *archive.Archive) {
		for range n {
			s.count++
			for _, id := range stockStreams {
				s.put(a, id, int64(s.count))
			}
		}
	})
}

// run opens the archive and lets it work.
func (s *stock) run(do func(*archive.Archive)) {
	s.t.Helper()
	a, ring, err := s.open()
	if err != nil {
		s.t.Fatal(err)
	}
	s.ring = ring
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	do(a)
	cancel()
	if err := <-ended; err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(a.Close(), ring.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// policy keeps an hour; stream 6 is warm.
func (s *stock) policy(_ context.Context, id kvs.StreamID) (archive.Policy, error) {
	return archive.Policy{Hours: 1, Tier: tierOf(id), Holds: s.holdOfSome()}, nil
}

func tierOf(id kvs.StreamID) kvs.StorageTier {
	if id == 6 {
		return kvs.Warm
	}
	return kvs.Hot
}

func (s *stock) put(a *archive.Archive, id kvs.StreamID, n int64) {
	s.t.Helper()
	answer := make(chan error, 1)
	b := stockBody(id, n)
	key, err := s.ring.Current(s.t.Context(), id, kvs.Millis(began+n*1000))
	if err != nil {
		s.t.Fatal(err)
	}
	a.Append(archive.Record{Key: key, Retention: 1, Tier: tierOf(id), Header: []byte{'h', byte(id)}, Body: net.Buffers{b}, Tracks: stockTracks(n),
		Fragment: kvs.Fragment{Stream: id, Number: stockNumber(n),
			Producer: kvs.Millis(n * 1000), Duration: 1000, Size: int64(len(b))}}, func(err error) { answer <- err })
	if err := <-answer; err != nil {
		s.t.Fatal(err)
	}
}

func stockNumber(n int64) kvs.FragmentNumber {
	return kvs.FragmentNumber{N: n, Server: kvs.Millis(began + n*1000), Random: 7}
}

// stockTracks are two, and once in a while so many that a footer goes over pages.
func stockTracks(n int64) []segment.Track {
	tracks := make([]segment.Track, 2)
	if n%8 == 0 {
		tracks = make([]segment.Track, 400)
	}
	for i := range tracks {
		tracks[i] = segment.Track{Number: uint32(i + 1), Frames: uint32(n), Bytes: 1000 * n, Fingerprint: uint64(i) << 40}
	}
	return tracks
}

func stockBody(id kvs.StreamID, n int64) []byte {
	b := make([]byte, 5_000+n%5*8_000)
	_, _ = rand.NewChaCha8([32]byte{byte(id), byte(n)}).Read(b)
	return b
}

func (s *stock) check(o Options) *Report {
	s.t.Helper()
	o.Dir, o.Warm = filepath.Join(s.dir, "archive"), filepath.Join(s.dir, "warm")
	if o.Deep {
		o.Unwrap = s.unwrap
	}
	r, err := Check(s.t.Context(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestAWholeArchiveIsClean(t *testing.T) {
	s := newStock(t)
	r := s.check(Options{Deep: true})
	if !r.Clean() || len(r.Notes) > 0 || r.Fragments != int64(2*s.count) {
		t.Errorf("%+v", r)
	}
}
