package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/signal"
)

// Callers who give up at once leave little behind, and not without end.
func TestAlexaOffersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		master, _ := connect(t, h, Member{Channel: garden})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		refused := 0
		for i := range maxAsked + 10 {
			if _, err := h.Offer(gone, garden, fmt.Sprint("caller-", i), "AAAA"); kvs.KindOf(err) == kvs.TooManyRequests {
				refused++
			}
			synctest.Wait()
			master.take()
		}
		r := h.rooms[garden.ID]
		if len(r.asked) != maxAsked {
			t.Errorf("%d offers are remembered, %d refused", len(r.asked), refused)
		}
		for sender, a := range r.asked {
			if a.offer != nil {
				t.Fatalf("the offer of %s is kept though its call is over", sender)
			}
		}
		h.Deleted(garden.ID)
		stop()
	})
}

// A client may say of itself what it likes; little of it is kept.
func TestLongNamesOfClientsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		connect(t, h, Member{Channel: garden, UserAgent: strings.Repeat("a", 60_000)})
		synctest.Wait()
		if n := len(h.Presence(garden.Account, "")[0].Master.UserAgent); n != maxClientText {
			t.Errorf("%d bytes are kept", n)
		}
		h.Deleted(garden.ID)
		stop()
	})
}

// bomb is a connection whose reader does what it never should.
type bomb struct{ *fakeConn }

func (bomb) Read(context.Context) ([]byte, error) { panic("boom") }

// Who recovers a mistake of ours in one connection finds nothing of it left: neither the
// seat, nor a room that a hub which ends would wait for.
func TestAPanicLeavesNoSeatBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		seat, err := h.Reserve(viewer("anna"))
		if err != nil {
			t.Fatal(err)
		}
		c := newFakeConn()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed: nobody hears of the mistake")
				}
			}()
			seat.Serve(t.Context(), bomb{c})
		}()
		synctest.Wait()
		if c.code != codeInternal || len(h.Presence(garden.Account, "")) > 0 {
			t.Errorf("it was closed with %d and is still there", c.code)
		}
		stop()
	})
}

// A connection that comes when a newer one of its name sits already may have been told what
// was wrong with its messages: that is not held for ever.
func TestWhoIsTurnedAwayHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		late, err := h.Reserve(viewer("anna"))
		if err != nil {
			t.Fatal(err)
		}
		connect(t, h, viewer("anna"))
		synctest.Wait()
		c, m := newFakeConn(), late.member
		c.sleep()
		late.once.Do(func() {})
		m.begin(c)
		for range 3 { // before the room lets it in
			m.refuse("x", errTooMuchWaits)
		}
		m.room.do(func() { m.room.join(m) })
		m.stay()
		if m.ending.Reason != Replaced {
			t.Errorf("it ended as %s", m.ending.Reason)
		}
		if held := h.held.Load(); held != 0 {
			t.Errorf("%d bytes are held for nobody", held)
		}
		h.Deleted(garden.ID)
		stop()
	})
}

// An account that has its share of the memory is refused, and the others do not notice.
func TestAnAccountLeavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, stop := start(t, Options{})
		greedy := Member{Channel: garden, Role: Viewer, ClientID: "anna"}
		greedy.Channel.ID, greedy.Channel.Account = garden.ID+1, "444455556666"
		anna, _ := connect(t, h, greedy)
		honest := newHonest(t, h)
		synctest.Wait()
		h.rooms[greedy.Channel.ID].share.held.Add(maxAccountHeld - 700)
		h.held.Add(maxAccountHeld - 700)
		offer := signal.Append(nil, signal.Message{Action: signal.Offer, Payload: strings.Repeat("AAAA", 200), CorrelationID: "c"})
		anna.toHub <- offer
		synctest.Wait()
		if got := anna.take(); len(got) != 1 || !strings.Contains(got[0], "ClientLimitExceededException") {
			t.Errorf("%q", got)
		}
		honest.talk()
		h.rooms[greedy.Channel.ID].share.held.Add(700 - maxAccountHeld)
		h.held.Add(700 - maxAccountHeld)
		anna.toHub <- offer
		synctest.Wait()
		for _, msg := range h.rooms[greedy.Channel.ID].mail[""].messages {
			if msg.payload != "" {
				t.Error("what waits is kept twice, and counted once")
			}
		}
		h.Deleted(garden.ID)
		h.Deleted(greedy.Channel.ID)
		stop()
		if len(h.accounts) > 0 {
			t.Errorf("%d accounts are left", len(h.accounts))
		}
	})
}
