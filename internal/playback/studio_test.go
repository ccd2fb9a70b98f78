package playback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/mkv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// studio is a real archive, a real live store and a player over them. The test plays
// the producers, sets the clock and says when fragments leave the live buffer.
type studio struct {
	t       testing.TB
	archive *archive.Archive
	keys    *keyring.Ring
	live    *live.Store
	stream  *fakeStream
	st      *live.Stream
	options Options
	budget  *freely
	head    *live.Header // of the fragments

	mu     sync.Mutex
	bubble bool // in a synctest bubble: time is the bubble's
	now    time.Time
	n      int64
}

// fakeStream is the stream everybody reads.
type fakeStream struct {
	mu     sync.Mutex
	stream kvs.Stream
	gone   chan struct{}
}

func (s *fakeStream) Stream() kvs.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream
}

func (s *fakeStream) Gone() <-chan struct{} { return s.gone }

func (s *fakeStream) setRetention(hours int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stream.Retention = hours
}

const streamID kvs.StreamID = 7

// begin is the clock's first time.
var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newStudio(t testing.TB) *studio { return openStudio(t, false) }

func openStudio(t testing.TB, bubble bool) *studio {
	t.Helper()
	s := &studio{t: t, bubble: bubble, now: begin, budget: &freely{}, head: liveHeader,
		stream: &fakeStream{stream: kvs.Stream{ID: streamID, Name: "yard", Retention: 24}, gone: make(chan struct{})}}
	s.live = live.New(live.Options{Budget: s.budget, HostBuffer: func() (int64, time.Duration) { return 8 << 20, time.Minute }, Now: s.clock})
	var err error
	s.keys = keyringtest.New(t)
	if s.archive, err = archive.Open(t.Context(), archive.Options{Dir: t.TempDir(), Keys: s.keys, Now: s.clock}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.archive.Run(ctx) }()
	s.st = s.live.Acquire(streamID)
	s.options = Options{Archive: s.archive, Live: s.live, Idle: func(kvs.Stream) time.Duration { return 3 * time.Second }, Now: s.clock}
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.archive.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// clock is the studio's own, or that of the bubble it was made in.
func (s *studio) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bubble {
		return time.Now()
	}
	return s.now
}

func (s *studio) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *studio) nextNumber() (kvs.FragmentNumber, error) {
	now := kvs.MillisOf(s.clock())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return kvs.FragmentNumber{N: s.n, Server: now, Random: uint32(s.n) * 31}, nil
}

// documentHead is what every chunk of the studio begins with.
var documentHead = func() []byte {
	b := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska", DocTypeVersion: 2, DocTypeReadVersion: 2})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{Title: "yard", MuxingApp: "studio", WritingApp: "studio"})
	return mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 11, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
}()

var liveHeader = &live.Header{Bytes: documentHead}

// take is a fragment being made.
type take struct {
	s *studio
	*live.Fragment
	sent []byte // what was appended
}

// open begins a fragment; frames says that its cluster has unknown size.
func (s *studio) open(frames bool) *take {
	s.t.Helper()
	f, err := s.st.Begin(s.nextNumber, kvs.MillisOf(s.clock())-500, s.head, frames)
	if err != nil {
		s.t.Fatal(err)
	}
	k := &take{s: s, Fragment: f}
	k.add(mkv.AppendClusterUnknown(nil, uint64(f.Info().Producer)))
	return k
}

func (k *take) add(b []byte) {
	k.s.t.Helper()
	if err := k.Append(context.Background(), b); err != nil {
		k.s.t.Fatal(err)
	}
	k.sent = append(k.sent, b...)
	k.Publish()
}

// frame adds a block whose payload tells fragment and place.
func (k *take) frame(at, size int) {
	k.s.t.Helper()
	k.add(mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Time: int16(at), Key: at == 0}, payload(k.Info().Number.N, at, size)))
}

func payload(n int64, at, size int) []byte {
	return bytes.Repeat([]byte{byte(n), byte(at), byte(n >> 8), 0xA5}, size/4+1)[:size]
}

// complete makes the fragment whole.
func (k *take) complete(host bool) net.Buffers {
	k.s.t.Helper()
	info := k.Info()
	info.Size, info.Duration = k.Size(), 1000
	body, ok := k.Complete(info, host)
	if !ok {
		k.s.t.Fatal("the fragment could not be completed")
	}
	return body
}

// store makes the fragment whole and puts it into the archive.
func (k *take) store() {
	k.s.t.Helper()
	body := k.complete(false)
	key, err := k.s.keys.Current(k.s.t.Context(), streamID, k.Info().Number.Server)
	if err != nil {
		k.s.t.Fatal(err)
	}
	done := make(chan error, 1)
	k.s.archive.Append(archive.Record{Fragment: k.Info(), Key: key, Retention: 24, Timecode: int64(k.Info().Producer), Header: k.s.head.Bytes, Body: body}, func(err error) { done <- err })
	if err := <-done; err != nil {
		k.s.t.Fatal(err)
	}
	k.Archived()
}

