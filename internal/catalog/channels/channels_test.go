package channels

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account kvs.AccountID = "111122223333"
	another kvs.AccountID = "999999999999"
)

// room is a catalog and its channels that can be closed and opened again.
type room struct {
	*Channels
	t       testing.TB
	path    string
	db      *db.DB
	streams *catalog.Catalog

	mu  sync.Mutex
	now kvs.Millis

	channels, storing, tags int // limits
}

func newRoom(t testing.TB) *room {
	r := &room{t: t, path: filepath.Join(t.TempDir(), "catalog.db"), now: 1_735_442_939_457, tags: 50}
	r.open()
	t.Cleanup(func() { _ = r.db.Close() })
	return r
}

func (r *room) open() {
	r.t.Helper()
	var err error
	r.db, err = db.Open(context.Background(), db.Options{Path: r.path, Migrations: catalog.Migrations()})
	ok(r.t, err)
	r.streams, err = catalog.Open(context.Background(), catalog.Options{DB: r.db, Region: "eu-central-1", Now: r.time})
	ok(r.t, err)
	r.Channels = Open(Options{Catalog: r.streams, MaxChannels: func(kvs.AccountID) int { return r.channels },
		MaxStoring: func(kvs.AccountID) int { return r.storing }, MaxTags: func(kvs.AccountID, kvs.ChannelID) int { return r.tags }})
}

func (r *room) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Time()
}

func (r *room) move(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *room) restart() {
	r.t.Helper()
	ok(r.t, r.db.Close())
	r.open()
}

func (r *room) create(name string) kvs.Channel {
	r.t.Helper()
	ch, err := r.Create(context.Background(), New{Account: account, Name: name})
	ok(r.t, err)
	return ch
}

func (r *room) byName(name string) kvs.Channel {
	r.t.Helper()
	ch, err := r.ByName(context.Background(), account, name)
	ok(r.t, err)
	return ch
}

func (r *room) stream(name string, hours int) kvs.Stream {
	r.t.Helper()
	s, err := r.streams.Create(context.Background(), catalog.NewStream{Account: account, Name: name, Retention: hours})
	ok(r.t, err)
	return s
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, kind kvs.Kind, text string) {
	t.Helper()
	if err == nil || kvs.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v (kind %d), want kind %d and %q", err, kvs.KindOf(err), kind, text)
	}
}

func same(t testing.TB, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCreatedChannelIsDescribed(t *testing.T) {
	r := newRoom(t)
	r.stream("first", 0) // streams and channels are counted together
	made, err := r.Create(t.Context(), New{Account: account, Name: "front-door", TTL: 5 * time.Second, Tags: map[string]string{"site": "Köln"}})
	ok(t, err)
	want := kvs.Channel{ID: 2, Account: account, Region: "eu-central-1", Name: "front-door", Created: 1_735_442_939_457,
		Version: made.Version, TTL: 5 * time.Second, Tags: map[string]string{"site": "Köln"}}
	if !regexp.MustCompile(`^[a-zA-Z0-9]{20}$`).MatchString(made.Version) {
		t.Errorf("version %q, want 20 letters and digits", made.Version)
	}
	r.restart()
	byARN, err := r.ByARN(t.Context(), account, want.ARN())
	ok(t, err)
	byID, err := r.ByID(t.Context(), want.ID)
	ok(t, err)
	for _, got := range []kvs.Channel{made, r.byName("front-door"), r.byName("front-door"), byARN, byID} {
		same(t, want, got)
	}
	if ch := r.create("plain"); ch.TTL != time.Minute || ch.ID != 3 || ch.Storage != 0 {
		t.Errorf("a channel without settings: %+v", ch)
	}
	if s := r.stream("plain", 0); s.ID != 4 {
		t.Errorf("a stream of the same name has id %d", s.ID)
	}
}

func TestLookUpsFindExactlyOne(t *testing.T) {
	r := newRoom(t)
	arn := r.create("cam").ARN()
	change := func(f func(*kvs.ARN)) kvs.ARN { a := arn; f(&a); return a }
	for name, c := range map[string]struct {
		account kvs.AccountID
		arn     kvs.ARN
	}{
		"name":       {account, change(func(a *kvs.ARN) { a.Name = "Cam" })},
		"code":       {account, change(func(a *kvs.ARN) { a.Code = "1735442939458" })},
		"zeros":      {account, change(func(a *kvs.ARN) { a.Code = "0" + a.Code })},
		"region":     {account, change(func(a *kvs.ARN) { a.Region = "us-east-1" })},
		"kind":       {account, change(func(a *kvs.ARN) { a.Kind = kvs.StreamResource })},
		"account":    {account, change(func(a *kvs.ARN) { a.Account = another })},
		"the caller": {another, arn},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.ByARN(t.Context(), c.account, c.arn)
			wantKind(t, err, kvs.NotFound, "The requested channel is not found or not active.")
		})
	}
	_, err := r.ByARN(t.Context(), account, arn)
	ok(t, err)
	_, err = r.ByID(t.Context(), 77)
	wantKind(t, err, kvs.NotFound, "")
}

