package iam

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/kvs"
)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// house is a data folder with a store in it.
type house struct {
	*Store
	t     *testing.T
	dir   string
	db    *db.DB
	clock *clock
	log   bytes.Buffer
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, dir: t.TempDir(), clock: &clock{time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC)}}
	if err := h.open(); err != nil {
		t.Fatal(err)
	}
	return h
}

// open opens the database and the store, again if it was closed.
func (h *house) open() error {
	d, err := db.Open(h.t.Context(), db.Options{Path: filepath.Join(h.dir, "iam.db"), Durable: true, Migrations: Migrations()})
	if err != nil {
		return err
	}
	h.db = d
	h.t.Cleanup(func() { _ = d.Close() })
	h.Store, err = Open(h.t.Context(), Options{DB: d, KeyFile: h.keyFile(), Now: h.clock.now, Logger: slog.New(slog.NewTextHandler(&h.log, nil))})
	return err
}

func (h *house) reopen() error {
	if err := h.db.Close(); err != nil {
		h.t.Fatal(err)
	}
	return h.open()
}

func (h *house) keyFile() string { return filepath.Join(h.dir, "wrapping.key") }

func (h *house) bootstrap() *RootKey {
	h.t.Helper()
	k, err := h.Bootstrap(h.t.Context(), "111122223333")
	if err != nil || k == nil {
		h.t.Fatalf("bootstrap: %v, %v", k, err)
	}
	return k
}

