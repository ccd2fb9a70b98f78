package archive

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimDir) != "" {
		beVictim()
	}
	goleak.VerifyTestMain(m)
}

// running is an archive with its Run going.
type running struct {
	*Archive
	t    *testing.T
	stop func() // ends Run and closes; safe to call twice
}

var rings sync.Map // of directories

// keysIn returns the data keys in dir. Whoever opens the directory again has the same.
func keysIn(t testing.TB, dir string) *keyring.Ring {
	t.Helper()
	if r, ok := rings.Load(dir); ok {
		return r.(*keyring.Ring)
	}
	r, err := keyringtest.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	rings.Store(dir, r)
	t.Cleanup(func() {
		rings.Delete(dir)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// open opens the archive in o.Dir without running it.
func open(t testing.TB, o Options) *Archive {
	t.Helper()
	if o.Keys == nil {
		o.Keys = keysIn(t, o.Dir)
	}
	a, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// start opens an archive and runs it until the test ends or stop is called.
func start(t *testing.T, o Options) *running {
	t.Helper()
	a := open(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if a.index.db.Read().Ping() == nil { // a test may have closed it
			wantCounts(t, a)
		}
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(stop)
	return &running{a, t, stop}
}

// sealed gives a record its data key.
func sealed(a *Archive, rec Record) Record {
	var err error
	if rec.Key, err = a.keys.Current(context.Background(), rec.Fragment.Stream, rec.Fragment.Number.Server); err != nil {
		panic(err)
	}
	return rec
}

// recordBytes is the length of a record with a body of so many bytes and nothing else.
func recordBytes(body int64) int64 {
	r := segment.Record{Kind: segment.FragmentRecord, Key: 1, Body: body}
	return r.Size()
}

// store appends a record and waits for its answer.
func (r *running) store(rec Record) error {
	answer := make(chan error, 1)
	r.Append(sealed(r.Archive, rec), func(err error) { answer <- err })
	return <-answer
}

// mustStore stores records at the same time and fails the test if one is refused.
func (r *running) mustStore(recs ...Record) {
	r.t.Helper()
	answers := make(chan error, len(recs))
	for _, rec := range recs {
		r.Append(sealed(r.Archive, rec), func(err error) { answers <- err })
	}
	for range recs {
		if err := <-answers; err != nil {
			r.t.Fatal(err)
		}
	}
}

// sample makes fragment n of a stream: media, header and times follow from the numbers.
func sample(id kvs.StreamID, n int64, size int) Record {
	return Record{
		Fragment: kvs.Fragment{
			Stream:   id,
			Number:   kvs.FragmentNumber{N: n, Server: kvs.Millis(1_000_000 + n*2000), Random: uint32(n * 7919 & kvs.RandomMask)},
			Producer: kvs.Millis(500_000 + n*2000), Duration: 2000, Size: int64(size),
		},
		Retention: 24, Timecode: n * 2000,
		Header: fmt.Appendf(nil, "header of stream %d", id),
		Body:   media(id, n, size),
	}
}

// media returns bytes that nothing else has, in pieces of odd lengths.
func media(id kvs.StreamID, n int64, size int) net.Buffers {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(id), byte(n), byte(n >> 8)}).Read(b)
	var pieces net.Buffers
	for len(b) > 0 {
		k := min(len(b), 32768-5)
		pieces = append(pieces, b[:k:k])
		b = b[k:]
	}
	return pieces
}

// read returns header and body of a stored fragment.
func read(a *Archive, s Stored) (header, body []byte, err error) {
	r, err := a.OpenRecord(context.Background(), s)
	if err != nil {
		return nil, nil, err
	}
	var h, b bytes.Buffer
	_, err = r.WriteHeader(&h, 0)
	if err == nil {
		_, err = r.WriteTo(&b)
	}
	header = h.Bytes()
	if closeErr := r.Close(); err == nil {
		err = closeErr
	}
	return header, b.Bytes(), err
}

// wantStored checks that the archive holds exactly these records of a stream, byte for
// byte.
func wantStored(t *testing.T, a *Archive, id kvs.StreamID, want ...Record) {
	t.Helper()
	wantCounts(t, a)
	ctx := context.Background()
	after := kvs.FragmentNumber{}
	for _, w := range want {
		s, ok, err := a.Next(ctx, id, after, 0)
		if err != nil || !ok {
			t.Fatalf("after %d: found %v, error %v; want fragment %d", after.N, ok, err, w.Fragment.Number.N)
		}
		if diff := cmp.Diff(w.Fragment, s.Fragment); diff != "" || s.Timecode != w.Timecode {
			t.Fatalf("fragment %d (-want +got, timecode %d):\n%s", w.Fragment.Number.N, s.Timecode, diff)
		}
		header, body, err := read(a, s)
		if err != nil || !bytes.Equal(header, w.Header) || !bytes.Equal(body, bytes.Join(w.Body, nil)) {
			t.Fatalf("fragment %d: error %v, header %q, body equal %v", s.Number.N, err, header, bytes.Equal(body, bytes.Join(w.Body, nil)))
		}
		after = s.Number
	}
	if s, ok, err := a.Next(ctx, id, after, 0); ok || err != nil {
		t.Fatalf("fragment %d, error %v; want nothing after %d", s.Number.N, err, after.N)
	}
}

func TestStoredIsReadBackAlsoAfterReopening(t *testing.T) {
	dir := t.TempDir()
	recs := []Record{sample(1, 1, 10), sample(1, 2, 0), sample(1, 3, segment.ChunkSize), sample(1, 4, 3*segment.ChunkSize+1), sample(1, 7, 300_000)}
	a := start(t, Options{Dir: dir})
	a.mustStore(recs...)
	a.mustStore(sample(2, 1, 1000))
	wantStored(t, a.Archive, 1, recs...)
	a.stop()
	for range 2 {
		b := open(t, Options{Dir: dir})
		wantStored(t, b, 1, recs...)
		wantStored(t, b, 2, sample(2, 1, 1000))
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRetentionClassesHaveTheirOwnSegments(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	var want []Record
	for i, hours := range []int{1, 24, 25, 168, 169, 720, 721, 8760, 8761, 87600} {
		r := sample(1, int64(i+1), 100)
		r.Retention = hours
		want = append(want, r)
	}
	a.mustStore(want...)
	wantStored(t, a.Archive, 1, want...)
	s, err := a.Stats(context.Background())
	if err != nil || s.Segments != segment.Classes || s.OpenSegments != segment.Classes || s.Fragments != 10 || s.Bytes != 10*recordBytes(100) {
		t.Fatalf("%+v, %v", s, err)
	}
}

func TestSegmentsRollBySizeAndHeadersFollow(t *testing.T) {
	dir := t.TempDir()
	a := start(t, Options{Dir: dir, SegmentBytes: 4096})
	var want []Record
	for n := int64(1); n <= 10; n++ {
		want = append(want, sample(1, n, 1500))
		a.mustStore(want[n-1])
	}
	wantStored(t, a.Archive, 1, want...)
	if names := segmentFiles(t, dir); len(names) != 4 {
		t.Fatalf("%d segments, want 4: %v", len(names), names)
	}
}

func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestANumberIsStoredOnce(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	a.mustStore(sample(1, 5, 100))
	again := sample(1, 5, 200)
	if err := a.store(again); kvs.KindOf(err) != kvs.Internal || err == nil {
		t.Fatalf("got %v", err)
	}
	wantStored(t, a.Archive, 1, sample(1, 5, 100))
}

func TestHeadersAreWrittenOncePerSegment(t *testing.T) {
	dir := t.TempDir()
	a := start(t, Options{Dir: dir})
	header := bytes.Repeat([]byte("codec"), 2000)
	for n := int64(1); n <= 20; n++ {
		r := sample(1, n, 10)
		r.Header = header
		a.mustStore(r)
	}
	a.stop()
	info, err := os.Stat(segmentFiles(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	if once := int64(len(header)) + 22*recordBytes(10); info.Size() > once {
		t.Fatalf("%d bytes, and with the header once at most %d", info.Size(), once)
	}
}

func TestAppendAfterTheEndIsRefused(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	a.stop()
	if err := a.store(sample(1, 1, 1)); kvs.KindOf(err) != kvs.Unavailable {
		t.Fatalf("got %v", err)
	}
}

func TestRunAnswersEverythingAcceptedBeforeItReturns(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	answered := 0
	for n := int64(1); n <= 50; n++ {
		a.Append(sealed(a, sample(1, n, 10)), func(err error) {
			if err == nil {
				answered++
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := a.Run(ctx); err != nil || answered != 50 {
		t.Fatalf("%d answered, %v", answered, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFullQueueHoldsAppendBack(t *testing.T) {
	a := open(t, Options{Dir: t.TempDir()})
	answers := make(chan error, queueRecords+1)
	for n := range int64(queueRecords) {
		a.Append(sealed(a, sample(1, n+1, 1)), func(err error) { answers <- err })
	}
	entered := make(chan struct{})
	go func() {
		a.Append(sealed(a, sample(1, queueRecords+1, 1)), func(err error) { answers <- err })
		close(entered)
	}()
	select {
	case <-entered:
		t.Fatal("Append did not wait")
	case <-time.After(time.Millisecond):
	}
	if err := a.Close(); err != nil { // answers those that wait and lets the last one go
		t.Fatal(err)
	}
	<-entered
	for range queueRecords + 1 {
		if err := <-answers; kvs.KindOf(err) != kvs.Unavailable {
			t.Fatal(err)
		}
	}
}

func TestABodyLargerThanTheQueueIsStored(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	big := sample(1, 1, queueBytes+1)
	a.mustStore(big)
	wantStored(t, a.Archive, 1, big)
}

func TestClassOf(t *testing.T) {
	for hours, want := range map[int]segment.Class{0: 0, 1: 0, 24: 0, 25: 1, 168: 1, 720: 2, 8760: 3, 8761: 4, 87600: 4} {
		if got := classOf(hours); got != want {
			t.Errorf("%d hours: class %d, want %d", hours, got, want)
		}
	}
}

func TestTheQueueCountsHeaders(t *testing.T) {
	q := newQueue()
	for range 3 {
		if !q.put(pending{content: make([]byte, 1<<20), media: 10}) {
			t.Fatal("the queue is closed")
		}
	}
	if n, size := q.length(); n != 3 || size != 3*(1<<20+10) {
		t.Errorf("%d fragments of %d bytes", n, size)
	}
}
