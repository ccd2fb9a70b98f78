package quota

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

func newBook(t testing.TB, o BookOptions) *Book {
	t.Helper()
	b, err := NewBook(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shown is the value of a limit as List has it, with its origin.
func shown(t *testing.T, b *Book, a kvs.AccountID, id kvs.StreamID, l *Limit) string {
	t.Helper()
	all := b.List(a, id)
	if len(all) != len(Table()) {
		t.Fatalf("%d limits are listed, want %d", len(all), len(Table()))
	}
	i := slices.IndexFunc(all, func(f InForce) bool { return f.Limit == l })
	text := l.Format(all[i].Value) + " from " + string(all[i].From)
	if all[i].Differs {
		text += ", differs"
	}
	return text
}

func TestPrecedence(t *testing.T) {
	ctx := context.Background()
	b := newBook(t, BookOptions{Profile: AWS, Settings: map[string]string{"PutMedia.sessions": "2"}})
	view := b.View("111122223333", 7)
	check := func(want int, says string) {
		t.Helper()
		if got := view.Int(PutSessions); got != want {
			t.Errorf("%d sessions are allowed, want %d", got, want)
		}
		if got := shown(t, b, "111122223333", 7, PutSessions.Limit); got != says {
			t.Errorf("listed: %s, want %s", got, says)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	account, stream := Target{Account: "111122223333"}, Target{Account: "111122223333", Stream: 7}
	check(2, "2 from settings")
	must(b.Set(ctx, account, "PutMedia.sessions", "3"))
	check(3, "3 from account")
	must(b.Set(ctx, stream, "PutMedia.sessions", "none"))
	check(0, "none from stream")
	if other := b.View("111122223333", 8).Int(PutSessions); other != 3 {
		t.Errorf("another stream of the account: %d, want 3", other)
	}
	if other := b.View("999988887777", 9).Int(PutSessions); other != 2 {
		t.Errorf("a stream of another account: %d, want 2", other)
	}
	must(b.Configure(AWS, nil))
	check(0, "none from stream")
	must(b.Reset(ctx, stream, "PutMedia.sessions"))
	check(3, "3 from account")
	must(b.Reset(ctx, account, ""))
	check(1, "1 from profile")
	must(b.Configure(Open, nil))
	check(0, "none from profile")
	must(b.Set(ctx, stream, "PutMedia.sessions", "5"))
	must(b.Forget(ctx, 7))
	check(0, "none from profile")
}

// The original service allows fewer streams outside its two largest regions.
func TestTheProfileAWSDependsOnTheRegion(t *testing.T) {
	for _, c := range []struct {
		profile Profile
		region  string
		want    string
	}{
		{AWS, "", "10000"}, {AWS, "us-east-1", "10000"}, {AWS, "us-west-2", "10000"}, {AWS, "eu-central-1", "5000"}, {Open, "eu-central-1", None},
	} {
		b := newBook(t, BookOptions{Profile: Open, Region: c.region})
		if err := b.Configure(c.profile, nil); err != nil {
			t.Fatal(err)
		}
		if got := shown(t, b, "1", 0, AccountStreams.Limit); got != c.want+" from profile" {
			t.Errorf("%s in %s: %s, want %s", c.profile, c.region, got, c.want)
		}
		own := Target{Account: "1"}
		if err := b.Set(t.Context(), own, AccountStreams.Name, "7"); err != nil {
			t.Fatal(err)
		}
		all := b.List("1", 0)
		i := slices.IndexFunc(all, func(f InForce) bool { return f.Limit == AccountStreams.Limit })
		if got := AccountStreams.Format(all[i].Default); got != c.want {
			t.Errorf("%s in %s: the profile is said to have %s, want %s", c.profile, c.region, got, c.want)
		}
	}
}

func TestHardLimitsThatDifferAreTold(t *testing.T) {
	b := newBook(t, BookOptions{Profile: AWS, Settings: map[string]string{"PutMedia.fragment-rate": "10/s", "PutMedia.sessions": "4", "GetMedia.stream-rate": "5/s"}})
	rate, _ := Lookup("GetMedia.stream-rate")
	for l, want := range map[*Limit]string{
		PutFragmentRate.Limit: "10/s from settings, differs",
		PutSessions.Limit:     "4 from settings", // soft
		rate:                  "5/s from settings",
	} {
		if got := shown(t, b, "1", 0, l); got != want {
			t.Errorf("%s: %s, want %s", l.Name, got, want)
		}
	}
}

func TestMistakesSayWhatWouldBeRight(t *testing.T) {
	ctx := context.Background()
	b := newBook(t, BookOptions{})
	stream := Target{Account: "111122223333", Stream: 7}
	for _, c := range []struct {
		t           Target
		name, value string
		says        string
	}{
		{stream, "PutMedia.session", "2", "did you mean PutMedia.sessions?"},
		{stream, "putmedia.bandwith", "2", "did you mean PutMedia.bandwidth?"},
		{stream, "PutMedia.sessions", "two", "a whole number such as 5"},
		{stream, "PutMedia.sessions", "0", "write none for no limit"},
		{stream, "PutMedia.sessions", "-1", "a whole number"},
		{stream, "fragment.bytes", "60MB", "at most 50MB"},
		{stream, "fragment.bytes", "none", "at most 50MB"},
		{stream, "fragment.bytes", "1.5B", "a size such as"},
		{stream, "fragment.overlap", "yes", "on or off"},
		{stream, "PutMedia.session-age", "45", "a duration such as 45m"},
		{stream, "PutMedia.session-age", "-3s", "a duration such as 45m"},
		{stream, "PutMedia.fragment-rate", "NaN/s", "a frequency such as"},
		{stream, "PutMedia.bandwidth", "12", "a bandwidth such as"},
		{stream, "account.streams", "3", "set it for the account"},
		{stream, "listener.strangers", "3", "whole server"},
		{Target{}, "account.streams", "3", "for an account"},
	} {
		err := b.Set(ctx, c.t, c.name, c.value)
		if kvs.KindOf(err) != kvs.InvalidArgument || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s = %s: got %v, want %q", c.name, c.value, err, c.says)
		}
		if c.t == stream && c.says != "whole server" && c.says != "set it for the account" {
			if err := b.Configure(AWS, map[string]string{"GetMedia.sessions": "9", c.name: c.value}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("settings with %s = %s: got %v, want %q", c.name, c.value, err, c.says)
			}
		}
	}
	if err := b.Reset(ctx, stream, "nothing"); kvs.KindOf(err) != kvs.InvalidArgument {
		t.Errorf("reset of an unknown limit: %v", err)
	}
	if err := b.Configure("azure", nil); err == nil || !strings.Contains(err.Error(), `"azure"`) || !strings.Contains(err.Error(), `"aws"`) {
		t.Errorf("got %v; want an error that names the profile and those there are", err)
	}
	if got := b.View("1", 0).Int(GetSessions); got != 0 || b.Profile() != Open {
		t.Errorf("settings with a mistake changed something: %d, %s", got, b.Profile())
	}
}

func TestWhatWasSetIsThereAgain(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "limits.db")
	run := func(f func(*Book, *db.DB)) {
		t.Helper()
		d, err := db.Open(ctx, db.Options{Path: path, Durable: true, Migrations: Migrations()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = d.Close() }()
		f(newBook(t, BookOptions{DB: d}), d)
	}
	account, stream, other := Target{Account: "111122223333"}, Target{Account: "111122223333", Stream: 7}, Target{Account: "111122223333", Stream: 8}
	run(func(b *Book, d *db.DB) {
		for _, err := range []error{
			b.Set(ctx, account, "PutMedia.session-age", "10m"),
			b.Set(ctx, stream, "PutMedia.session-age", "20m"),
			b.Set(ctx, stream, "PutMedia.session-age", "30m"),
			b.Set(ctx, stream, "PutMedia.bandwidth", "1MB/s"),
			b.Set(ctx, other, "PutMedia.bandwidth", "2MB/s"),
			b.Set(ctx, other, "PutMedia.idle", "2s"),
			b.Reset(ctx, other, "PutMedia.bandwidth"),
			b.write(ctx, `INSERT INTO override (account, stream, name, value) VALUES ('111122223333', 7, 'from.tomorrow', '3')`),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	run(func(b *Book, d *db.DB) {
		v, w := b.View("111122223333", 7), b.View("111122223333", 8)
		if v.Duration(PutSessionAge) != 30*time.Minute || v.Bandwidth(PutBandwidth) != 1e6 || w.Duration(PutSessionAge) != 10*time.Minute ||
			w.Bandwidth(PutBandwidth) != 0 || w.Duration(PutIdle) != 2*time.Second {
			t.Errorf("got %v, %v; %v, %v, %v", v.Duration(PutSessionAge), v.Bandwidth(PutBandwidth), w.Duration(PutSessionAge), w.Bandwidth(PutBandwidth), w.Duration(PutIdle))
		}
		if err := b.Forget(ctx, 7); err != nil {
			t.Fatal(err)
		}
		if err := b.Reset(ctx, account, ""); err != nil {
			t.Fatal(err)
		}
	})
	run(func(b *Book, d *db.DB) {
		var left int
		if err := d.Read().QueryRowContext(ctx, `SELECT COUNT(*) FROM override`).Scan(&left); err != nil || left != 1 {
			t.Errorf("%d rows are left (%v), want that of stream 8", left, err)
		}
		if got := b.View("111122223333", 8).Duration(PutIdle); got != 2*time.Second {
			t.Errorf("stream 8: %v", got)
		}
	})
}

func TestNothingIsInForceThatWasNotStored(t *testing.T) {
	d, err := db.Open(t.Context(), db.Options{Path: filepath.Join(t.TempDir(), "limits.db"), Migrations: Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	b := newBook(t, BookOptions{DB: d})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	stream := Target{Account: "1", Stream: 7}
	if err := b.Set(t.Context(), stream, "PutMedia.sessions", "2"); kvs.KindOf(err) != kvs.Unavailable {
		t.Errorf("got %v, want the error of the store", err)
	}
	if got := b.View("1", 7).Int(PutSessions); got != 0 {
		t.Errorf("%d sessions are allowed", got)
	}
}
