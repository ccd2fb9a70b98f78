package quota

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taking is a Take in a goroutine of its own.
type taking struct{ result chan error }

func (b *Budget) start(ctx context.Context, ticket, n int64) taking {
	tk := taking{make(chan error, 1)}
	go func() { tk.result <- b.Take(ctx, ticket, n) }()
	return tk
}

// waits fails the test when the Take has returned. Call it in a bubble.
func (tk taking) waits(t *testing.T, who string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-tk.result:
		t.Fatalf("%s did not wait: %v", who, err)
	default:
	}
}

// done fails the test unless the Take has returned without error.
func (tk taking) done(t *testing.T, who string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-tk.result:
		if err != nil {
			t.Fatalf("%s: %v", who, err)
		}
	default:
		t.Fatalf("%s still waits", who)
	}
}

func mustTake(t *testing.T, b *Budget, ticket, n int64) {
	t.Helper()
	if err := b.Take(t.Context(), ticket, n); err != nil {
		t.Fatal(err)
	}
}

func wantUse(t *testing.T, b *Budget, used, peak int64, waiting int) {
	t.Helper()
	if u, p, _, w := b.Use(); u != used || p != peak || w != waiting {
		t.Fatalf("used %d, peak %d, waiting %d; want %d, %d, %d", u, p, w, used, peak, waiting)
	}
}

func TestATakerWaitsUntilBytesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 20)
		first, elder, third := b.Ticket(), b.Ticket(), b.Ticket()
		mustTake(t, b, first, 80)
		waiting := b.start(t.Context(), elder, 21)
		waiting.waits(t, "the elder, beyond the limit")
		younger := b.start(t.Context(), third, 2)
		younger.waits(t, "the younger one, beyond the open part")
		wantUse(t, b, 80, 80, 2)

		b.Give(first, 1)
		waiting.done(t, "the elder, after bytes were given back")
		younger.waits(t, "the younger one")
		wantUse(t, b, 100, 100, 1)

		b.Give(first, 1)
		younger.waits(t, "the younger one, with a byte too little")
		b.Give(first, 1)
		younger.done(t, "the younger one")
		wantUse(t, b, 100, 100, 0)
	})
}

// Two fragments hold everything but the reserve and neither is whole. The older one
// gets the reserve and ends; the other gets it afterwards.
func TestTheReserveEndsDeadlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		old, young := b.Ticket(), b.Ticket()
		mustTake(t, b, old, 25)
		mustTake(t, b, young, 25)

		youngWaits := b.start(t.Context(), young, 25)
		youngWaits.done(t, "the only one in line") // it has the reserve now
		oldWaits := b.start(t.Context(), old, 25)
		oldWaits.waits(t, "the older one, while another has the reserve")
		mustTake(t, b, young, 25)
		wantUse(t, b, 100, 100, 1)

		b.Done(young)
		oldWaits.waits(t, "the older one, while the bytes of the first are in use")
		b.Give(young, 75)
		oldWaits.done(t, "the older one")
		mustTake(t, b, old, 50) // it has the reserve: all there is
		wantUse(t, b, 100, 100, 0)
	})
}

func TestTheOldestInLineGetsTheReserveNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		holder, a, c, d := b.Ticket(), b.Ticket(), b.Ticket(), b.Ticket()
		mustTake(t, b, holder, 50)
		mustTake(t, b, holder, 50) // with the reserve
		third := b.start(t.Context(), d, 30)
		third.waits(t, "the youngest")
		first := b.start(t.Context(), a, 30)
		second := b.start(t.Context(), c, 30)
		first.waits(t, "the oldest in line")
		b.Done(holder)
		first.waits(t, "the oldest in line, while the reserve is in use")
		b.Give(holder, 50)
		first.done(t, "the oldest in line")
		second.waits(t, "the second")
		third.waits(t, "the youngest, although it came first")
		b.Done(a)
		b.Give(a, 30)
		second.done(t, "the second")
		third.waits(t, "the youngest")
		b.Give(holder, 30)
		third.done(t, "the youngest")
	})
}

