package channels

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

func TestVersions(t *testing.T) {
	r := newRoom(t)
	ch := r.create("cam")
	ok(t, r.Update(t.Context(), ch.ID, ch.Version, 30*time.Second))
	now := r.byName("cam")
	if now.TTL != 30*time.Second || now.Version == ch.Version {
		t.Errorf("after the update: %+v", now)
	}
	wantKind(t, r.Update(t.Context(), ch.ID, ch.Version, time.Minute), kvs.VersionMismatch, "another version than "+ch.Version)
	wantKind(t, r.Update(t.Context(), ch.ID, now.Version, time.Hour), kvs.InvalidArgument, "from 5 to 120")
	wantKind(t, r.Update(t.Context(), 77, now.Version, time.Minute), kvs.NotFound, "")
	wantKind(t, r.Delete(t.Context(), ch.ID, ch.Version), kvs.VersionMismatch, "")
	same(t, now, r.byName("cam"))
	ok(t, r.Delete(t.Context(), ch.ID, now.Version))
}

// Of those who change the same version one wins.
func TestOfConcurrentUpdatesOneWins(t *testing.T) {
	r := newRoom(t)
	ch := r.create("cam")
	won := make(chan time.Duration, 20)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ttl := time.Duration(10+i) * time.Second
			if err := r.Update(context.Background(), ch.ID, ch.Version, ttl); err == nil {
				won <- ttl
			} else {
				wantKind(t, err, kvs.VersionMismatch, "")
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 || r.byName("cam").TTL != <-won {
		t.Errorf("%d more updates succeeded; now %s", len(won), r.byName("cam").TTL)
	}
}

func TestTags(t *testing.T) {
	r := newRoom(t)
	ch := r.create("cam")
	ok(t, r.Tag(t.Context(), ch.ID, map[string]string{"a": "1", "b": "2"}))
	before := r.byName("cam")
	ok(t, r.Tag(t.Context(), ch.ID, map[string]string{"b": "3", "c": ""}))
	ok(t, r.Untag(t.Context(), ch.ID, []string{"a", "unknown"}))
	same(t, map[string]string{"a": "1", "b": "2"}, before.Tags) // a value that was given out stays as it was
	now := r.byName("cam")
	same(t, map[string]string{"b": "3", "c": ""}, now.Tags)
	if now.Version != ch.Version {
		t.Error("tags changed the version")
	}
	r.tags = 3
	wantKind(t, r.Tag(t.Context(), ch.ID, map[string]string{"d": "", "e": ""}), kvs.TooManyTags, "4 tags; it may have at most 3")
	tags, next, err := r.ListTags(t.Context(), ch.ID, "")
	if err != nil || next != "" {
		t.Error(next, err)
	}
	same(t, now.Tags, tags)
	_, _, err = r.ListTags(t.Context(), ch.ID, "bogus")
	wantKind(t, err, kvs.InvalidArgument, "NextToken")
	_, _, err = r.ListTags(t.Context(), 77, "")
	wantKind(t, err, kvs.NotFound, "")
}

func TestPagesOfTheList(t *testing.T) {
	r := newRoom(t)
	var want []string
	for i := range 25 {
		want = append(want, fmt.Sprintf("cam-%02d", i))
		r.create(want[i])
	}
	r.create("Cam-upper")
	r.create("cam") // shorter than the prefix
	r.create("camera")
	_, err := r.Create(t.Context(), New{Account: another, Name: "cam-99"})
	ok(t, err)
	for _, size := range []int{1, 7, 25, 100} {
		var got []string
		token := ""
		for {
			page, next, err := r.List(t.Context(), account, Query{Prefix: "cam-", Token: token, Max: size})
			ok(t, err)
			if len(page) > size {
				t.Fatalf("%d channels on a page of %d", len(page), size)
			}
			for _, ch := range page {
				got = append(got, ch.Name)
			}
			if token = next; token == "" {
				break
			}
		}
		same(t, want, got)
	}
	_, token, err := r.List(t.Context(), account, Query{Prefix: "cam-", Max: 2})
	ok(t, err)
	r.restart() // tokens outlive a restart
	page, _, err := r.List(t.Context(), account, Query{Prefix: "cam-", Token: token, Max: 1})
	ok(t, err)
	same(t, "cam-02", page[0].Name)
	for name, q := range map[string]Query{"another prefix": {Token: token, Max: 1}, "made up": {Prefix: "cam-", Token: "AAAA", Max: 1}} {
		_, _, err := r.List(t.Context(), account, q)
		t.Run(name, func(t *testing.T) { wantKind(t, err, kvs.InvalidArgument, "NextToken") })
	}
	_, _, err = r.List(t.Context(), another, Query{Prefix: "cam-", Token: token, Max: 1})
	wantKind(t, err, kvs.InvalidArgument, "NextToken")
	_, _, err = r.List(t.Context(), account, Query{})
	wantKind(t, err, kvs.InvalidArgument, "MaxResults")
}

func TestMapping(t *testing.T) {
	r := newRoom(t)
	door, yard := r.create("door"), r.create("yard")
	films, other, brief := r.stream("films", 24), r.stream("other", 24), r.stream("brief", 0)
	wantKind(t, r.Map(t.Context(), door.ID, brief), kvs.NoRetention, "The stream brief keeps nothing")
	wantKind(t, r.Map(t.Context(), door.ID, kvs.Stream{ID: 999, Account: account}), kvs.NotFound, "stream")
	foreign := films
	foreign.Account = another
	wantKind(t, r.Map(t.Context(), door.ID, foreign), kvs.NotFound, "stream")
	for range 2 { // again is no change
		ok(t, r.Map(t.Context(), door.ID, films))
	}
	same(t, films.ID, r.byName("door").Storage)
	same(t, door.Version, r.byName("door").Version)
	found, is, err := r.Mapped(t.Context(), films.ID)
	if err != nil || !is || found.Name != "door" {
		t.Errorf("%+v %t %v", found, is, err)
	}
	_, is, err = r.Mapped(t.Context(), other.ID)
	if is || err != nil {
		t.Error("a stream that nothing stores to:", is, err)
	}
	wantKind(t, r.Map(t.Context(), door.ID, other), kvs.InUse, "The channel door stores to another stream")
	wantKind(t, r.Map(t.Context(), yard.ID, films), kvs.InUse, "The channel door stores to the stream films already")
	wantKind(t, r.streams.Delete(t.Context(), films.ID, ""), kvs.InUse, "The signaling channel door stores to the stream films")
	ok(t, r.Unmap(t.Context(), door.ID))
	ok(t, r.Unmap(t.Context(), door.ID))
	ok(t, r.Map(t.Context(), yard.ID, films))
	ok(t, r.Delete(t.Context(), yard.ID, "")) // the mapping goes with it
	ok(t, r.streams.Delete(t.Context(), films.ID, ""))
	wantKind(t, r.Map(t.Context(), door.ID, films), kvs.NotFound, "")

	r.storing = 1
	ok(t, r.Map(t.Context(), door.ID, other))
	wantKind(t, r.Map(t.Context(), r.create("third").ID, r.stream("more", 1)), kvs.LimitExceeded, "1 channels of the account store")
}

// Whatever many callers do at once, a stream takes from one channel, and a mapped stream
// is there.
func TestMappingRaces(t *testing.T) {
	r := newRoom(t)
	var channels []kvs.Channel
	for i := range 8 {
		channels = append(channels, r.create(fmt.Sprint("cam-", i)))
	}
	for range 5 {
		films := r.stream("films", 1)
		var wg sync.WaitGroup
		var deleted bool
		for _, ch := range channels {
			wg.Go(func() { _ = r.Map(context.Background(), ch.ID, films) })
		}
		wg.Go(func() { deleted = r.streams.Delete(context.Background(), films.ID, "") == nil })
		wg.Wait()
		mapped := 0
		for _, ch := range channels {
			if r.byName(ch.Name).Storage == films.ID {
				mapped++
			}
			ok(t, r.Unmap(t.Context(), ch.ID))
		}
		if deleted && mapped != 0 || !deleted && mapped != 1 {
			t.Errorf("%d channels store to the stream; deleted: %t", mapped, deleted)
		}
		if !deleted {
			ok(t, r.streams.Delete(t.Context(), films.ID, ""))
		}
	}
}

// Whoever changed a channel finds it changed, however many read it at the same time.
func TestNobodyIsToldOfTheChannelBeforeTheChange(t *testing.T) {
	r := newRoom(t)
	ch := r.create("yard")
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = r.ByName(context.Background(), account, "yard")
				}
			}
		})
	}
	for i := range 100 {
		ttl := time.Duration(5+i) * time.Second
		ok(t, r.Update(t.Context(), ch.ID, r.byName("yard").Version, ttl))
		if now := r.byName("yard"); now.TTL != ttl {
			t.Fatalf("%s after it was set to %s", now.TTL, ttl)
		}
	}
	close(stop)
	readers.Wait()
}

