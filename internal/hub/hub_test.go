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

// start runs a hub for the time of a test in a bubble, whose end must find nothing left.
func start(t *testing.T, o Options) *Hub {
	t.Helper()
	h := New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if held := h.held.Load(); held != 0 || len(h.rooms) != 0 {
			t.Errorf("%d bytes are held by nobody in %d rooms", held, len(h.rooms))
		}
	})
	return h
}

// connect lets somebody in.
func connect(t *testing.T, h *Hub, m Member) (*fakeConn, <-chan Ending) {
	t.Helper()
	seat, err := h.Reserve(m)
	if err != nil {
		t.Fatal(err)
	}
	c, done := newFakeConn(1000), make(chan Ending, 1)
	go func() { done <- seat.Serve(context.Background(), c) }()
	return c, done
}

func TestOfferAndAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, Options{})
		master, ended := connect(t, h, Member{Channel: garden})
		anna, left := connect(t, h, Member{Channel: garden, Role: Viewer, ClientID: "anna"})
		anna.toHub <- []byte(`{"action":"SDP_OFFER","messagePayload":"e30="}`)
		if got := string(<-master.toMe); got != `{"messagePayload":"e30=","messageType":"SDP_OFFER","senderClientId":"anna"}` {
			t.Error(got)
		}
		master.toHub <- []byte(`{"Action":"SDP_ANSWER","MessagePayload":"e30","RecipientClientId":"anna"}`)
		if got := string(<-anna.toMe); got != `{"messagePayload":"e30=","messageType":"SDP_ANSWER"}` {
			t.Error(got)
		}
		anna.leave <- ErrLeft
		if e := <-left; e.Reason != Left {
			t.Error(e)
		}
		h.Deleted(garden.ID)
		if e := <-ended; e.Reason != Deleted || master.reason != "channel deleted" {
			t.Error(e)
		}
	})
}
