package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/rekey"
	"github.com/millrace/millrace/internal/server"
)

// keyFileCmd copies the file that everything is sealed under, checks copies and replaces it.
type keyFileCmd struct {
	Export keyFileExportCmd `cmd:"" help:"Write a copy of the key file."`
	Check  keyFileCheckCmd  `cmd:"" help:"Say whether a file is the key file of this installation."`
	Rotate keyFileRotateCmd `cmd:"" help:"Replace the key file while the server is stopped."`
	Make   keyFileMakeCmd   `cmd:"" help:"Make a further key file, for streams with a KmsKeyId."`
}

// Help shows examples.
func (keyFileCmd) Help() string {
	return `Losing the key file loses everything sealed under it: no access key can be used again, and
no stored media can be read. Backups do not hold it. Keep a copy where neither the server
nor its backups are.

Examples:
  millrace key-file export /media/stick/millrace-key --data /var/lib/millrace
  millrace key-file export - --data /var/lib/millrace | age -r RECIPIENT >millrace-key.age
  millrace key-file check /media/stick/millrace-key --data /var/lib/millrace
  millrace key-file rotate --old /media/stick/old-key --data /var/lib/millrace
  millrace key-file make /etc/millrace/cameras.key`
}

// check says whether the key file at path fits the keys of a data directory, and warns
// when others can read it.
func (d dataFlags) check(ctx context.Context, std stdio, data, path string) error {
	file := filepath.Join(data, "keys.db")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return d.whence("data", fmt.Errorf("%s holds no keys: it is not a data directory, or its server was never started (%w)", data, err))
	}
	if err := rekey.Finished(data); err != nil {
		return err
	}
	pool, err := db.OpenReader(file)
	if err != nil {
		return err
	}
	open, err := iam.CheckKeyFile(ctx, pool, path)
	if open != "" {
		fmt.Fprintln(std.err, "millrace: warning:", open)
	}
	return readable(data, errors.Join(err, pool.Close()))
}

type keyFileExportCmd struct {
	dataFlags
	File string `arg:"" name:"FILE" help:"New file, or - for standard output."`
}

// Run copies the key file, if it is the right one.
func (k *keyFileExportCmd) Run(ctx context.Context, std stdio) error {
	c, err := k.settings()
	if err != nil {
		return &usageError{"key-file", err.Error()}
	}
	from := filepath.Join(c.Data, server.KeyFile)
	if err := k.check(ctx, std, c.Data, from); err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return readable(c.Data, err)
	}
	if k.File == "-" {
		_, err := std.out.Write(text)
		return err
	}
	if err := writeNew(k.File, text); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%s is a copy of the key file: who has it and a backup can use every secret in it.\n", k.File)
	return nil
}

// writeNew writes a durable file that only its owner reads; it never replaces one.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not replaced; give another name", name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

type keyFileCheckCmd struct {
	dataFlags
	File string `arg:"" name:"FILE" help:"The copy, or - for standard input."`
}

// Run checks a copy.
func (k *keyFileCheckCmd) Run(ctx context.Context, std stdio) error {
	c, err := k.settings()
	if err != nil {
		return &usageError{"key-file", err.Error()}
	}
	path := k.File
	if path == "-" {
		if path, err = spool(std.in); err != nil {
			return err
		}
		defer func() { _ = os.Remove(path) }()
	}
	if err := k.check(ctx, std, c.Data, path); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s is the key file of %s\n", k.File, c.Data)
	return nil
}

// spool puts what is read into a file that only its owner reads.
func spool(r io.Reader) (string, error) {
	f, err := os.CreateTemp("", "millrace-key-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, io.LimitReader(r, 1<<16))
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

type keyFileRotateCmd struct {
	dataFlags
	Old        string `placeholder:"FILE" help:"Write the old key file there first: backups made until now need it."`
	DiscardOld bool   `help:"Keep no copy of the old key file: backups made until now cannot be used any more, unless there is one."`
}

// Help says when.
func (keyFileRotateCmd) Help() string {
	return `Makes a new key file, seals the secrets of all access keys and wraps the data keys of all
media under it, and puts it in place of the old one. Media are not written anew. When it
is interrupted, run it again, or start the server, which finishes it. Make a backup and a
copy of the new key file afterwards.

Key files of the settings (keys.files) are not rotated.`
}

// Run replaces the key file.
func (k *keyFileRotateCmd) Run(ctx context.Context, std stdio) error {
	c, err := k.settings()
	if err != nil {
		return &usageError{"key-file", err.Error()}
	}
	if (k.Old == "") != k.DiscardOld {
		return &usageError{"key-file", "say what becomes of the old key file: --old FILE, or --discard-old"}
	}
	log, err := newLogger(std.err, quiet(c.Log))
	if err != nil {
		return &usageError{"key-file", err.Error()}
	}
	if err := server.Rotate(ctx, c.Data, k.keep, log); err != nil {
		return k.whence("data", readable(c.Data, err))
	}
	fmt.Fprintf(std.err, "%s is new. Copy it to where the old one was kept:\n  millrace key-file export FILE --data %s\n", filepath.Join(c.Data, server.KeyFile), c.Data)
	return nil
}

// keep writes the copy of the old key file. One that is there already, from a rotation
// that was interrupted, is as good.
func (k *keyFileRotateCmd) keep(old []byte) error {
	if k.DiscardOld {
		return nil
	}
	if there, err := os.ReadFile(k.Old); err == nil && bytes.Equal(there, old) {
		return nil
	}
	return writeNew(k.Old, old)
}

type keyFileMakeCmd struct {
	File string `arg:"" name:"FILE" help:"New file; keys.files in the settings names it."`
}

// Run makes a key file.
func (k *keyFileMakeCmd) Run(std stdio) error {
	if err := writeNew(k.File, keyfile.Format(keyfile.Generate())); err != nil {
		return err
	}
	fmt.Fprintf(std.err, "%s is made: a key file. It must belong to the user of the server. Keep a copy elsewhere: losing it loses all media sealed under it.\n", k.File)
	return nil
}
