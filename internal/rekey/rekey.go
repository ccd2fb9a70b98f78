// Package rekey replaces the wrapping key of a data directory: the key file, and with it
// what seals the secrets of access keys and wraps the data keys of media.
//
// No server may use the directory meanwhile. The new key lies beside the old one, under
// the name [Next], until everything is sealed under it, so a crash at any step leaves a
// directory of which nothing is lost: [Run] goes on where the last one ended, and the
// next start of the server calls it. Only then the new file takes the name of the old.
package rekey

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// Files of a data directory.
const (
	Current  = "key-file"
	Next     = "key-file.next" // while a rotation is under way
	dataKeys = "archive/keys"
)

// Options say whose wrapping key is replaced. Dir, Keys and Owner are needed.
type Options struct {
	Dir    string // the data directory, locked by the caller
	Keys   *db.DB // its keys.db
	Owner  func(ctx context.Context, stream kvs.StreamID) (keyring.Owner, error)
	Disk   disk.FS      // nil = the operating system's
	Logger *slog.Logger // nil = silent

	step func(name string) error // for tests: called before each step; an error ends the run there
}

// Pending reports whether a rotation of the directory's key was interrupted.
func Pending(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, Next))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Finished is an error while the rotation of a directory's key is not.
func Finished(dir string) error {
	pending, err := Pending(dir)
	if pending {
		return fmt.Errorf("a rotation of the key file of %s was interrupted: run millrace key-file rotate again, or start the server, which finishes it", dir)
	}
	return err
}

// Run replaces the wrapping key, or goes on with a rotation that was interrupted. After
// an error it may be called again; until it has succeeded both files must be kept.
func Run(ctx context.Context, o Options) error {
	if o.Disk == nil {
		o.Disk = disk.System{}
	}
	if o.step == nil {
		o.step = func(string) error { return nil }
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	old, err := keyfile.Read(o.path(Current))
	if err != nil {
		return err
	}
	var next []byte
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"make the new key file", func() (err error) { next, err = o.makeNext(ctx); return err }},
		{"seal the secrets of access keys anew", func() error { return iam.Reseal(ctx, o.Keys, old, next) }},
		{"wrap the data keys anew", func() error { return o.rewrap(ctx, old, next) }},
		{"put the new key file in place", o.finish},
	} {
		err := o.step(s.name)
		if err == nil {
			err = s.do()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	o.Logger.Info("the wrapping key was replaced", "file", o.path(Current))
	return nil
}

func (o *Options) path(name string) string { return filepath.Join(o.Dir, name) }

// makeNext returns the new key, whose file is durable. None is made next to a key file
// that is not the right one.
func (o *Options) makeNext(ctx context.Context) ([]byte, error) {
	key, err := keyfile.Read(o.path(Next))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := iam.CheckKeyFile(ctx, o.Keys.Read(), o.path(Current)); err != nil {
			return nil, err
		}
		key = keyfile.Generate()
		err = o.write(keyfile.Format(key))
	}
	if err != nil {
		return nil, err
	}
	// The file may be there since a run that could not make its name durable.
	return key, o.Disk.SyncDir(o.Dir)
}

// write makes the new key file, whole or not at all.
func (o *Options) write(text []byte) error {
	random := make([]byte, 8)
	_, _ = rand.Read(random)
	name := o.path(".key-" + hex.EncodeToString(random))
	f, err := o.Disk.Create(name)
	if err != nil {
		return err
	}
	err = f.Write([][]byte{text}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = o.Disk.Rename(name, o.path(Next))
	}
	if err != nil {
		return errors.Join(err, o.Disk.Remove(name))
	}
	return nil
}

// rewrap wraps the data keys of media anew, those that the old key wrapped.
func (o *Options) rewrap(ctx context.Context, old, next []byte) error {
	f, err := o.Disk.Open(o.path(dataKeys))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no server has stored anything
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	from, err := keyring.NewLocal(old, nil)
	if err != nil {
		return err
	}
	to, err := keyring.NewLocal(next, nil)
	if err != nil {
		return err
	}
	ring, err := keyring.Open(keyring.Options{Path: o.path(dataKeys), Provider: to, Owner: o.Owner, Disk: o.Disk, Logger: o.Logger})
	if err != nil {
		return err
	}
	return errors.Join(ring.Rewrap(ctx, keyring.Rewrapper(from, to)), ring.Close())
}

// finish gives the new key file its name. From then on the old key opens nothing here.
func (o *Options) finish() error {
	if err := o.Disk.Rename(o.path(Next), o.path(Current)); err != nil {
		return err
	}
	return o.Disk.SyncDir(o.Dir)
}
