package seal

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/db"
)

// What the tests seal for: something short, and something as long as may be.
var (
	playback = Purpose{Name: "playback session", Max: 200}
	page     = Purpose{Name: "page", Max: 200}
	session  = Purpose{Name: "sts"}
)

var wrapping = bytes.Repeat([]byte{7}, 32)

// clock is a time that tests set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func openDB(t testing.TB, path string) *db.DB {
	t.Helper()
	d, err := db.Open(context.Background(), db.Options{Path: path, Migrations: Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func openStore(t testing.TB, d *db.DB, c *clock, key []byte) *Store {
	t.Helper()
	s, err := Open(context.Background(), Options{DB: d, Wrapping: key, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newStore(t testing.TB) (*Store, *clock) {
	c := &clock{time.UnixMilli(1_700_000_000_000)}
	return openStore(t, openDB(t, filepath.Join(t.TempDir(), "seal.db")), c, wrapping), c
}

func seal(t testing.TB, s *Store, content string) string {
	t.Helper()
	token, err := s.Seal(playback, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensHoldTheirContent(t *testing.T) {
	s, _ := newStore(t)
	for _, n := range []int{0, 1, 2, 3, 100, playback.Room()} {
		content := strings.Repeat("x", n)
		token := seal(t, s, content)
		if !strings.HasPrefix(token, "Ci") || !strings.HasSuffix(token, "~") || len(token) > 200 {
			t.Errorf("%d bytes: token %q", n, token)
		}
		if b, err := s.Open(playback, token); err != nil || string(b) != content {
			t.Errorf("%d bytes: %q, %v", n, b, err)
		}
	}
	if _, err := s.Seal(playback, make([]byte, playback.Room()+3)); err == nil || !strings.Contains(err.Error(), "3 bytes too many for a token of 200 characters") {
		t.Errorf("too much was sealed: %v", err)
	}
	if one, two := seal(t, s, "twice"), seal(t, s, "twice"); one == two {
		t.Error("two tokens are the same")
	}
}

// Each purpose has its own bound, and none a greater one than MaxToken.
func TestPurposesHaveBounds(t *testing.T) {
	s, _ := newStore(t)
	for _, p := range []Purpose{playback, session, {Name: "more", Max: MaxToken + 1}} {
		content := bytes.Repeat([]byte("x"), p.Room())
		token, err := s.Seal(p, content)
		if len(token) > p.Longest() || len(token) > MaxToken || err != nil {
			t.Errorf("%s: a token of %d characters, %v", p.Name, len(token), err)
		}
		if _, err := s.Seal(p, append(content, 'x')); err == nil {
			t.Errorf("%s: sealed a byte more", p.Name)
		}
	}
	long, err := s.Seal(session, make([]byte, 600))
	if err != nil || len(long) < 800 {
		t.Fatalf("%d, %v", len(long), err)
	}
	if b, err := s.Open(session, long); err != nil || len(b) != 600 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := s.Open(Purpose{Name: session.Name, Max: 200}, long); !errors.Is(err, ErrForged) {
		t.Errorf("longer than the purpose allows: %v", err)
	}
}

func TestForeignTokens(t *testing.T) {
	s, _ := newStore(t)
	other, _ := newStore(t)
	token := seal(t, s, "content")
	wrong := func(what string, s *Store, purpose Purpose, token string) {
		t.Helper()
		if b, err := s.Open(purpose, token); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %q, %v", what, b, err)
		}
	}
	wrong("another purpose", s, page, token)
	wrong("another server", other, playback, token)
	for i := range token {
		for _, c := range []byte("Az09-_~=\n") {
			if changed := token[:i] + string(c) + token[i+1:]; changed != token {
				if b, err := s.Open(playback, changed); err == nil {
					t.Fatalf("character %d as %q makes no difference: %q", i, c, b)
				}
			}
		}
	}
	for _, text := range []string{"", "~", "Ci", "Ci~", "CiAAAA~", token[:len(token)-1], token + "~", " " + token, token[:9] + "\n" + token[9:],
		strings.Repeat("A", 4096), "Ci" + strings.Repeat("_", 60) + "~"} {
		wrong(text, s, playback, text)
	}
}

func TestKeysRotate(t *testing.T) {
	s, c := newStore(t)
	first := seal(t, s, "first")
	step := func(d time.Duration) {
		t.Helper()
		c.at = c.at.Add(d)
		if err := s.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	opens := func(token string, want error) {
		t.Helper()
		if _, err := s.Open(playback, token); !errors.Is(err, want) {
			t.Errorf("%v after the start: %v, want %v", c.at.Sub(time.UnixMilli(1_700_000_000_000)), err, want)
		}
	}
	step(period - time.Minute)
	last := seal(t, s, "the last of the first key")
	step(time.Minute)
	if n := s.keys.Load().newest.id; n != 2 {
		t.Errorf("the newest key is %d", n)
	}
	second := seal(t, s, "second")
	step(period)
	third := seal(t, s, "third")
	step(kept - period - time.Minute)
	opens(last, nil)
	if n := len(s.keys.Load().all); n != 3 {
		t.Errorf("%d keys are kept a minute before the first goes", n)
	}
	step(time.Minute)
	opens(last, ErrExpired)
	opens(first, ErrExpired)
	opens(second, nil)
	step(period * 20) // nobody called for long
	step(0)
	opens(third, nil) // its successor has just begun
	opens(second, ErrExpired)
	step(kept)
	opens(third, ErrExpired)
	if n := len(s.keys.Load().all); n != 2 {
		t.Errorf("%d keys are kept", n)
	}
}

func TestKeysOutliveTheirProcess(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "seal.db"), &clock{time.UnixMilli(1_700_000_000_000)}
	d := openDB(t, path)
	token := seal(t, openStore(t, d, c, wrapping), "content")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, openDB(t, path), c, wrapping)
	if b, err := s.Open(playback, token); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	if n := len(s.keys.Load().all); n != 1 {
		t.Errorf("%d keys", n)
	}
}

func TestKeysOfAnotherProcess(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "seal.db"), &clock{time.UnixMilli(1_700_000_000_000)}
	one, two := openStore(t, openDB(t, path), c, wrapping), openStore(t, openDB(t, path), c, wrapping)
	c.at = c.at.Add(period)
	if err := one.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := seal(t, one, "of the second key")
	if b, err := two.Open(playback, token); err != nil || string(b) != "of the second key" {
		t.Errorf("%q, %v", b, err)
	}
	if err := two.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := two.keys.Load().newest.id; n != 2 {
		t.Errorf("both made a key: the newest is %d", n)
	}
}

func TestAnotherWrappingKeyEndsWhatWasSealed(t *testing.T) {
	path, c := filepath.Join(t.TempDir(), "seal.db"), &clock{time.UnixMilli(1_700_000_000_000)}
	d := openDB(t, path)
	before := seal(t, openStore(t, d, c, wrapping), "content")
	s := openStore(t, d, c, bytes.Repeat([]byte{8}, 32))
	if _, err := s.Open(playback, before); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v", err)
	}
	if b, err := s.Open(playback, seal(t, s, "new")); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Open(t.Context(), Options{DB: d, Wrapping: []byte("short")}); err == nil {
		t.Error("a short wrapping key was taken")
	}
}

func TestMadeUpIdsCauseFewQueries(t *testing.T) {
	s, _ := newStore(t)
	if !s.mayLook() {
		t.Fatal("the first look was not allowed")
	}
	if s.mayLook() {
		t.Error("a second look at once was allowed")
	}
}

func FuzzOpen(f *testing.F) {
	s, _ := newStore(f)
	token := seal(f, s, "content")
	f.Add(token)
	f.Add("Ci~")
	f.Add(token[:40] + "\r\n" + token[40:])
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := s.Open(playback, text); err == nil && (text != token || string(b) != "content") {
			t.Errorf("%q opens to %q", text, b)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s, _ := newStore(b)
	for _, p := range []Purpose{playback, session} {
		token, err := s.Seal(p, make([]byte, p.Room()))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(p.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Open(p, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
