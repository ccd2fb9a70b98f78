package rekey

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// home is a data directory with an access key and data keys of three streams, one of
// them under a key of the settings.
type home struct {
	t       *testing.T
	dir     string
	access  *iam.RootKey
	secrets map[uint64][32]byte // of data keys
	others  map[string]keyring.LocalKey
}

func newHome(t *testing.T) *home {
	h := &home{t: t, dir: t.TempDir(), secrets: map[uint64][32]byte{},
		others: map[string]keyring.LocalKey{"mine": {Secret: bytes.Repeat([]byte{7}, 32)}}}
	rows := h.rows()
	store, err := iam.Open(t.Context(), iam.Options{DB: rows, KeyFile: h.path(Current)})
	if err == nil {
		h.access, err = store.Bootstrap(t.Context(), "")
	}
	if err = errors.Join(err, rows.Close(), os.Mkdir(h.path("archive"), 0o700)); err != nil {
		t.Fatal(err)
	}
	r := h.ring()
	for s := range kvs.StreamID(3) {
		k, err := r.Current(t.Context(), s+1, 0)
		if err != nil {
			t.Fatal(err)
		}
		h.secrets[k.ID] = k.Secret
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

func (h *home) rows() *db.DB {
	h.t.Helper()
	rows, err := openRows(h.t.Context(), h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}

func openRows(ctx context.Context, dir string) (*db.DB, error) {
	return db.Open(ctx, db.Options{Path: filepath.Join(dir, "keys.db"), Durable: true, Migrations: iam.Migrations()})
}

func owner(_ context.Context, s kvs.StreamID) (keyring.Owner, error) {
	return keyring.Owner{Account: "111122223333", KeyID: map[kvs.StreamID]string{2: "mine"}[s]}, nil
}

// ring opens the data keys under the key file.
func (h *home) ring() *keyring.Ring {
	h.t.Helper()
	r, err := h.openRing(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *home) openRing(dir string) (*keyring.Ring, error) {
	own, err := keyfile.Read(filepath.Join(dir, Current))
	if err != nil {
		return nil, err
	}
	local, err := keyring.NewLocal(own, h.others)
	if err != nil {
		return nil, err
	}
	return keyring.Open(keyring.Options{Path: filepath.Join(dir, dataKeys), Provider: local, Owner: owner})
}

func (h *home) rotate(d disk.FS, step func(string) error) error {
	rows := h.rows()
	return errors.Join(Run(h.t.Context(), Options{Dir: h.dir, Keys: rows, Owner: owner, Disk: d, step: step}), rows.Close())
}

// check wants everything sealed under the key file, and no other key file.
func (h *home) check() {
	h.t.Helper()
	if err := h.sound(h.dir); err != nil {
		h.t.Error(err)
	}
}

// sound says what is wrong with the home as it is found in a folder.
func (h *home) sound(dir string) error {
	return errors.Join(Finished(dir), h.secretsOpen(dir), h.dataKeysOpen(dir))
}

func (h *home) secretsOpen(dir string) error {
	rows, err := openRows(h.t.Context(), dir)
	if err != nil {
		return err
	}
	store, err := iam.Open(h.t.Context(), iam.Options{DB: rows, KeyFile: filepath.Join(dir, Current)})
	if err == nil {
		k, found := store.Lookup(h.t.Context(), h.access.ID)
		if err = found; err == nil && (k.Secret != h.access.Secret || !k.Active) {
			err = errors.New("the access key is another one")
		}
	}
	return errors.Join(err, rows.Close())
}

func (h *home) dataKeysOpen(dir string) error {
	r, err := h.openRing(dir)
	if err != nil {
		return err
	}
	if n := len(r.Entries()); n != 3 {
		err = fmt.Errorf("%d data keys", n)
	}
	for _, e := range r.Entries() {
		if k, wrong := r.Key(h.t.Context(), e.Stream, e.ID); wrong != nil || k.Secret != h.secrets[e.ID] {
			err = errors.Join(err, fmt.Errorf("the data key of stream %d: %w", e.Stream, cmp.Or(wrong, errors.New("another one"))))
		}
	}
	return errors.Join(err, r.Close())
}

func (h *home) text(name string) string {
	b, err := os.ReadFile(h.path(name))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// Everything is sealed under the new key, and the old one opens nothing.
func TestRotation(t *testing.T) {
	h := newHome(t)
	h.check()
	old := h.text(Current)
	if err := h.rotate(nil, nil); err != nil {
		t.Fatal(err)
	}
	h.check()
	if h.text(Current) == old {
		t.Error("the key file is the old one")
	}
	if info, err := os.Stat(h.path(Current)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	copied := filepath.Join(t.TempDir(), "old")
	if err := os.WriteFile(copied, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := h.rows()
	if _, err := iam.CheckKeyFile(t.Context(), rows.Read(), copied); err == nil {
		t.Error("the old key opens the secrets")
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
}

// A rotation that ends before any of its steps is finished by the next run, which makes
// no third key.
func TestInterruptedRotation(t *testing.T) {
	stop := errors.New("stop")
	for n := 1; ; n++ {
		h := newHome(t)
		steps := 0
		err := h.rotate(nil, func(string) error {
			if steps++; steps == n {
				return stop
			}
			return nil
		})
		if err == nil {
			h.check()
			if n < 4 {
				t.Errorf("only %d steps", n-1)
			}
			return
		}
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		next := ""
		if n > 1 {
			next = h.text(Next)
		}
		if err := h.rotate(nil, nil); err != nil {
			t.Fatalf("after step %d: %v", n, err)
		}
		if n > 1 && h.text(Current) != next {
			t.Errorf("after step %d another key was made", n)
		}
		h.check()
	}
}

// Whichever file operation fails, the next run finishes the rotation.
func TestRotationOnAFailingDisk(t *testing.T) {
	for n := 1; ; n++ {
		h := newHome(t)
		d := &disktest.Faulty{FS: disk.System{}, SkipSync: true}
		d.FailNth(n)
		err := h.rotate(d, nil)
		if d.Heal() == 0 {
			if err != nil {
				t.Fatal(err)
			}
			h.check()
			if n < 15 {
				t.Errorf("only %d operations", n)
			}
			return
		}
		pending, looked := Pending(h.dir)
		if looked != nil {
			t.Fatal(looked)
		}
		if pending {
			err = h.rotate(nil, nil)
		} else if err != nil { // before the new key was made, or after its file was put in place
			err = nil
		}
		if err != nil {
			t.Fatalf("after operation %d failed: %v", n, err)
		}
		h.check()
	}
}

// What was sealed under another key than the file's is left alone.
func TestRotationWithAnotherKeyFile(t *testing.T) {
	h := newHome(t)
	right := h.text(Current)
	if err := os.Remove(h.path(Current)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Make(h.path(Current)); err != nil {
		t.Fatal(err)
	}
	if err := h.rotate(nil, nil); err == nil {
		t.Fatal("rotated")
	}
	if err := os.WriteFile(h.path(Current), []byte(right), 0o600); err != nil {
		t.Fatal(err)
	}
	h.check()
}
