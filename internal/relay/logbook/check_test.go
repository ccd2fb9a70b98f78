package logbook

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// checked is a room that notes which channels are gone.
func checked(name func(kvs.ChannelID) (string, error)) (r *room, gone *[]kvs.ChannelID) {
	gone = new([]kvs.ChannelID)
	r = newRoom(func(o *Options) {
		o.Name, o.Gone, o.most = name, func(id kvs.ChannelID) { *gone = append(*gone, id) }, 100
	})
	return r, gone
}

// Only of a channel that certainly does not exist it is said that it is gone.
func TestCheck(t *testing.T) {
	var fail error
	r, gone := checked(func(id kvs.ChannelID) (string, error) {
		if fail != nil {
			return "", fail
		}
		return named(id)
	})
	for range 3 {
		r.Check(7)
		r.Check(8)
	}
	r.write()
	if !slices.Equal(*gone, []kvs.ChannelID{8}) {
		t.Error(*gone, "are gone")
	}
	fail = errAway
	for range 2 { // nothing is asked the second time
		r.Check(9)
		r.write()
	}
	r.Check(8) // that is known
	r.write()
	if !slices.Equal(*gone, []kvs.ChannelID{8, 8}) {
		t.Error(*gone, "are gone when the database is away")
	}
	fail, r.now = nil, r.now.Add(pause)
	r.Check(9)
	r.write()
	if !slices.Equal(*gone, []kvs.ChannelID{8, 8, 9}) {
		t.Error(*gone, "are gone when the database is back")
	}
}

// A check that the database did not answer is made again when it does, and not after the end.
func TestCheckAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked, fail := 0, errAway
		r, gone := checked(func(id kvs.ChannelID) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if asked++; fail != nil {
				return "", fail
			}
			return named(id)
		})
		r.o.Now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		r.Check(7)
		r.Check(8)
		r.Check(9)
		time.Sleep(10*pause + pause/2)
		synctest.Wait()
		mu.Lock()
		if asked < 10 || asked > 11 || len(*gone) != 0 { // the first of each round fails, and the others are not asked
			t.Errorf("asked %d times; %v are gone", asked, *gone)
		}
		fail = nil
		mu.Unlock()
		time.Sleep(pause)
		synctest.Wait()
		if slices.Sort(*gone); !slices.Equal(*gone, []kvs.ChannelID{8, 9}) {
			t.Error(*gone, "are gone")
		}
		mu.Lock()
		fail = errAway
		mu.Unlock()
		r.Check(10)
		synctest.Wait()
		cancel()
		running.Wait()
		before := asked
		r.Close()
		time.Sleep(10 * pause)
		if r.write(); asked != before {
			t.Error("it was asked after the end")
		}
	})
}

// Checks are bounded, and the end does not wait for them.
func TestChecksAreBounded(t *testing.T) {
	r, gone := checked(named)
	for id := range kvs.ChannelID(150) {
		r.Check(100 + id)
	}
	r.write()
	if len(*gone) != 100 {
		t.Errorf("%d were checked, want 100", len(*gone))
	}
	r.Check(300)
	r.Close()
	r.write()
	if len(*gone) != 100 {
		t.Error("it was checked after the end")
	}
	plain := newRoom()
	plain.Check(7)
	if len(plain.checks) != 0 {
		t.Error("there is nothing to ask, and something is to be asked")
	}
}
