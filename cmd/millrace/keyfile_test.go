package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory's key file is replaced by the command, which keeps the old one where it is
// told, and says what is missing otherwise.
func TestKeyFileRotate(t *testing.T) {
	dir, safe := t.TempDir(), t.TempDir()
	if code, _, errs := program(t, "init", "--data", dir); code != exitOK {
		t.Fatal(errs)
	}
	old, err := os.ReadFile(filepath.Join(dir, "key-file"))
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := program(t, "key-file", "rotate", "--data", dir); code != exitUsage || !strings.Contains(errs, "--discard-old") {
		t.Errorf("code %d, %s", code, errs)
	}
	if code, _, errs := program(t, "key-file", "rotate", "--data", t.TempDir(), "--discard-old"); code != exitFailed || !strings.Contains(errs, "not a data directory") {
		t.Errorf("code %d, %s", code, errs)
	}
	kept := filepath.Join(safe, "old")
	if code, _, errs := program(t, "key-file", "rotate", "--data", dir, "--old", kept); code != exitOK || !strings.Contains(errs, "key-file export") {
		t.Fatalf("code %d, %s", code, errs)
	}
	if b, err := os.ReadFile(kept); err != nil || string(b) != string(old) {
		t.Errorf("the copy: %v", err)
	}
	if code, _, errs := program(t, "key-file", "check", filepath.Join(dir, "key-file"), "--data", dir); code != exitOK {
		t.Errorf("the new one: %s", errs)
	}
	if code, _, _ := program(t, "key-file", "check", kept, "--data", dir); code != exitFailed {
		t.Errorf("the old one: code %d", code)
	}
	if code, _, errs := program(t, "key-file", "rotate", "--data", dir, "--old", kept); code != exitFailed || !strings.Contains(errs, "is not replaced") {
		t.Errorf("over another copy: code %d, %s", code, errs)
	}
}

// Key files for the settings are made, and never replaced.
func TestKeyFileMake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cameras.key")
	if code, _, errs := program(t, "key-file", "make", file); code != exitOK || !strings.Contains(errs, "Keep a copy") {
		t.Fatalf("code %d, %s", code, errs)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if code, _, errs := program(t, "key-file", "make", file); code != exitFailed || !strings.Contains(errs, "is not replaced") {
		t.Errorf("again: code %d, %s", code, errs)
	}
}
