package iam

import (
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// A note is one line, kept with its key.
func TestNotes(t *testing.T) {
	h := newHouse(t)
	h.bootstrap()
	for _, bad := range []string{"two\nlines", "\x1b[2J", strings.Repeat("x", maxNote+1), "\xff"} {
		if _, err := h.Create(t.Context(), NewKey{Note: bad}); kvs.KindOf(err) != kvs.InvalidArgument {
			t.Errorf("%q: %v", bad, err)
		}
	}
	k, err := h.Create(t.Context(), NewKey{Note: "Kamera am Tor, größer"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.reopen(); err != nil {
		t.Fatal(err)
	}
	keys, err := h.List(t.Context(), "")
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, i := range keys {
		if (i.ID == k.ID) != (i.Note == "Kamera am Tor, größer") {
			t.Errorf("%+v", i)
		}
	}
}

// Keys of a server that knew no notes are as they were, without one.
func TestKeysFromBeforeNotes(t *testing.T) {
	first, err := fs.ReadFile(Migrations(), "migrations/00001_keys.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.db")
	old, err := db.Open(t.Context(), db.Options{Path: path, Migrations: fstest.MapFS{"00001_keys.sql": {Data: first}}})
	if err != nil {
		t.Fatal(err)
	}
	err = old.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO account VALUES ('123456789012', 1, 5);
			INSERT INTO access_key (id, account, root, secret, active, created, used) VALUES ('AKIAOLD', '123456789012', 1, x'00', 1, 5, 6)`)
		return err
	})
	if err := errors.Join(err, old.Close()); err != nil {
		t.Fatal(err)
	}
	now, err := db.Open(t.Context(), db.Options{Path: path, Migrations: Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = now.Close() }()
	store, err := Open(t.Context(), Options{DB: now, KeyFile: path + ".key"})
	if err != nil {
		t.Fatal(err)
	}
	want := KeyInfo{ID: "AKIAOLD", Account: "123456789012", Root: true, Active: true, Created: 5, Used: 6}
	if keys, err := store.List(t.Context(), ""); err != nil || len(keys) != 1 || keys[0] != want {
		t.Errorf("%+v, %v", keys, err)
	}
}