func (h *house) lookup(id string) Key {
	h.t.Helper()
	k, err := h.Lookup(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

func (h *house) gone(id string) {
	h.t.Helper()
	if k, err := h.Lookup(h.t.Context(), id); kvs.KindOf(err) != kvs.NotFound {
		h.t.Fatalf("key %s: %v, %v; want NotFound", id, k, err)
	}
}

func TestFirstStart(t *testing.T) {
	h := newHouse(t)
	if _, err := h.Account(t.Context()); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("account before the first start: %v", err)
	}
	k := h.bootstrap()
	if k.Account != "111122223333" || !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(k.ID) || len(k.Secret) != 40 {
		t.Errorf("root key %+v with a secret of %d characters", k, len(k.Secret))
	}
	want := Key{Principal: kvs.Principal{Account: "111122223333", Kind: kvs.RootPrincipal, ARN: "arn:aws:iam::111122223333:root",
		ID: "111122223333", AccessKey: k.ID, Root: true, Home: true}, Secret: k.Secret, Active: true}
	for range 2 {
		if d := cmp.Diff(want, h.lookup(k.ID)); d != "" {
			t.Error(d)
		}
		if again, err := h.Bootstrap(t.Context(), "444455556666"); again != nil || err != nil {
			t.Errorf("second bootstrap: %v, %v", again, err)
		}
		if a, err := h.Account(t.Context()); a != "111122223333" || err != nil {
			t.Errorf("account %s, %v", a, err)
		}
		if err := h.reopen(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRandomAccount(t *testing.T) {
	k, err := newHouse(t).Bootstrap(t.Context(), "")
	if err != nil || !regexp.MustCompile(`^[1-9][0-9]{11}$`).MatchString(string(k.Account)) {
		t.Errorf("%v, %v", k, err)
	}
	for _, bad := range []kvs.AccountID{"1", "11112222333a", "1111222233334"} {
		if _, err := newHouse(t).Bootstrap(t.Context(), bad); kvs.KindOf(err) != kvs.InvalidArgument {
			t.Errorf("account %s: %v", bad, err)
		}
	}
}

func TestLifeOfAKey(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	if _, err := h.Create(ctx, NewKey{}); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("key without an account: %v", err)
	}
	root := h.bootstrap()
	h.clock.t = h.clock.t.Add(time.Hour)
	k, err := h.Create(ctx, NewKey{})
	if err != nil || k.Account != root.Account || k.ID == root.ID || k.Secret == root.Secret {
		t.Fatalf("created %+v, %v", k, err)
	}
	if got := h.lookup(k.ID); got.Secret != k.Secret || !got.Active {
		t.Errorf("%+v", got)
	}
	for _, step := range []struct {
		do     func(context.Context, string) error
		active bool
	}{{h.Disable, false}, {h.Disable, false}, {h.Enable, true}, {h.Disable, false}} {
		if err := step.do(ctx, k.ID); err != nil {
			t.Fatal(err)
		}
		if got := h.lookup(k.ID); got.Active != step.active {
			t.Errorf("active %v, want %v", got.Active, step.active)
		}
	}
	h.Used(root.ID)
	h.clock.t = h.clock.t.Add(time.Hour)
	if err := h.flush(ctx); err != nil {
		t.Fatal(err)
	}
	start := kvs.MillisOf(time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC))
	want := []KeyInfo{
		{ID: root.ID, Account: root.Account, Root: true, Active: true, Created: start, Used: start + 3_600_000 - 15_000},
		{ID: k.ID, Account: root.Account, Created: start + 3_600_000},
	}
	if got, err := h.List(ctx, ""); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("list %+v, %v\nwant %+v", got, err, want)
	}
	if err := h.Delete(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	h.gone(k.ID)
	for name, f := range map[string]func(context.Context, string) error{"disable": h.Disable, "enable": h.Enable, "delete": h.Delete} {
		if err := f(ctx, k.ID); kvs.KindOf(err) != kvs.NotFound {
			t.Errorf("%s a key that is gone: %v", name, err)
		}
	}
}

func TestAccountsAreApart(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	h.bootstrap()
	if _, err := h.Create(ctx, NewKey{Account: "444455556666"}); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("key of an unknown account: %v", err)
	}
	if _, err := h.AddAccount(ctx, "", "444455556666"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.AddAccount(ctx, "", "444455556666"); kvs.KindOf(err) != kvs.InUse {
		t.Errorf("account added twice: %v", err)
	}
	k, err := h.Create(ctx, NewKey{Account: "444455556666"})
	if err != nil {
		t.Fatal(err)
	}
	if got := h.lookup(k.ID).Principal; got.Account != "444455556666" || got.ARN != "arn:aws:iam::444455556666:root" || got.Root {
		t.Errorf("%+v", got)
	}
	for account, n := range map[kvs.AccountID]int{"": 2, "111122223333": 1, "444455556666": 1, "777788889999": 0} {
		if keys, err := h.List(ctx, account); err != nil || len(keys) != n {
			t.Errorf("account %q: %d keys, %v; want %d", account, len(keys), err, n)
		}
	}
	if a, err := h.AddAccount(ctx, "Lager", ""); err != nil || len(a.ID) != 12 || a.Name != "Lager" {
		t.Errorf("random account %+v, %v", a, err)
	}
}

func TestResetRoot(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	if _, err := h.ResetRoot(ctx); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("before the first start: %v", err)
	}
	old := h.bootstrap()
	other, err := h.Create(ctx, NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	h.lookup(old.ID)
	h.lookup(other.ID)
	k, err := h.ResetRoot(ctx)
	if err != nil || k.Account != old.Account {
		t.Fatalf("%v, %v", k, err)
	}
	h.gone(old.ID)
	if h.lookup(k.ID).Secret != k.Secret || h.lookup(other.ID).Secret != other.Secret {
		t.Error("wrong secrets after the reset")
	}
	if err := h.reopen(); err != nil {
		t.Fatal(err)
	}
	h.gone(old.ID)
	h.lookup(k.ID)
}

// TestFixedKeysStayInMemory: what --dev adds is not there when the same folder is
// served without it.
func TestFixedKeysStayInMemory(t *testing.T) {
	h := newHouse(t)
	const id = "AKIAMILLRACEDEV00000"
	if err := h.EnsureKey(t.Context(), "000000000000", id, "millrace-dev-secret"); err != nil {
		t.Fatal(err)
	}
	if k := h.lookup(id); !k.Active || k.Secret != "millrace-dev-secret" || k.Principal.Account != "000000000000" {
		t.Errorf("%+v", k)
	}
	if err := h.reopen(); err != nil {
		t.Fatal(err)
	}
	h.gone(id)
	for _, bad := range [][3]string{{"1", id, "x"}, {"000000000000", "short", "x"}, {"000000000000", id, ""}} {
		if err := h.EnsureKey(t.Context(), kvs.AccountID(bad[0]), bad[1], bad[2]); kvs.KindOf(err) != kvs.InvalidArgument {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestSecretsStayInside searches every file of the folder, the log and every printed
// form for the secrets and the wrapping key.
func TestSecretsStayInside(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	root := h.bootstrap()
	k, err := h.Create(ctx, NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	reset, err := h.ResetRoot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	printed := fmt.Sprintf("%v %+v %#v %s", *k, k, k, h.lookup(k.ID)) + fmt.Sprintf("%+v %#v", h.lookup(reset.ID), h.lookup(k.ID))
	key, err := keyfile.Read(h.keyFile())
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string][]byte{"log": h.log.Bytes(), "printed": []byte(printed)}
	collect := func(when string) {
		files, err := filepath.Glob(filepath.Join(h.dir, "*"))
		if err != nil || len(files) < 2 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, f := range files {
			if raw[when+filepath.Base(f)], err = os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	collect("open ")
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	collect("closed ")
	found := false
	for name, b := range raw {
		found = found || bytes.Contains(b, []byte(k.ID))
		for _, secret := range []string{root.Secret, k.Secret, reset.Secret, string(key), base64.StdEncoding.EncodeToString(key)} {
			if strings.HasSuffix(name, "wrapping.key") && len(secret) > 40 {
				continue
			}
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds a secret", name)
			}
		}
	}
	if !found {
		t.Error("the search found not even the key id")
	}
}

// TestSealedToItsRow: the sealed secret of one key is worth nothing in another row.
func TestSealedToItsRow(t *testing.T) {
	h := newHouse(t)
	a := h.bootstrap()
	b, err := h.Create(t.Context(), NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	tamper(t, h.db, "UPDATE access_key SET secret = (SELECT secret FROM access_key WHERE id = $1) WHERE id = $2", a.ID, b.ID)
	if _, err := h.Lookup(t.Context(), b.ID); kvs.KindOf(err) != kvs.Internal || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v", err)
	}
	h.lookup(a.ID)
}

func TestUnknownIDs(t *testing.T) {
	h := newHouse(t)
	h.bootstrap()
	for _, id := range []string{"", "short", "AKIAAAAAAAAAAAAAAAAA", strings.Repeat("A", 129), "AKIA' OR '1'='1' --", "AKIAAAAAAAAAAAAAAAA\x00"} {
		h.gone(id)
	}
	if n := len(h.cache.keys); n != 0 {
		t.Errorf("%d unknown ids are remembered", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Lookup(ctx, "AKIAAAAAAAAAAAAAAAAA"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
