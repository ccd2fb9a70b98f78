package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/kvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var garden = kvs.Channel{ID: 7, Account: "111122223333", Region: "us-east-1", Name: "garden", Created: 1, TTL: time.Minute}

// start runs a hub for the time of a test in a bubble; stop ends it and finds nothing left.
func start(t *testing.T, o Options) (h *Hub, stop func()) {
	t.Helper()
	h = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	return h, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if held := h.held.Load(); held != 0 || len(h.rooms) != 0 {
			t.Errorf("%d bytes are held by nobody in %d rooms", held, len(h.rooms))
		}
	}
}

// connect lets somebody in.
func connect(t *testing.T, h *Hub, m Member) (*fakeConn, <-chan Ending) {
	t.Helper()
	seat, err := h.Reserve(m)
	if err != nil {
		t.Fatal(err)
	}
	c, done := newFakeConn(), make(chan Ending, 1)
	go func() { done <- seat.Serve(context.Background(), c) }()
	return c, done
}
