package catalog

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
)

func TestEveryChangeNeedsAndMakesAVersion(t *testing.T) {
	r := newRoom(t)
	id := r.create("cam").ID
	e := r.entry(id)
	device, media := "cam.2", "video/h265"
	for _, c := range []struct {
		name   string
		change func(version string) error
		want   func(*kvs.Stream)
	}{
		{"device", func(v string) error { return r.Update(t.Context(), id, v, &device, nil) }, func(s *kvs.Stream) { s.DeviceName = device }},
		{"media type", func(v string) error { return r.Update(t.Context(), id, v, nil, &media) }, func(s *kvs.Stream) { s.MediaType = media }},
		{"nothing", func(v string) error { return r.Update(t.Context(), id, v, nil, nil) }, func(*kvs.Stream) {}},
		{"retention", func(v string) error { return r.UpdateRetention(t.Context(), id, v, 24) }, func(s *kvs.Stream) { s.Retention = 24 }},
		{"tier", func(v string) error { return r.UpdateTier(t.Context(), id, v, kvs.Warm) }, func(s *kvs.Stream) { s.Tier = kvs.Warm }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := r.byName("cam")
			for _, stale := range []string{"", "AAAAAAAAAAAAAAAAAAAA"} {
				wantKind(t, c.change(stale), kvs.VersionMismatch, "Read the current version with DescribeStream")
			}
			ok(t, c.change(want.Version))
			got := r.byName("cam")
			if got.Version == want.Version {
				t.Error("the version did not change")
			}
			c.want(&want)
			want.Version = got.Version
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(got, e.Stream()); d != "" {
				t.Errorf("a session sees something else: %s", d)
			}
		})
	}
}

func TestRetentionStaysInItsRange(t *testing.T) {
	r := newRoom(t)
	id := r.create("cam").ID
	for _, step := range []struct {
		delta, want int
		refused     bool
	}{
		{-1, 0, true},
		{87_601, 0, true},
		{87_600, 87_600, false},
		{1, 87_600, true},
		{math.MaxInt, 87_600, true},
		{math.MinInt, 87_600, true},
		{-87_599, 1, false},
		{-2, 1, true},
		{-1, 0, false},
	} {
		before := r.byName("cam")
		err := r.UpdateRetention(t.Context(), id, before.Version, step.delta)
		if step.refused {
			wantKind(t, err, kvs.InvalidArgument, "from 0 to 87600")
		} else {
			ok(t, err)
		}
		after := r.byName("cam")
		if after.Retention != step.want || (after.Version == before.Version) != step.refused {
			t.Errorf("%+d: retention %d, want %d; version changed: %v", step.delta, after.Retention, step.want, after.Version != before.Version)
		}
	}
}

// Of callers that have read the same version one may change the stream.
func TestOfConcurrentUpdatesOneWins(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	var mu sync.Mutex
	var won []int
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if r.UpdateRetention(context.Background(), s.ID, s.Version, i+1) == nil {
				mu.Lock()
				defer mu.Unlock()
				won = append(won, i+1)
			}
		})
	}
	wg.Wait()
	if got := r.byName("cam").Retention; len(won) != 1 || got != won[0] {
		t.Errorf("retention %d, winners %v", got, won)
	}
}

func TestUnknownStreamCannotBeChanged(t *testing.T) {
	r := newRoom(t)
	id := r.create("cam").ID
	ok(t, r.Delete(t.Context(), id, ""))
	for name, f := range map[string]func() error{
		"Update":          func() error { return r.Update(t.Context(), id, "v", nil, nil) },
		"UpdateRetention": func() error { return r.UpdateRetention(t.Context(), id, "v", 1) },
		"UpdateTier":      func() error { return r.UpdateTier(t.Context(), id, "v", kvs.Hot) },
		"Delete":          func() error { return r.Delete(t.Context(), id, "") },
		"Tag":             func() error { return r.Tag(t.Context(), id, map[string]string{"a": "b"}) },
		"Untag":           func() error { return r.Untag(t.Context(), id, []string{"a"}) },
		"ListTags":        func() error { _, _, err := r.ListTags(t.Context(), id, ""); return err },
		"Open":            func() error { _, err := r.Open(t.Context(), id); return err },
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, f(), kvs.NotFound, "not found or not active") })
	}
}

func TestDeleteIsGuardedAndRemembered(t *testing.T) {
	r := newRoom(t)
	a, b := r.create("a"), r.create("b")
	wantKind(t, r.Delete(t.Context(), a.ID, "stale"), kvs.VersionMismatch, "")
	ok(t, r.Delete(t.Context(), a.ID, a.Version))
	ok(t, r.Delete(t.Context(), b.ID, ""))
	r.restart()
	deleted := func(want ...kvs.StreamID) {
		t.Helper()
		if got, err := r.Deleted(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("deleted %v (%v), want %v", got, err, want)
		}
	}
	deleted(a.ID, b.ID)
	ok(t, r.Purged(t.Context(), a.ID))
	deleted(b.ID)
	ok(t, r.Purged(t.Context(), a.ID)) // saying it twice is harmless
	ok(t, r.Purged(t.Context(), b.ID))
	deleted()
}