// The queries of every day must find their rows by an index, never by reading a table.
func TestQueriesUseTheirIndex(t *testing.T) {
	r := newRoom(t)
	for name, c := range map[string]struct {
		query string
		args  []any
		want  string
	}{
		"by name":     {named, []any{"a", "r", "n"}, "SEARCH channel USING INDEX channel_name (account=? AND region=? AND name=?)"},
		"of account":  {ofAccount, []any{"a", "r"}, "SEARCH channel USING COVERING INDEX channel_storing (account=? AND region=?)"},
		"first page":  {firstPage, []any{"a", "r", "p", "q", 10}, "SEARCH channel USING INDEX channel_name (account=? AND region=? AND name>? AND name<?)"},
		"later page":  {laterPage, []any{"a", "r", "p", "q", 10}, "SEARCH channel USING INDEX channel_name (account=? AND region=? AND name>? AND name<?)"},
		"of a stream": {storing, []any{1}, "SEARCH channel USING INDEX channel_storage (storage=?)"},
		"all storing": {allStoring, []any{"a", "r"}, "SEARCH channel USING COVERING INDEX channel_storing (account=? AND region=? AND storage>?)"},
	} {
		t.Run(name, func(t *testing.T) { same(t, c.want, r.explain(c.query, c.args...)) })
	}
}

func (r *room) explain(query string, args ...any) string {
	r.t.Helper()
	rows, err := r.db.Read().QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	ok(r.t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		ok(r.t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	ok(r.t, rows.Err())
	return strings.Join(steps, "; ")
}

// A look-up by name is asked for each connection: it must not reach the database.
func BenchmarkByName(b *testing.B) {
	r := newRoom(b)
	ch, err := r.Create(b.Context(), New{Account: account, Name: "cam", Tags: map[string]string{"a": "b"}})
	ok(b, err)
	for b.Loop() {
		if got, err := r.ByARN(b.Context(), account, ch.ARN()); err != nil || got.ID != ch.ID {
			b.Fatal(err)
		}
	}
}
