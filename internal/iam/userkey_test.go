package iam

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/kvs"
)

// addUser stores a user as the directory does.
func (h *house) addUser(account kvs.AccountID, id, path, name string) {
	h.t.Helper()
	tamper(h.t, h.db, "INSERT INTO entity VALUES ($1, $2, 'user', $3, $3, $4, '', 0, 0, '', 0, '', 0, 0, 0)", id, string(account), name, path)
}

// TestKeysOfUsers stand for the user; there are at most two.
func TestKeysOfUsers(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	root := h.bootstrap()
	const id = "AIDAEXAMPLE000000000"
	_, err := h.Create(ctx, NewKey{User: id})
	wants(t, err, kvs.NotFound, id)
	h.addUser(root.Account, id, "/site/", "anna")
	k, err := h.Create(ctx, NewKey{User: id, Note: "gate"})
	must(t, err)
	want := Key{Secret: k.Secret, Active: true, Principal: kvs.Principal{
		Account: root.Account, Kind: kvs.UserPrincipal, ARN: "arn:aws:iam::111122223333:user/site/anna", ID: id,
		Name: "anna", Path: "/site/", AccessKey: k.ID, Home: true,
	}}
	if d := cmp.Diff(want, h.lookup(k.ID)); d != "" {
		t.Error(d)
	}
	second, err := h.Create(ctx, NewKey{User: id})
	must(t, err)
	_, err = h.Create(ctx, NewKey{User: id})
	wants(t, err, kvs.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: 2")
	info := KeyInfo{ID: k.ID, Account: root.Account, User: id, Active: true, Created: k.Created, Note: "gate"}
	if got, err := h.Info(ctx, root.Account, k.ID); err != nil || got != info {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = h.Info(ctx, guest, k.ID)
	wants(t, err, kvs.NotFound, "The Access Key with id "+k.ID+" cannot be found.")
	for user, n := range map[string]int{id: 2, "": 1, "AIDAEXAMPLE000000001": 0} {
		if keys, err := h.KeysOf(ctx, root.Account, user); err != nil || len(keys) != n {
			t.Errorf("keys of %q: %v, %v", user, keys, err)
		}
	}
	must(t, h.SetKey(ctx, root.Account, id, k.ID, false))
	if h.lookup(k.ID).Active {
		t.Error("active")
	}
	for name, err := range map[string]error{
		"set, account":    h.SetKey(ctx, guest, id, k.ID, true),
		"set, user":       h.SetKey(ctx, root.Account, "", k.ID, true),
		"delete, account": h.DeleteKey(ctx, guest, id, k.ID),
		"delete, user":    h.DeleteKey(ctx, root.Account, "AIDAEXAMPLE000000001", k.ID),
		"set, root's":     h.SetKey(ctx, root.Account, id, root.ID, false),
	} {
		if kvs.KindOf(err) != kvs.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, h.DeleteKey(ctx, root.Account, id, second.ID))
	h.gone(second.ID)
	tamper(t, h.db, "UPDATE entity SET name = 'berta', path = '/'")
	h.Forget()
	if p := h.lookup(k.ID).Principal; p.ARN != "arn:aws:iam::111122223333:user/berta" || p.Name != "berta" {
		t.Errorf("%+v", p)
	}
	tamper(t, h.db, "DELETE FROM entity")
	h.Forget()
	h.gone(k.ID)
}

// TestTwoKeysAtTheSameTime: of many who ask at once two get a key.
func TestTwoKeysAtTheSameTime(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	root := h.bootstrap()
	const id = "AIDAEXAMPLE000000000"
	h.addUser(root.Account, id, "/", "anna")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := h.Create(ctx, NewKey{User: id}); err != nil && kvs.KindOf(err) != kvs.LimitExceeded {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if keys, err := h.KeysOf(ctx, root.Account, id); err != nil || len(keys) != maxKeys {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// TestKeysFromBeforeUsers work as they did: those of the account stand for its root, and
// only the root key is the root's.
func TestKeysFromBeforeUsers(t *testing.T) {
	old := fstest.MapFS{}
	for _, name := range []string{"00001_keys.sql", "00002_note.sql"} {
		text, err := fs.ReadFile(Migrations(), "migrations/"+name)
		must(t, err)
		old[name] = &fstest.MapFile{Data: text}
	}
	h := &house{t: t, dir: t.TempDir(), clock: &clock{}}
	h.clock.t = h.clock.t.AddDate(2026, 1, 1)
	wrapping, err := keyfile.Make(h.keyFile())
	must(t, err)
	s, err := newSealer(wrapping)
	must(t, err)
	d, err := db.Open(t.Context(), db.Options{Path: filepath.Join(h.dir, "iam.db"), Migrations: old})
	must(t, err)
	keys := map[string]bool{"AKIAROOT000000000000": true, "AKIAPLAIN00000000000": false}
	err = d.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO account (id, home, created) VALUES ('111122223333', 1, 5)")
		if err == nil {
			_, err = tx.Exec("INSERT INTO meta (name, value) VALUES ($1, $2)", checkName, s.seal(checkName, checkText))
		}
		for id, root := range keys {
			if err == nil {
				_, err = tx.Exec("INSERT INTO access_key (id, account, root, secret, active, created, used, note) VALUES ($1, '111122223333', $2, $3, 1, 5, 6, 'old')",
					id, number(root), s.seal(id, "secret of "+id))
			}
		}
		return err
	})
	must(t, errors.Join(err, d.Close()))
	must(t, h.open())
	for id, root := range keys {
		want := Key{Secret: "secret of " + id, Active: true, Principal: kvs.Principal{
			Account: "111122223333", Kind: kvs.RootPrincipal, ARN: "arn:aws:iam::111122223333:root", ID: "111122223333",
			AccessKey: id, Root: root, Home: true,
		}}
		if diff := cmp.Diff(want, h.lookup(id)); diff != "" {
			t.Error(diff)
		}
	}
	a, err := h.Tenant(t.Context(), "111122223333")
	if err != nil || a != (Account{ID: "111122223333", Home: true, Created: 5}) {
		t.Errorf("%+v, %v", a, err)
	}
	if again, err := h.Bootstrap(t.Context(), ""); again != nil || err != nil {
		t.Errorf("%v, %v", again, err)
	}
	next := make([]byte, len(wrapping))
	must(t, Reseal(t.Context(), h.db, wrapping, next))
	next2, err := newSealer(next)
	must(t, err)
	h.seal = next2
	h.Forget()
	if k := h.lookup("AKIAROOT000000000000"); k.Secret != "secret of AKIAROOT000000000000" {
		t.Errorf("%+v", k)
	}
}

// TestDevelopersHaveAHome: the account of --dev is there for users and counts as home.
func TestDevelopersHaveAHome(t *testing.T) {
	h, ctx := newHouse(t), t.Context()
	must(t, h.EnsureKey(ctx, "000000000000", "AKIAMILLRACEDEV00000", "millrace-dev-secret"))
	must(t, h.EnsureKey(ctx, "000000000000", "AKIAMILLRACEDEV00000", "millrace-dev-secret"))
	if p := h.lookup("AKIAMILLRACEDEV00000").Principal; !p.Home || !p.Root || p.Kind != kvs.RootPrincipal || p.ID != "000000000000" {
		t.Errorf("%+v", p)
	}
	h.addUser("000000000000", "AIDAEXAMPLE000000000", "/", "anna")
	k, err := h.Create(ctx, NewKey{Account: "000000000000", User: "AIDAEXAMPLE000000000"})
	must(t, err)
	if p := h.lookup(k.ID).Principal; !p.Home || p.Root {
		t.Errorf("%+v", p)
	}
	wants(t, h.DeleteAccount(ctx, "000000000000", streams{}), kvs.InvalidArgument, "home")
	if root, err := h.Bootstrap(ctx, "000000000000"); err != nil || root == nil {
		t.Errorf("a server that is no development server any more: %v, %v", root, err)
	}
}

// BenchmarkLookupAmong looks up keys that memory does not hold, and ids that nobody has,
// among few and among many. The goal is that many cost at most 1.3 times as much.
func BenchmarkLookupAmong(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		s, ids := crowd(b, n)
		b.Run(fmt.Sprintf("cold/users=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.read(b.Context(), ids[i*7919%n]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("unknown/users=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := s.Lookup(b.Context(), fmt.Sprintf("AKIA%016d", i)); kvs.KindOf(err) != kvs.NotFound {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLookupPairs is a look-up past the memory among 100,000 users and keys beside one
// among 100. The two take turns, and the median of the turns' ratios counts: at most 1.3.
func BenchmarkLookupPairs(b *testing.B) {
	few, fewIDs := crowd(b, 100)
	many, manyIDs := crowd(b, 100_000)
	turn := func(s *Store, ids []string, from int) time.Duration {
		start := time.Now()
		for i := range 1000 {
			if _, err := s.read(b.Context(), ids[(from+i)*7919%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
	var ratios []float64
	for b.Loop() {
		ratios = ratios[:0]
		for i := range 101 {
			f, m := turn(few, fewIDs, i*1000), turn(many, manyIDs, i*1000)
			ratios = append(ratios, m.Seconds()/f.Seconds())
		}
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[50], "ratio")
	b.ReportMetric(ratios[0], "ratio-min")
	b.ReportMetric(ratios[100], "ratio-max")
	if ratios[50] > 1.3 {
		b.Errorf("GOAL MISSED: %.2f, at most 1.3", ratios[50])
	}
}

// crowd is a store with n users of one key each.
func crowd(b *testing.B, n int) (*Store, []string) {
	b.Helper()
	d, err := db.Open(b.Context(), db.Options{Path: b.TempDir() + "/keys.db", ReadCache: ReadCache, Migrations: Migrations()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	s, err := Open(b.Context(), Options{DB: d, KeyFile: b.TempDir() + "/key"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Bootstrap(b.Context(), "111122223333"); err != nil {
		b.Fatal(err)
	}
	ids := make([]string, n)
	err = d.Write(b.Context(), func(tx *sql.Tx) error {
		for i := range ids {
			user := fmt.Sprintf("AIDA%016d", i)
			if _, err := tx.Exec("INSERT INTO entity VALUES ($1, '111122223333', 'user', $2, $2, '/', '', 0, 0, '', 0, '', 0, 0, 0)", user, fmt.Sprint("user-", i)); err != nil {
				return err
			}
			k := newKey("111122223333")
			k.User, ids[i] = user, k.ID
			if err := s.insert(tx, k, false, ""); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s, ids
}
