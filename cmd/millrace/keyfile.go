package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/server"
)

// keyFileCmd copies the file that all secrets are sealed under, and checks copies.
type keyFileCmd struct {
	Export keyFileExportCmd `cmd:"" help:"Write a copy of the key file."`
	Check  keyFileCheckCmd  `cmd:"" help:"Say whether a file is the key file of this installation."`
}

// Help shows examples.
func (keyFileCmd) Help() string {
	return `Losing the key file loses everything sealed under it: no access key can be used again.
Backups do not hold it. Keep a copy where neither the server nor its backups are.

Examples:
  millrace key-file export /media/stick/millrace-key --data /var/lib/millrace
  millrace key-file export - --data /var/lib/millrace | age -r RECIPIENT >millrace-key.age
  millrace key-file check /media/stick/millrace-key --data /var/lib/millrace`
}

// check says whether the key file at path fits the keys of a data directory, and warns
// when others can read it.
func (d dataFlags) check(ctx context.Context, std stdio, data, path string) error {
	file := filepath.Join(data, "keys.db")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return d.whence("data", fmt.Errorf("%s holds no keys: it is not a data directory, or its server was never started (%w)", data, err))
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