// stored adds a whole fragment of some frames to live buffer and archive.
func (s *studio) stored(size int) *take {
	s.t.Helper()
	k := s.open(true)
	k.frame(0, size)
	k.frame(40, size)
	k.store()
	return k
}

// evict takes everything out of the live buffer that need not be there.
func (s *studio) evict() { s.budget.reclaim(1 << 40) }

// freely is a budget without an end that gives the test the lever of pressure.
type freely struct{ reclaim func(want int64) int64 }

func (*freely) Ticket() int64                               { return 0 }
func (*freely) Take(context.Context, int64, int64) error    { return nil }
func (*freely) Give(int64, int64)                           {}
func (*freely) Retry()                                      {}
func (*freely) Done(int64)                                  {}
func (*freely) Overdue(int64) bool                          { return false }
func (b *freely) OnPressure(reclaim func(want int64) int64) { b.reclaim = reclaim }

// sink takes what a consumer is sent. It can be made to block, and tells of flushes.
type sink struct {
	chunks  int
	mu      sync.Mutex
	buf     bytes.Buffer
	flushed chan int        // bytes flushed so far
	gate    chan struct{}   // nil = never blocks; else one value lets one write through
	hook    func(write int) // called in the n-th write, from 1
	writes  int
	fail    error
}

func newSink() *sink { return &sink{flushed: make(chan int, 10_000)} }

func (o *sink) Write(b []byte) (int, error) {
	if o.gate != nil {
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return 0, o.fail
	}
	if o.writes++; o.hook != nil {
		o.hook(o.writes)
	}
	return o.buf.Write(b)
}

func (o *sink) Chunk(kvs.Fragment) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.chunks++
	return nil
}

func (o *sink) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.flushed <- o.buf.Len():
	default:
	}
	return o.fail
}

func (o *sink) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.buf.Bytes())
}

// until waits for a flush of at least n bytes.
func (o *sink) until(n int) {
	for got := range o.flushed {
		if got >= n {
			return
		}
	}
}

// reader is a consumer in a goroutine of its own.
type reader struct {
	*sink
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	chunks int
	err    error
}

// follow starts a consumer that ends with the test at the latest.
func (s *studio) follow(sel kvs.Selector, o *sink) *reader {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{sink: o, t: s.t, cancel: cancel, done: make(chan struct{})}
	p := New(s.options)
	go func() {
		defer close(r.done)
		r.chunks, r.err = p.Follow(ctx, s.stream, sel, o)
	}()
	s.t.Cleanup(func() { cancel(); <-r.done })
	return r
}

// stop ends the consumer and returns what it was sent.
func (r *reader) stop() []chunk {
	r.t.Helper()
	r.cancel()
	return r.wait()
}

// wait waits for the session to end by itself.
func (r *reader) wait() []chunk {
	r.t.Helper()
	<-r.done
	return parse(r.t, r.bytes())
}

// chunk is one document of an answer.
type chunk struct {
	tags   map[string]string
	frames []string // track, time and first bytes
	body   []byte   // cluster bytes and what followed it, without the service's tags
	whole  bool     // it ended with Tags #2
}

// parse reads an answer back.
func parse(t testing.TB, b []byte) []chunk {
	t.Helper()
	var all []chunk
	r := mkv.NewReader(bytes.NewReader(b), mkv.Options{})
	for {
		it, err := r.Next()
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return all // a reader may look while a frame is on its way
		}
		if err != nil {
			t.Fatalf("what was sent is no Matroska: %v", err)
		}
		if it.Kind == mkv.EBML {
			all = append(all, chunk{tags: map[string]string{}})
		}
		all[len(all)-1].item(it)
	}
}

func (c *chunk) item(it *mkv.Item) {
	own := false
	if it.Kind == mkv.TagsElement {
		for _, s := range it.Tags[0].Simple {
			if len(s.Name) > 16 && s.Name[:16] == "AWS_KINESISVIDEO" {
				c.tags[s.Name], own = s.Value, true
				c.whole = c.whole || s.Name == tagToken
			}
		}
	}
	if it.Kind == mkv.Block {
		c.frames = append(c.frames, fmt.Sprintf("%d@%d", it.Block.Track, int64(it.Timecode)+int64(it.Block.Time)))
	}
	if !own && (c.body != nil || it.Kind == mkv.ClusterStart) {
		c.body = append(c.body, it.Raw...)
	}
}

// wantChunks checks that exactly these fragments were sent whole and byte for byte.
func wantChunks(t testing.TB, got []chunk, want ...*take) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d chunks, want %d: %v", len(got), len(want), numbers(got))
		return
	}
	for i, k := range want {
		if n := k.Info().Number.String(); got[i].tags[tagNumber] != n || got[i].tags[tagToken] != n {
			t.Errorf("chunk %d is %v, want %s", i, got[i].tags, n)
		}
		if !bytes.Equal(got[i].body, k.sent) {
			t.Errorf("chunk %d: %d bytes of body, want the %d that were put", i, len(got[i].body), len(k.sent))
		}
	}
}

func numbers(chunks []chunk) (all []string) {
	for _, c := range chunks {
		all = append(all, c.tags[tagNumber])
	}
	return all
}
