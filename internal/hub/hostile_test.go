package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// honest is a master and a viewer who only want to talk, beside others who do not.
type honest struct {
	t              *testing.T
	master, viewer *fakeConn
	n              int
}

func newHonest(t *testing.T, h *Hub) *honest {
	o := &honest{t: t}
	o.master, _ = connect(t, h, Member{Channel: garden})
	o.viewer, _ = connect(t, h, Member{Channel: garden, Role: Viewer, ClientID: "honest"})
	return o
}

// talk sends a message each way, which must be there without any time passing.
func (o *honest) talk() {
	o.t.Helper()
	o.n++
	payload, began := fmt.Sprintf("%04d", o.n), time.Now()
	o.send(o.viewer, signal.Message{Action: signal.Offer, Payload: payload})
	o.send(o.master, signal.Message{Action: signal.Answer, Payload: payload, Recipient: "honest"})
	synctest.Wait()
	if took := time.Since(began); took > 0 {
		o.t.Fatalf("a message took %v", took)
	}
	if got := o.viewer.take(); len(got) != 1 || !strings.Contains(got[0], payload) {
		o.t.Fatalf("the viewer got %q", got)
	}
	if !strings.Contains(strings.Join(o.master.take(), ""), payload+`","messageType":"SDP_OFFER","senderClientId":"honest"`) {
		o.t.Fatal("the master did not get the offer")
	}
}

func (o *honest) send(c *fakeConn, m signal.Message) {
	select {
	case c.toHub <- signal.Append(nil, m):
	case <-c.closed:
		o.t.Fatalf("an honest member was closed: %s", c.reason)
	}
}

func viewer(name string) Member { return Member{Channel: garden, Role: Viewer, ClientID: name} }

// A member that sends as fast as it can is read as fast as is allowed, holds up nobody and has
// nobody dropped.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		o := newHonest(t, h)
		flooder, ended := connect(t, h, viewer("flooder"))
		text, sent, quit := signal.Append(nil, signal.Message{Action: signal.Candidate, Payload: "AAAA"}), 0, make(chan struct{})
		leave := sync.OnceFunc(func() { close(quit) })
		defer leave()
		go func() {
			for {
				select {
				case flooder.toHub <- text:
					sent++
				case <-quit:
					return
				}
			}
		}()
		for range 100 {
			synctest.Wait()
			o.talk()
			<-time.After(100*time.Millisecond + 500*time.Microsecond)
		}
		leave()
		synctest.Wait()
		if sent < 10_000 || sent > 12_000 {
			t.Errorf("%d messages were read in 10 s", sent)
		}
		if len(ended) > 0 {
			t.Error("the flooder was closed: it is held up, not punished")
		}
		h.Deleted(garden.ID)
		stop()
	})
}

// Members that never read cost what their outboxes may hold, then they are dropped.
func TestNobodyWaitsForThoseWhoDoNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const deaf = 50
		h, stop := start(t, Options{})
		o := newHonest(t, h)
		var endings []<-chan Ending
		for i := range deaf {
			c, ended := connect(t, h, viewer(fmt.Sprint(i)))
			c.sleep()
			endings = append(endings, ended)
		}
		synctest.Wait()
		payload := strings.Repeat("AAAA", 4000)
		for range 100 {
			for i := range deaf {
				o.master.toHub <- signal.Append(nil, signal.Message{Action: signal.Candidate, Payload: payload, Recipient: fmt.Sprint(i)})
			}
			if held, most := h.held.Load(), int64(deaf*(maxOutboxBytes+maxOutbox*overhead)+maxWaitBytes); held > most {
				t.Fatalf("%d bytes are held, %d may be", held, most)
			}
			<-time.After(50 * time.Millisecond)
			synctest.Wait()
		}
		o.talk()
		<-time.After(writeTimeout)
		synctest.Wait()
		for i, ended := range endings {
			if len(ended) != 1 || (<-ended).Reason != Slow {
				t.Errorf("%d is still there", i)
			}
		}
		if held := h.held.Load(); held > maxWaitBytes {
			t.Errorf("%d bytes are held for nobody", held)
		}
		o.talk()
		h.Deleted(garden.ID)
		stop()
	})
}

