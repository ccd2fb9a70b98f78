package catalog

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account kvs.AccountID = "111122223333"

// clock is a clock the test moves.
type clock struct {
	mu  sync.Mutex
	now kvs.Millis
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Time()
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// room is a catalog that can be closed and opened again.
type room struct {
	*Catalog
	t       testing.TB
	path    string
	clock   *clock
	max     int
	db      *db.DB
	commits int // counted in the writer's goroutine; read it between writes
}

func newRoom(t testing.TB) *room {
	r := &room{t: t, path: filepath.Join(t.TempDir(), "catalog.db"), clock: &clock{now: 1_735_442_939_457}}
	r.open()
	t.Cleanup(func() { _ = r.db.Close() })
	return r
}

func (r *room) open() {
	r.t.Helper()
	var err error
	r.db, err = db.Open(context.Background(), db.Options{
		Path: r.path, Migrations: Migrations(), Durable: isBenchmark(r.t),
		OnCommit: func(int, time.Duration) { r.commits++ },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Catalog, err = Open(context.Background(), Options{
		DB: r.db, Region: "eu-central-1", Now: r.clock.time, MaxStreams: func(kvs.AccountID) int { return r.max },
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// isBenchmark says whether syncs are to be paid for. The tests do not cut the power.
func isBenchmark(t testing.TB) bool { _, is := t.(*testing.B); return is }

// restart ends the program in an orderly way and starts it again.
func (r *room) restart() {
	r.t.Helper()
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

func (r *room) create(name string) kvs.Stream {
	r.t.Helper()
	s, err := r.Create(context.Background(), NewStream{Account: account, Name: name})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *room) byName(name string) kvs.Stream {
	r.t.Helper()
	s, err := r.ByName(context.Background(), account, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *room) entry(id kvs.StreamID) *Entry {
	r.t.Helper()
	e, err := r.Open(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func wantKind(t testing.TB, err error, kind kvs.Kind, text string) {
	t.Helper()
	if err == nil || kvs.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v (kind %d), want kind %d and %q", err, kvs.KindOf(err), kind, text)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var _ fs.FS = Migrations()

func TestCreatedStreamIsDescribed(t *testing.T) {
	r := newRoom(t)
	made, err := r.Create(t.Context(), NewStream{
		Account: account, Name: "front-door", DeviceName: "cam.1", MediaType: "video/h264", KmsKeyID: "alias/k",
		Retention: 24, Tier: kvs.Warm, Tags: map[string]string{"site": "Köln"},
	})
	ok(t, err)
	want := kvs.Stream{
		ID: 1, Account: account, Region: "eu-central-1", Name: "front-door", Created: 1_735_442_939_457,
		Version: made.Version, Status: kvs.Active, Retention: 24, DeviceName: "cam.1", MediaType: "video/h264",
		KmsKeyID: "alias/k", Tier: kvs.Warm, Tags: map[string]string{"site": "Köln"},
	}
	if !regexp.MustCompile(`^[a-zA-Z0-9]{20}$`).MatchString(made.Version) {
		t.Errorf("version %q, want 20 letters and digits", made.Version)
	}
	r.restart()
	byARN, err := r.ByARN(t.Context(), account, want.ARN())
	ok(t, err)
	for _, got := range []kvs.Stream{made, r.byName("front-door"), byARN, r.entry(1).Stream()} {
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if got, want := made.ARN().String(), "arn:aws:kinesisvideo:eu-central-1:111122223333:stream/front-door/1735442939457"; got != want {
		t.Errorf("ARN %s, want %s", got, want)
	}
	if s := r.create("plain"); s.Tier != kvs.Hot || s.ID != 2 {
		t.Errorf("a stream without settings: %+v", s)
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
		"partition":  {account, change(func(a *kvs.ARN) { a.Partition = "aws-cn" })},
		"kind":       {account, change(func(a *kvs.ARN) { a.Kind = kvs.ChannelResource })},
		"account":    {account, change(func(a *kvs.ARN) { a.Account = "999999999999" })},
		"the caller": {"999999999999", arn},
		"both":       {"999999999999", change(func(a *kvs.ARN) { a.Account = "999999999999" })},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.ByARN(t.Context(), c.account, c.arn)
			wantKind(t, err, kvs.NotFound, "The requested stream is not found or not active.")
		})
	}
	if _, err := r.ByARN(t.Context(), account, arn); err != nil {
		t.Error(err)
	}
	_, err := r.ByName(t.Context(), "999999999999", "cam")
	wantKind(t, err, kvs.NotFound, "")
}

func TestCreateRefuses(t *testing.T) {
	r := newRoom(t)
	r.create("taken")
	fifty := map[string]string{}
	for i := range 51 {
		fifty[fmt.Sprint("k", i)] = ""
	}
	for _, c := range []struct {
		name string
		n    NewStream
		kind kvs.Kind
		text string
	}{
		{"taken", NewStream{Name: "taken"}, kvs.InUse, "The stream taken already exists."},
		{"empty", NewStream{Name: ""}, kvs.InvalidArgument, "1 to 256"},
		{"slash", NewStream{Name: "a/b"}, kvs.InvalidArgument, "1 to 256"},
		{"long", NewStream{Name: strings.Repeat("a", 257)}, kvs.InvalidArgument, "1 to 256"},
		{"retention", NewStream{Name: "a", Retention: 87_601}, kvs.InvalidArgument, "87601 hours; it must be from 0 to 87600"},
		{"negative", NewStream{Name: "a", Retention: -1}, kvs.InvalidArgument, "from 0"},
		{"tags", NewStream{Name: "a", Tags: fifty}, kvs.TooManyTags, "51 tags"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.n.Account = account
			_, err := r.Create(t.Context(), c.n)
			wantKind(t, err, c.kind, c.text)
		})
	}
	r.max = 2
	r.create("second")
	_, err := r.Create(t.Context(), NewStream{Account: account, Name: "third"})
	wantKind(t, err, kvs.TooManyStreams, "2 streams")
	_, err = r.Create(t.Context(), NewStream{Account: "999999999999", Name: "third"})
	ok(t, err) // each account has its own room and its own names
	_, err = r.Create(t.Context(), NewStream{Account: "999999999999", Name: "taken"})
	ok(t, err)
}

func TestOfConcurrentCreatesOneWins(t *testing.T) {
	r := newRoom(t)
	var mu sync.Mutex
	var won []kvs.Stream
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			s, err := r.Create(context.Background(), NewStream{Account: account, Name: "cam"})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, s)
			} else {
				wantKind(t, err, kvs.InUse, "The stream cam already exists.")
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d creates succeeded, want 1", len(won))
	}
	if d := cmp.Diff(won[0].Version, r.byName("cam").Version); d != "" {
		t.Error(d)
	}
}

func TestRegionsAreApart(t *testing.T) {
	r := newRoom(t)
	r.create("cam")
	other, err := Open(t.Context(), Options{DB: r.db, Region: "us-east-1", Now: r.clock.time})
	ok(t, err)
	_, err = other.ByName(t.Context(), account, "cam")
	wantKind(t, err, kvs.NotFound, "")
	s, err := other.Create(t.Context(), NewStream{Account: account, Name: "cam", Retention: 5})
	ok(t, err)
	all, err := r.Kept(t.Context())
	ok(t, err)
	want := map[kvs.StreamID]Kept{1: {Account: account, Tier: kvs.Hot}, s.ID: {Account: account, Tier: kvs.Hot, Retention: 5}}
	if d := cmp.Diff(want, all); d != "" {
		t.Errorf("expiry is for all regions: %s", d)
	}
}

// A name that is deleted and created again is another stream, even within the same
// millisecond, even when the clock goes back, even long after the purge.
func TestIdentityIsNeverUsedAgain(t *testing.T) {
	r := newRoom(t)
	arns, ids := map[string]bool{}, map[kvs.StreamID]bool{}
	for i := range 12 {
		s := r.create("cam")
		if arns[s.ARN().String()] || ids[s.ID] {
			t.Fatalf("round %d: %s with id %d has been there before", i, s.ARN(), s.ID)
		}
		arns[s.ARN().String()], ids[s.ID] = true, true
		ok(t, r.Delete(t.Context(), s.ID, ""))
		switch i % 4 {
		case 1:
			ok(t, r.Purged(t.Context(), s.ID))
		case 2:
			r.clock.move(-time.Hour)
		case 3:
			r.restart()
		}
	}
}