// However often a name is used, one purged row of it stays; others keep theirs.
func TestPurgedRowsDoNotPileUp(t *testing.T) {
	r := newRoom(t)
	other := r.create("other")
	ok(t, r.Delete(t.Context(), other.ID, ""))
	var ids []kvs.StreamID
	for range 10 {
		s := r.create("cam")
		ok(t, r.Delete(t.Context(), s.ID, ""))
		ids = append(ids, s.ID)
	}
	for _, i := range []int{9, 0, 3, 1, 2, 4, 5, 6, 7, 8} { // purged in any order
		ok(t, r.Purged(t.Context(), ids[i]))
	}
	var n int
	var last kvs.StreamID
	err := r.db.Read().QueryRow("SELECT COUNT(*), MAX(id) FROM deleted WHERE name = 'cam'").Scan(&n, &last)
	if err != nil || n != 1 || last != ids[9] {
		t.Errorf("%d rows, last %d (%v); want one, %d", n, last, err, ids[9])
	}
	if got, _ := r.Deleted(t.Context()); !slices.Equal(got, []kvs.StreamID{other.ID}) {
		t.Errorf("deleted %v, want only the other stream", got)
	}
}

func TestTags(t *testing.T) {
	r := newRoom(t)
	s := r.create("cam")
	e := r.entry(s.ID)
	want := func(want map[string]string) {
		t.Helper()
		got, next, err := r.ListTags(t.Context(), s.ID, "")
		if d := cmp.Diff(want, got); err != nil || next != "" || d != "" {
			t.Errorf("tags: next %q, error %v, %s", next, err, d)
		}
		if len(want) > 0 && cmp.Diff(want, e.Stream().Tags) != "" {
			t.Errorf("a session sees %v, want %v", e.Stream().Tags, want)
		}
	}
	want(map[string]string{})
	ok(t, r.Tag(t.Context(), s.ID, map[string]string{"a": "1", "b": "", "ключ": "<&\"'>"}))
	seen := e.Stream().Tags
	ok(t, r.Tag(t.Context(), s.ID, map[string]string{"a": "2", "c": "3"}))
	want(map[string]string{"a": "2", "b": "", "c": "3", "ключ": "<&\"'>"})
	if seen["a"] != "1" || len(seen) != 3 {
		t.Errorf("the tags a session had read were modified: %v", seen)
	}
	ok(t, r.Untag(t.Context(), s.ID, []string{"a", "unknown", "ключ"}))
	want(map[string]string{"b": "", "c": "3"})
	if v := r.byName("cam").Version; v != s.Version {
		t.Errorf("tags changed the version from %s to %s", s.Version, v)
	}

	many := map[string]string{}
	for i := range 48 {
		many[fmt.Sprint("k", i)] = ""
	}
	ok(t, r.Tag(t.Context(), s.ID, many))
	wantKind(t, r.Tag(t.Context(), s.ID, map[string]string{"one more": ""}), kvs.TooManyTags, "51 tags")
	ok(t, r.Tag(t.Context(), s.ID, map[string]string{"k0": "replaced"}))
	ok(t, r.Untag(t.Context(), s.ID, []string{"b"}))
	ok(t, r.Tag(t.Context(), s.ID, map[string]string{"one more": ""}))

	// The limit may be lower, for a stream or for what its account makes.
	r.maxTags = func(a kvs.AccountID, id kvs.StreamID) int { return map[kvs.StreamID]int{0: 1, s.ID: 51}[id] }
	wantKind(t, r.Tag(t.Context(), s.ID, map[string]string{"and another": ""}), kvs.TooManyTags, "51 tags")
	_, err := r.Create(t.Context(), NewStream{Account: "111122223333", Name: "two", Tags: map[string]string{"a": "", "b": ""}})
	wantKind(t, err, kvs.TooManyTags, "2 tags")
}

// Pages neither repeat nor lose a tag that stays, whatever comes and goes meanwhile.
func TestTagPages(t *testing.T) {
	r := newRoom(t)
	s, other := r.create("cam"), r.create("other")
	r.tagPage = 7
	all := map[string]string{}
	for i := range 40 {
		all[fmt.Sprint("key", i)] = fmt.Sprint(i)
	}
	ok(t, r.Tag(t.Context(), s.ID, all))
	got, token, pages := map[string]string{}, "", 0
	for {
		page, next, err := r.ListTags(t.Context(), s.ID, token)
		ok(t, err)
		for k, v := range page {
			if _, twice := got[k]; twice {
				t.Errorf("%s came twice", k)
			}
			got[k] = v
			if pages == 1 { // the tags the token stands on may go
				ok(t, r.Untag(t.Context(), s.ID, []string{k}))
			}
		}
		pages++
		if next == "" {
			break
		}
		_, _, err = r.ListTags(t.Context(), other.ID, next)
		wantKind(t, err, kvs.InvalidArgument, "NextToken")
		token = next
	}
	if d := cmp.Diff(all, got); d != "" || pages != 6 {
		t.Errorf("%d pages, %s", pages, d)
	}
}
