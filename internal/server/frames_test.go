package server

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/sessions"
	"github.com/millrace/millrace/mkv"
)

// belt is a body that gives one piece after the other, each when the consumer has had
// the one before.
type belt struct {
	pieces chan []byte
	rest   []byte
	cut    chan struct{}
	once   sync.Once
}

func (b *belt) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		select {
		case piece, ok := <-b.pieces:
			if !ok {
				return 0, io.EOF
			}
			b.rest = piece
		case <-b.cut:
			return 0, io.ErrClosedPipe
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *belt) Interrupt() { b.once.Do(func() { close(b.cut) }) }

// meter counts what a consumer is sent; flushed holds the newest count.
type meter struct {
	n       int64
	flushed chan int64
	session *sessions.Session
}

func (m *meter) Write(b []byte) (int, error) {
	m.n += int64(len(b))
	m.session.Data(len(b), time.Now())
	return len(b), nil
}

func (m *meter) Chunk(f kvs.Fragment) error {
	m.session.Chunk(f, time.Now())
	return nil
}

func (m *meter) Flush() error {
	select {
	case <-m.flushed:
	default:
	}
	m.flushed <- m.n
	return nil
}

// A frame's way through ingest, live buffer and one consumer costs at most one
// allocation, fragments and acknowledgements included.
func TestAllocationsOfAFrame(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	stream, err := p.catalog.ByName(t.Context(), config.DevAccount, "yard")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := p.catalog.Open(t.Context(), stream.ID)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	body, out := &belt{pieces: make(chan []byte), cut: make(chan struct{})}, &meter{flushed: make(chan int64, 1), session: p.sessions.Open(sessions.About{Stream: stream, Operation: "GetMedia"})}
	watcher := p.sessions.Open(sessions.About{Stream: stream, Operation: "PutMedia"})
	var both sync.WaitGroup
	both.Go(func() {
		p.ingest.Run(ctx, ingest.Request{Stream: entry, ID: "a-request", Watcher: watcher}, body, noAcks{})
	})
	both.Go(func() { _, _ = p.player.Follow(ctx, entry, kvs.Selector{Type: kvs.StartNow}, out) })
	defer both.Wait()
	defer cancel()

	const perFragment = 400
	body.pieces <- documentOf()
	var piece []byte
	payload := make([]byte, 2000)
	sent, last := 0, int64(0)
	frame := func() {
		piece = piece[:0]
		if sent%perFragment == 0 {
			piece = mkv.AppendClusterUnknown(piece, uint64(epoch+sent*40))
		}
		piece = mkv.AppendSimpleBlock(piece, mkv.BlockHeader{Track: 1, Time: int16(sent % perFragment * 40), Key: sent%perFragment == 0}, payload)
		body.pieces <- piece
		for sent++; ; {
			if got := <-out.flushed; got >= last+int64(len(payload)) {
				last = got
				return
			}
		}
	}
	for range 2 * perFragment {
		frame()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const frames = 12 * perFragment
	for range frames {
		frame()
	}
	runtime.ReadMemStats(&after)
	each := float64(after.Mallocs-before.Mallocs) / frames
	t.Logf("%.2f allocations a frame, %.0f bytes", each, float64(after.TotalAlloc-before.TotalAlloc)/frames)
	if each > 1 {
		t.Errorf("%.2f allocations for each frame", each)
	}
}
