package backup

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a data directory in use, like a server's.
type source struct {
	t       testing.TB
	segment int64 // bytes at which a segment is sealed
	data    string
	catalog *catalog.Catalog
	archive *archive.Archive
	ring    *keyring.Ring
	streams []kvs.Stream
	horizon atomic.Int64 // fragments with an older server time expire; 0 = none
	numbers map[kvs.StreamID]int64
	lock    *os.File
	serving *os.File
	stop    func()
}

// the moment that server times of these tests count from, in milliseconds
const began = 1_800_000_000_000

// newSource makes a data directory with streams and small segments, and opens it.
func newSource(t *testing.T) *source { return newSourceOf(t, 64<<10) }

func newSourceOf(t testing.TB, segment int64) *source {
	t.Helper()
	s := &source{t: t, segment: segment, data: filepath.Join(t.TempDir(), "data"), numbers: map[kvs.StreamID]int64{}}
	if err := os.Mkdir(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{formatFile: "millrace 1\n", "token-key": "0123", "ca.pem": "CA", "ca.key": "secret"} {
		if err := os.WriteFile(filepath.Join(s.data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.open()
	for _, name := range []string{"garden", "gate"} {
		stream, err := s.catalog.Create(t.Context(), catalog.NewStream{Account: "123456789012", Name: name, Retention: 24})
		if err != nil {
			t.Fatal(err)
		}
		s.streams = append(s.streams, stream)
	}
	return s
}

// open opens the stores until close or the end of the test.
func (s *source) open() {
	s.t.Helper()
	ctx := context.Background()
	var err error
	if s.lock, err = take(filepath.Join(s.data, lockFile)); err != nil {
		s.t.Fatal(err)
	}
	rows := s.rows(db.Options{Path: filepath.Join(s.data, catalogFile), Durable: true, Migrations: catalog.Migrations()})
	if s.catalog, err = catalog.Open(ctx, catalog.Options{DB: rows, Region: "us-east-1"}); err != nil {
		s.t.Fatal(err)
	}
	keys := s.rows(db.Options{Path: filepath.Join(s.data, keysFile), Durable: true, Migrations: iam.Migrations()})
	if _, err = iam.Open(ctx, iam.Options{DB: keys, KeyFile: filepath.Join(s.data, keyFile)}); err != nil {
		s.t.Fatal(err)
	}
	// A horizon of the test's own: the archive's clock decides, with one hour's retention.
	now := func() time.Time { return time.UnixMilli(s.horizon.Load()).Add(time.Hour) }
	if s.ring, err = openRing(s.data); err != nil {
		s.t.Fatal(err)
	}
	s.archive, err = archive.Open(ctx, archive.Options{Dir: filepath.Join(s.data, "archive"), WarmDir: s.warm(), Keys: s.ring, SegmentBytes: s.segment,
		ExpireEvery: 24 * time.Hour, Policy: s.policy, Now: now})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.serving, err = take(filepath.Join(s.data, ServingFile)); err != nil {
		s.t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.archive.Run(run) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		for _, err := range []error{<-ended, s.archive.Close(), s.ring.Close(), rows.Close(), keys.Close(), s.serving.Close(), s.lock.Close()} {
			if err != nil {
				s.t.Error(err)
			}
		}
	}
	s.t.Cleanup(func() { s.stop() })
}

// warm is the folder for warm segments.
func (s *source) warm() string { return filepath.Join(filepath.Dir(s.data), "warm") }

func (s *source) rows(o db.Options) *db.DB {
	s.t.Helper()
	d, err := db.Open(context.Background(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// policy is what the server's is: that of the catalog, if the stream is there.
func (s *source) policy(ctx context.Context, id kvs.StreamID) (archive.Policy, error) {
	all, err := s.catalog.Kept(ctx)
	if err != nil {
		return archive.Policy{}, err
	}
	if _, ok := all[id]; !ok {
		return archive.Policy{}, kvs.Errorf(kvs.NotFound, "no stream %d", id)
	}
	return archive.Policy{Hours: 1}, nil
}

// body is what a fragment of these tests holds; it depends on its number alone.
func body(id kvs.StreamID, n int64) []byte {
	b := make([]byte, 20_000+n%7*3000)
	r := rand.NewChaCha8([32]byte{byte(id), byte(n), byte(n >> 8)})
	_, _ = r.Read(b)
	return b
}

// store stores so many fragments in each stream.
func (s *source) store(n int) {
	s.t.Helper()
	for range n {
		for _, stream := range s.streams {
			s.numbers[stream.ID]++
			if err := s.put(stream.ID, s.numbers[stream.ID]); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s *source) put(id kvs.StreamID, n int64) error {
	key, err := s.ring.Current(context.Background(), id, kvs.Millis(began+n*1000))
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	b := body(id, n)
	s.archive.Append(archive.Record{Retention: 24, Key: key, Header: []byte("header"), Body: net.Buffers{b},
		Fragment: kvs.Fragment{Stream: id, Number: kvs.FragmentNumber{N: n, Server: kvs.Millis(began + n*1000), Random: 7},
			Producer: kvs.Millis(n * 1000), Duration: 1000, Size: int64(len(b))}}, func(err error) { answer <- err })
	return <-answer
}

// openRing opens the data keys of a data directory. All have the same wrapping key.
func openRing(data string) (*keyring.Ring, error) {
	return keyringtest.Open(filepath.Join(data, "archive", "keys"))
}

// keysOf opens the data keys of a directory until the test ends.
func keysOf(t testing.TB, data string) *keyring.Ring {
	t.Helper()
	r, err := openRing(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// expire lets everything up to fragment n of each stream expire.
func (s *source) expire(n int64) {
	s.t.Helper()
	s.horizon.Store(began + (n+1)*1000)
	for range 2 { // the second pass removes what the first one sealed
		if err := s.archive.Expire(context.Background()); err != nil {
			s.t.Fatal(err)
		}
	}
}

// stored lists what an archive holds of a stream, by number.
func stored(t testing.TB, a *archive.Archive, id kvs.StreamID) map[int64]kvs.Fragment {
	t.Helper()
	list, _, more, err := a.List(t.Context(), id, archive.Query{Clock: kvs.ServerClock, Max: 100_000, Range: kvs.TimeRange{End: kvs.Millis(1 << 60)}})
	if err != nil || more {
		t.Fatal(err, more)
	}
	all := map[int64]kvs.Fragment{}
	for _, f := range list {
		all[f.Number.N] = f
	}
	return all
}

// contents is what is stored of all streams.
func (s *source) contents() map[kvs.StreamID]map[int64]kvs.Fragment {
	s.t.Helper()
	all := map[kvs.StreamID]map[int64]kvs.Fragment{}
	for _, stream := range s.streams {
		all[stream.ID] = stored(s.t, s.archive, stream.ID)
	}
	return all
}

// options are those of a backup of the source into a folder of the test.
func (s *source) options() Options {
	return Options{Data: s.data, Warm: s.warm(), Dir: filepath.Join(filepath.Dir(s.data), "backups"), Program: "test"}
}

func (s *source) backup(o Options) *Report {
	s.t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// restored restores a backup, opens what came out and returns its fragments, each of them
// read and compared with what was stored.
func (s *source) restored(dir, id string) map[kvs.StreamID]map[int64]kvs.Fragment {
	s.t.Helper()
	data := filepath.Join(s.t.TempDir(), "restored")
	r, err := Restore(s.t.Context(), RestoreOptions{Dir: dir, ID: id, Data: data})
	if err != nil {
		s.t.Fatal(err)
	}
	if names, err := Unknown(data); err != nil || len(names) > 0 {
		s.t.Errorf("restored files that are unknown: %v, %v", names, err)
	}
	for _, f := range mustList(s.t, dir, r.ID).Files {
		info, err := os.Stat(filepath.Join(data, f.Path))
		if err != nil || info.Mode().Perm() != f.Mode {
			s.t.Errorf("%s: %v, want mode %v", f.Path, err, f.Mode)
		}
	}
	a, err := archive.Open(s.t.Context(), archive.Options{Dir: filepath.Join(data, "archive"), Keys: keysOf(s.t, data)})
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Close()
	all := map[kvs.StreamID]map[int64]kvs.Fragment{}
	for _, stream := range s.streams {
		all[stream.ID] = stored(s.t, a, stream.ID)
		for n, f := range all[stream.ID] {
			s.readable(a, stream.ID, n, f)
		}
	}
	return all
}

// readable compares a fragment's bytes with what was stored.
func (s *source) readable(a *archive.Archive, id kvs.StreamID, n int64, f kvs.Fragment) {
	s.t.Helper()
	at, ok, err := a.Get(s.t.Context(), id, f.Number, 0)
	if err != nil || !ok {
		s.t.Errorf("fragment %d of stream %d is listed and not found: %v", n, id, err)
		return
	}
	r, err := a.OpenRecord(s.t.Context(), at)
	if err != nil {
		s.t.Errorf("fragment %d of stream %d: %v", n, id, err)
		return
	}
	defer r.Close()
	got := make([]byte, r.Size())
	if _, err := r.ReadAt(got, 0); err != nil || !bytes.Equal(got, body(id, n)) {
		s.t.Errorf("fragment %d of stream %d: %v, %d bytes that are not what was stored", n, id, err, len(got))
	}
}

func mustList(t testing.TB, dir, id string) *Manifest {
	t.Helper()
	l, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := choose(l, dir, id)
	if err != nil {
		t.Fatal(err)
	}
	return chosen[0]
}

// same compares what is stored in two places.
func same(t *testing.T, what string, want, got map[kvs.StreamID]map[int64]kvs.Fragment) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		for id := range want {
			t.Logf("stream %d: want %v, got %v", id, slices.Sorted(maps.Keys(want[id])), slices.Sorted(maps.Keys(got[id])))
		}
		t.Errorf("%s differs (-want +got):\n%.500s", what, d)
	}
}

// verified fails unless all backups in a folder are whole.
func verified(t *testing.T, dir string, backups int) {
	t.Helper()
	v, err := Verify(t.Context(), VerifyOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Damage) > 0 || len(v.Backups) != backups {
		t.Errorf("verified %v, want %d backups; damage: %v", v.Backups, backups, v.Damage)
	}
}

// damage changes one byte of a file.
func damage(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

func ids(backups []Summary) (out []string) {
	for _, b := range backups {
		out = append(out, fmt.Sprint(b.ID, b.Damaged != ""))
	}
	return out
}