func TestPressureIsPassedOnBeforeAndWhileSomebodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		holder, next := b.Ticket(), b.Ticket()
		var wants []int64
		var spare int64 // what can be given up, 10 bytes at a time
		b.OnPressure(func(want int64) (given int64) {
			wants = append(wants, want)
			for given < want && spare > 0 {
				b.Give(holder, 10)
				spare -= 10
				given += 10
			}
			return given
		})
		mustTake(t, b, holder, 50)
		mustTake(t, b, holder, 50) // with the reserve
		spare = 40
		waiting := b.start(t.Context(), next, 10)
		waiting.waits(t, "the taker, as long as too little was given up")
		wantUse(t, b, 60, 100, 1)

		// More can be given up now. Nobody gives anything by himself.
		spare = 20
		b.Retry()
		waiting.done(t, "the taker")
		wantUse(t, b, 50, 100, 0)
		if wants[0] != 50 || wants[1] != 10 || wants[len(wants)-1] != 10 {
			t.Errorf("asked to give up %d bytes; want 50 at first and 10 last", wants)
		}
	})
}

// Bytes without a ticket wait for the open part only and never stand in the way of a
// fragment that may have the reserve.
func TestBytesWithoutATicketLeaveTheReserveAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		mustTake(t, b, NoTicket, 40)
		one, two := b.start(t.Context(), NoTicket, 20), b.start(t.Context(), NoTicket, 30)
		one.waits(t, "the first header")
		two.waits(t, "the second header")
		wantUse(t, b, 40, 40, 2)
		ticket := b.Ticket()
		mustTake(t, b, ticket, 50) // the reserve, although others came first
		b.Done(ticket)
		b.Give(ticket, 50)
		one.waits(t, "the first header, beside the reserve")
		b.Give(NoTicket, 40)
		one.done(t, "the first header")
		two.done(t, "the second header")
		wantUse(t, b, 50, 90, 0)
		if err := b.Take(t.Context(), NoTicket, 51); err == nil {
			t.Error("more than there will ever be was waited for")
		}
	})
}

// What a header needs comes together although one fragment after the other has the
// reserve, and nobody younger is served before.
func TestAHeaderIsServedInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		var tickets []int64
		for range 5 {
			tickets = append(tickets, b.Ticket())
			mustTake(t, b, tickets[len(tickets)-1], 10)
		}
		header := b.start(t.Context(), NoTicket, 30)
		header.waits(t, "the header")
		young := b.start(t.Context(), b.Ticket(), 10)
		young.done(t, "the first fragment in line") // it has the reserve
		younger := b.start(t.Context(), b.Ticket(), 10)
		for _, old := range tickets[:3] {
			header.waits(t, "the header")
			b.Give(old, 10)
		}
		header.done(t, "the header, after the third fragment was gone")
		younger.waits(t, "the youngest")
		b.Give(tickets[3], 10)
		younger.done(t, "the youngest, after the header")
		wantUse(t, b, 60, 60, 0)
	})
}

// A fragment that takes too long with the reserve while others wait is to be given up;
// not when it waits itself, nor when nobody else does.
func TestTheReserveIsNotKeptForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		other, slow, next := b.Ticket(), b.Ticket(), b.Ticket()
		mustTake(t, b, other, 50)
		mustTake(t, b, slow, 10)
		time.Sleep(elderTime + time.Second)
		if b.Overdue(slow) {
			t.Error("overdue, but nobody waits")
		}
		waiting := b.start(t.Context(), next, 10)
		waiting.waits(t, "the next")
		if !b.Overdue(slow) || b.Overdue(next) || b.Overdue(other) || b.Overdue(NoTicket) {
			t.Error("the slow fragment is overdue, and no other")
		}
		more := b.start(t.Context(), slow, 50)
		more.waits(t, "the slow one, beyond the reserve")
		if b.Overdue(slow) {
			t.Error("overdue, but it waits itself")
		}
		b.Give(other, 20)
		more.done(t, "the slow one")
		b.Done(slow)
		if b.Overdue(slow) {
			t.Error("overdue after its end")
		}
		b.Give(slow, 60)
		waiting.done(t, "the next")
	})
}