// What comes when the hub holds as much as it may is refused; the sender is told when there
// is room for that.
func TestAllChannelsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		master, _ := connect(t, h, Member{Channel: garden})
		anna, _ := connect(t, h, viewer("anna"))
		const room = 10_000
		h.held.Add(maxHeld - room)
		message := func(size int) []byte {
			return signal.Append(nil, signal.Message{Action: signal.Offer, Payload: strings.Repeat("AAAA", size/4), CorrelationID: "c"})
		}
		master.sleep()
		anna.toHub <- message(room)
		synctest.Wait()
		if got := anna.take(); len(got) != 1 || !strings.Contains(got[0], "ClientLimitExceededException") {
			t.Errorf("%q", got)
		}
		anna.toHub <- message(room / 2)
		synctest.Wait()
		if n := h.held.Load(); n > maxHeld || len(anna.take()) > 0 {
			t.Error("what fits was refused, or too much is held: ", n)
		}
		if _, err := h.Offer(t.Context(), garden, "echo", strings.Repeat("AAAA", room/4)); kvs.KindOf(err) != kvs.TooManyRequests {
			t.Error(err)
		}
		h.held.Add(room - maxHeld)
		h.Deleted(garden.ID)
		stop()
	})
}

// Garbage, half messages, connections that die while something is written to them, seats
// that nobody takes: the honest do not notice.
func TestHostileMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		o := newHonest(t, h)
		r := rand.New(rand.NewPCG(1, 2))
		good := signal.Append(nil, signal.Message{Action: signal.Offer, Payload: strings.Repeat("AAAA", 100), CorrelationID: "c", Recipient: "honest"})
		for round := range 300 {
			seat, err := h.Reserve(viewer(fmt.Sprint("hostile-", round%20)))
			if err != nil {
				t.Fatal(err)
			}
			if round%7 == 0 {
				defer seat.Release()
				continue
			}
			c := newFakeConn()
			go seat.Serve(t.Context(), c)
			synctest.Wait()
			attack(r, c, good)
			synctest.Wait()
			o.talk()
			if round%10 == 0 {
				<-time.After(time.Duration(r.IntN(20)) * time.Second)
			}
		}
		<-time.After(2 * garden.TTL)
		synctest.Wait()
		o.talk()
		if held := h.held.Load(); held != 0 {
			t.Errorf("%d bytes are still held", held)
		}
		h.Deleted(garden.ID)
		stopAfterSeats(h, stop, t)
	})
}

// stopAfterSeats ends the hub when the seats that were never used are given back.
func stopAfterSeats(h *Hub, stop func(), t *testing.T) {
	t.Cleanup(func() {
		stop()
		if len(h.rooms) > 0 {
			t.Error("a room is left")
		}
	})
}

// attack does something bad on a connection, and leaves it in some state.
func attack(r *rand.Rand, c *fakeConn, good []byte) {
	send := func(text []byte) {
		select {
		case c.toHub <- text:
		case <-c.closed:
		}
	}
	switch r.IntN(6) {
	case 0: // a good message with some bytes changed
		for range 20 {
			bad := append([]byte(nil), good...)
			for range 1 + r.IntN(5) {
				bad[r.IntN(len(bad))] = byte(r.IntN(256))
			}
			send(bad)
		}
	case 1: // part of one
		send(good[:r.IntN(len(good))])
	case 2:
		send(make([]byte, signal.MaxText+1))
	case 3: // dies while something is written to it
		c.mu.Lock()
		c.broken = errors.New("connection reset")
		c.mu.Unlock()
		send([]byte(`{"correlationId":"x"}`))
	case 4: // half open: nothing arrives, nothing comes
		c.mu.Lock()
		c.deaf = true
		c.mu.Unlock()
		c.sleep()
		return
	case 5: // bad to the end
		for range 2 * maxOffences {
			send([]byte(`{}`))
		}
	}
	if r.IntN(2) == 0 {
		c.leave <- errors.New("connection reset")
	}
}

// A member that has nothing to do has one goroutine, the one it came with.
func TestIdleMembersAreCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const members, elsewhere = 200, 20 // goroutines of the runtime and of other tests come and go
		h, stop := start(t, Options{})
		o := newHonest(t, h)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range members {
			c, _ := connect(t, h, viewer(fmt.Sprint(i)))
			c.toHub <- signal.Append(nil, signal.Message{Action: signal.Offer, Payload: "AAAA"})
			o.master.toHub <- signal.Append(nil, signal.Message{Action: signal.Answer, Payload: "AAAA", Recipient: fmt.Sprint(i)})
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > members+elsewhere {
			t.Errorf("%d goroutines for %d members", n, members)
		}
		for _, s := range h.rooms[garden.ID].slots {
			if s.member.outbox.queue != nil {
				t.Error("an outbox keeps its buffer")
			}
		}
		<-time.After(pingAfter)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > members+elsewhere {
			t.Errorf("%d goroutines for %d members after the pings", n, members)
		}
		h.Deleted(garden.ID)
		stop()
	})
}