func TestCreateRefuses(t *testing.T) {
	r := newRoom(t)
	r.create("taken")
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint("k", i)] = ""
	}
	for _, c := range []struct {
		name string
		n    New
		kind kvs.Kind
		text string
	}{
		{"taken", New{Name: "taken"}, kvs.InUse, "The channel taken already exists."},
		{"empty", New{Name: ""}, kvs.InvalidArgument, "1 to 256"},
		{"slash", New{Name: "a/b"}, kvs.InvalidArgument, "1 to 256"},
		{"long", New{Name: strings.Repeat("a", 257)}, kvs.InvalidArgument, "1 to 256"},
		{"short", New{Name: "a", TTL: 4 * time.Second}, kvs.InvalidArgument, "live for 4s; MessageTtlSeconds must be from 5 to 120"},
		{"for ever", New{Name: "a", TTL: 121 * time.Second}, kvs.InvalidArgument, "from 5 to 120"},
		{"a fraction", New{Name: "a", TTL: 5500 * time.Millisecond}, kvs.InvalidArgument, "from 5 to 120"},
		{"tags", New{Name: "a", Tags: many}, kvs.TooManyTags, "51 tags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.n.Account = account
			_, err := r.Create(t.Context(), c.n)
			wantKind(t, err, c.kind, c.text)
		})
	}
	r.channels = 2
	r.create("second")
	_, err := r.Create(t.Context(), New{Account: account, Name: "third"})
	wantKind(t, err, kvs.TooManyChannels, "2 signaling channels")
	_, err = r.Create(t.Context(), New{Account: another, Name: "taken"})
	ok(t, err) // each account has its own room and its own names
}

func TestOfConcurrentCreatesOneWins(t *testing.T) {
	r := newRoom(t)
	won := make(chan kvs.Channel, 40)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			ch, err := r.Create(context.Background(), New{Account: account, Name: "cam"})
			if err == nil {
				won <- ch
			} else {
				wantKind(t, err, kvs.InUse, "The channel cam already exists.")
			}
		})
	}
	wg.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d creates succeeded, want 1", len(won))
	}
	same(t, <-won, r.byName("cam"))
}

// A name that is deleted and created again is another channel, even within the same
// millisecond, even when the clock goes back.
func TestIdentityIsNeverUsedAgain(t *testing.T) {
	r := newRoom(t)
	arns, ids := map[string]bool{}, map[kvs.ChannelID]bool{}
	var last kvs.Millis
	for i := range 12 {
		ch := r.create("cam")
		if arns[ch.ARN().String()] || ids[ch.ID] || ch.Created <= last {
			t.Fatalf("round %d: %s with id %d has been there before", i, ch.ARN(), ch.ID)
		}
		arns[ch.ARN().String()], ids[ch.ID], last = true, true, ch.Created
		ok(t, r.Delete(t.Context(), ch.ID, ""))
		_, err := r.ByName(t.Context(), account, "cam")
		wantKind(t, err, kvs.NotFound, "")
		wantKind(t, r.Delete(t.Context(), ch.ID, ""), kvs.NotFound, "")
		switch i % 3 {
		case 1:
			r.move(-time.Hour)
		case 2:
			r.restart()
		}
	}
}

// Whoever asks whether an account has anything left is told of channels, too.
func TestAnAccountWithAChannelIsNotEmpty(t *testing.T) {
	r := newRoom(t)
	has := func() bool {
		any, err := r.streams.Any(t.Context(), account)
		ok(t, err)
		return any
	}
	if has() {
		t.Error("something, before anything was made")
	}
	ch := r.create("cam")
	if !has() {
		t.Error("nothing, with a channel")
	}
	ok(t, r.Delete(t.Context(), ch.ID, ""))
	if has() {
		t.Error("something, after it is gone")
	}
}
