package catalog

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

func isGone(e *Entry) bool {
	select {
	case <-e.Gone():
		return true
	default:
		return false
	}
}

func TestSessionsShareAnEntryAndFollowTheStream(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	a, b := r.entry(s.ID), r.entry(s.ID)
	if a != b {
		t.Error("two sessions got two entries")
	}
	ok(t, r.UpdateRetention(t.Context(), s.ID, s.Version, 24))
	ok(t, r.Tag(t.Context(), s.ID, map[string]string{"millrace:lenient-tracks": "1"}))
	if got := a.Stream(); got.Retention != 24 || !got.LenientTracks() {
		t.Errorf("the session sees %+v", got)
	}
	if isGone(a) {
		t.Error("the stream is gone before it was deleted")
	}
	ok(t, r.Delete(t.Context(), s.ID, ""))
	if !isGone(a) {
		t.Error("the session was not told of the deletion")
	}
	wantKind(t, a.BeginSession(t.Context()), kvs.NotFound, "")
	_, err := a.NextNumber(t.Context(), 0)
	wantKind(t, err, kvs.NotFound, "")
	if again := r.entry(r.create("cam").ID); again == a || isGone(again) {
		t.Error("the new stream of that name shares the entry of the old one")
	}
}

func TestNumberAfterDeletionOfAnActiveSession(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	e := r.entry(s.ID)
	ok(t, e.BeginSession(t.Context()))
	ok(t, r.Delete(t.Context(), s.ID, ""))
	_, err := e.NextNumber(t.Context(), 0) // although the reservation has numbers left
	wantKind(t, err, kvs.NotFound, "")
}

// Everything at once: streams come and go while sessions open them, number fragments
// and read settings, and owners change them. In the end no entry is left of a deleted
// stream, and every session of one has been told.
func TestConcurrentSessionsAndOwners(t *testing.T) {
	r := newRoom(t)
	const streams, sessions, updates = 6, 5, 8
	var wg sync.WaitGroup
	ctx := context.Background()
	for i := range streams {
		s := r.create(fmt.Sprint("cam", i))
		entries := make([]*Entry, sessions)
		var running sync.WaitGroup
		for k := range sessions {
			running.Go(func() { entries[k] = session(t, r, s.ID) })
		}
		running.Go(func() {
			for range updates {
				ok(t, r.UpdateRetention(ctx, s.ID, r.byName(s.Name).Version, 1))
			}
		})
		running.Go(func() {
			for n := range updates {
				ok(t, r.Tag(ctx, s.ID, map[string]string{fmt.Sprint(n): "x"}))
			}
		})
		wg.Go(func() {
			running.Wait()
			for _, e := range entries {
				if got := e.Stream(); got.Retention != updates || len(got.Tags) != updates {
					t.Errorf("%s: the session sees retention %d and %d tags, want %d", s.Name, got.Retention, len(got.Tags), updates)
				}
			}
			late := make(chan *Entry)
			go func() {
				e, _ := r.Open(ctx, s.ID) // races with the deletion; nil is fine
				late <- e
			}()
			ok(t, r.Delete(ctx, s.ID, ""))
			if e := <-late; e != nil {
				entries = append(entries, e)
			}
			for _, e := range entries {
				<-e.Gone()
			}
		})
	}
	wg.Wait()
	if len(r.entries) != 0 {
		t.Errorf("%d entries are left of deleted streams", len(r.entries))
	}
}

func session(t *testing.T, r *room, id kvs.StreamID) *Entry {
	e, err := r.Open(context.Background(), id)
	if err != nil {
		t.Error(err)
		return nil
	}
	if err := e.BeginSession(context.Background()); err != nil {
		t.Error(err)
	}
	var last kvs.FragmentNumber
	for range 50 {
		f, err := e.NextNumber(context.Background(), 0)
		if err != nil || !last.Less(f) || f.Server < last.Server {
			t.Errorf("%v after %v, %v", f, last, err)
		}
		last = f
		_ = e.Stream()
	}
	return e
}

// An older value that arrives late must not replace a newer one.
func TestLateNewsIsIgnored(t *testing.T) {
	r := newRoom(t)
	e := r.entry(r.create("cam").ID)
	newer, older := *e.current.Load(), *e.current.Load()
	newer.revision, newer.Retention = 9, 9
	older.revision, older.Retention = 8, 8
	e.show(newer)
	e.show(older)
	if got := e.Stream().Retention; got != 9 {
		t.Errorf("retention %d, want 9", got)
	}
}
