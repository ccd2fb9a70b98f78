package guard

import (
	"net/netip"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	var b Bucket
	take := func(now time.Duration, n, most int64) (taken int64) {
		for range n {
			if b.Take(int64(now), 1, 10, most) {
				taken++
			}
		}
		return taken
	}
	for _, c := range []struct {
		now  time.Duration
		want int64
	}{{0, 20}, {0, 0}, {time.Second / 2, 5}, {time.Second, 5}, {time.Hour, 20}, {time.Minute, 0}} {
		if got := take(c.now, 100, 20); got != c.want {
			t.Errorf("at %s: %d, want %d", c.now, got, c.want)
		}
	}
}

// What is let through may be more than any network carries.
func TestWideBucket(t *testing.T) {
	var b Bucket
	const most = 15_000_000_000
	for range 1000 {
		if !b.Take(1, 1400, most, most) {
			t.Fatal("it is empty")
		}
	}
}

// Sources do not touch each other, but for a hash in 65,536.
func TestQuiet(t *testing.T) {
	q := NewQuiet()
	answered := 0
	for i := range 256 {
		a := netip.AddrFrom4([4]byte{11, 0, 0, byte(i)})
		for range AnswersAtOnce + 10 {
			if q.Take(0, a) {
				answered++
			}
		}
	}
	if answered < 250*AnswersAtOnce || answered > 256*AnswersAtOnce {
		t.Error(answered)
	}
	if n := testing.AllocsPerRun(100, func() { q.Take(0, netip.IPv6Loopback()) }); n > 0 {
		t.Error(n, "allocations")
	}
}