// A large fragment has the time it needs at the slowest rate that is taken, and the time
// it waited itself does not count.
func TestALargeFragmentMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1000*elderRate, 500*elderRate)
		other, large, next := b.Ticket(), b.Ticket(), b.Ticket()
		mustTake(t, b, other, 500*elderRate)
		mustTake(t, b, large, 10*elderRate)
		waiting := b.start(t.Context(), next, 10)
		waiting.waits(t, "the next")
		time.Sleep(elderTime + 9*time.Second)
		if b.Overdue(large) {
			t.Error("overdue before its bytes could be there")
		}
		more := b.start(t.Context(), large, 495*elderRate) // five too many
		more.waits(t, "the large one, for the other")
		time.Sleep(time.Hour)
		b.Give(other, 5*elderRate)
		more.done(t, "the large one")
		time.Sleep(400 * time.Second)
		if b.Overdue(large) {
			t.Error("overdue for the time it waited")
		}
		time.Sleep(200 * time.Second)
		if !b.Overdue(large) {
			t.Error("not overdue after its time")
		}
		b.Give(other, 495*elderRate)
		waiting.done(t, "the next")
	})
}

func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 20)
		holder := b.Ticket()
		mustTake(t, b, holder, 80)
		one := b.start(t.Context(), NoTicket, 10)
		one.waits(t, "the first")
		time.Sleep(2 * time.Second)
		two := b.start(t.Context(), NoTicket, 10)
		two.waits(t, "the second")
		time.Sleep(3 * time.Second)
		want := Figures{Used: 80, Peak: 80, Limit: 100, Waiting: 2, Waits: 2, Waited: 8 * time.Second, Oldest: 5 * time.Second}
		if got := b.Figures(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		b.Give(holder, 80)
		one.done(t, "the first")
		two.done(t, "the second")
		want = Figures{Used: 20, Peak: 80, Limit: 100, Waits: 2, Waited: 8 * time.Second}
		if got := b.Figures(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestACancelledTakerLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(100, 50)
		holder, a, c := b.Ticket(), b.Ticket(), b.Ticket()
		mustTake(t, b, holder, 50)
		mustTake(t, b, holder, 50)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancelled := b.start(ctx, a, 30)
		other := b.start(t.Context(), c, 30)
		other.waits(t, "the other")
		b.Done(holder) // a is the elder now
		reason := errors.New("the session ended")
		cancel(reason)
		if err := <-cancelled.result; !errors.Is(err, reason) {
			t.Fatalf("got %v, want the cause", err)
		}
		b.Done(a) // its fragment is failed
		b.Give(holder, 50)
		other.done(t, "the other, which is the elder now")
		wantUse(t, b, 80, 100, 0)
	})
}

func TestASpentContextIsNotNeededWhileThereIsRoom(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := NewBudget(100, 50)
	if err := b.Take(ctx, b.Ticket(), 50); err != nil {
		t.Errorf("there was room, and yet: %v", err)
	}
	if err := b.Take(ctx, b.Ticket(), 1000); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	wantUse(t, b, 50, 50, 0)
}

func TestTheReserveIsAtMostHalf(t *testing.T) {
	b := NewBudget(100, 1000)
	mustTake(t, b, b.Ticket(), 50)
	wantUse(t, b, 50, 50, 0)
}

// Many fragments that are larger together than the budget all end, in whatever order
// their producers send, and the limit holds all the time.
func TestManyFragmentsAllEndWithinTheLimit(t *testing.T) {
	const page, limit, largest, fragments = 10, 1000, 400, 200
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(limit, largest)
		var wg sync.WaitGroup
		for i := range fragments {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				ticket, size := b.Ticket(), int64(1+r.IntN(largest/page))*page
				for range size / page {
					if err := b.Take(t.Context(), ticket, page); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				}
				b.Done(ticket)
				b.Give(ticket, size)
			})
		}
		wg.Wait()
		used, peak, lim, waiting := b.Use()
		if used != 0 || waiting != 0 {
			t.Errorf("%d bytes taken and %d waiting when all had ended", used, waiting)
		}
		if peak > limit || peak < limit-largest || lim != limit {
			t.Errorf("peak %d of limit %d: want at most the limit, and a test that comes near", peak, lim)
		}
	})
}

func TestTakingCostsNoAllocation(t *testing.T) {
	b := NewBudget(100, 50)
	n := testing.AllocsPerRun(100, func() {
		ticket := b.Ticket()
		if b.Take(context.Background(), ticket, 10) == nil {
			b.Done(ticket)
			b.Give(ticket, 10)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
