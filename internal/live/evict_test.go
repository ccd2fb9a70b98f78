package live

import (
	"testing"
	"time"
)

// What nobody reads stays while it is little, of all streams together; what somebody
// reads stays for its time.
func TestUnreadFragmentsGiveWayToNewerOnes(t *testing.T) {
	const part = keepUnread / 4
	why := make(map[Reason]int64)
	r := newRoom(t, 20*part, Options{Evicted: func(reason Reason, bytes int64) { why[reason] += bytes }})
	read, a, b := r.Acquire(1), r.Acquire(2), r.Acquire(3)
	seat := read.Subscribe()
	for range 5 {
		r.archived(read, part)
	}
	first := r.archived(a, part)
	r.archived(b, part)
	r.archived(a, part)
	kept := r.archived(b, part)
	r.wantLive(a, 1, 2)
	r.wantLive(b, 1, 2)

	r.archived(a, part)
	r.wantEvicted(first)
	r.wantLive(a, 2, 3)
	r.archived(b, part)
	r.wantLive(b, 2, 3)
	r.wantBytes(kept, part)
	r.wantLive(read, 1, 2, 3, 4, 5)
	r.wantPages(9 * part / PageSize)
	if len(why) != 1 || why[Unread] != 2*part {
		t.Errorf("evicted: %v", why)
	}

	// Who comes in time finds what is there, for as long as it stays.
	late := b.Subscribe()
	for range 8 {
		r.archived(a, part)
	}
	r.wantLive(b, 2, 3)
	seat.Close()
	late.Close()
	r.pass(keepArchived + time.Second)
	r.sweep()
	r.wantLive(read)
	r.wantLive(b)
	r.wantPages(0)
}

// What left for another reason is not given back twice.
func TestUnreadFragmentsMayHaveLeft(t *testing.T) {
	const part = keepUnread / 2
	r := newRoom(t, 20*part, Options{})
	st, other := r.Acquire(1), r.Acquire(2)
	r.archived(st, part)
	dropped := r.begin(other, false)
	r.fill(dropped, PageSize)
	r.complete(dropped, false)
	r.Drop(other.id)
	dropped.Archived()
	r.pass(keepArchived)
	r.sweep()
	r.wantPages(0)
	for range 3 {
		r.archived(st, part)
	}
	r.wantLive(st, 3, 4)
	r.wantPages(2 * part / PageSize)
	if n := len(r.unread.queue); n != 2 {
		t.Errorf("%d are remembered", n)
	}
}
