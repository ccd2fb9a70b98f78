package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/inspect"
)

// The exit code says whether something is wrong, or could not be looked at.
func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if code, _, errs := program(t, "check", "--data", dir); code != exitUsage || !strings.Contains(errs, "not a data directory") {
		t.Errorf("nothing there: code %d, %s", code, errs)
	}
	if code, _, errs := program(t, "init", "--data", dir); code != exitOK {
		t.Fatal(errs)
	}
	if code, out, errs := program(t, "check", "--deep", "--data", dir); code != exitOK || errs != "" || !strings.Contains(out, "nothing is wrong") {
		t.Errorf("an empty one: code %d, %s%s", code, out, errs)
	}
	segments := filepath.Join(dir, "archive", "segments")
	if err := os.MkdirAll(segments, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(segments, "000000000007.seg"), make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := program(t, "check", "--data", dir)
	if code != exitFailed || !strings.Contains(out, "rule 14: index.db is missing") || !strings.Contains(errs, "1 thing is wrong") {
		t.Errorf("a segment without an index: code %d, %s%s", code, out, errs)
	}
	code, out, _ = program(t, "check", "--json", "--data", dir)
	var r inspect.Repaired
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.After.Counts[14] != 1 {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	if code, out, errs = program(t, "check", "--repair", "--data", dir); code != exitFailed || !strings.Contains(out, "left, rule 1: the head of") {
		t.Errorf("a repair: code %d, %s%s", code, out, errs)
	}
}

// Backups and checks find the warm folder where the server had it, without its settings.
func TestFollowingTheWarmFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if code, _, errs := program(t, "init", "--data", dir); code != exitOK {
		t.Fatal(errs)
	}
	warm := filepath.Join(t.TempDir(), "warm")
	if err := os.WriteFile(filepath.Join(dir, "warm-folder"), []byte(warm+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	backups := filepath.Join(t.TempDir(), "backups")
	commands := [][]string{{"check", "--data", dir}, {"backup", backups, "--data", dir}}
	for _, args := range commands {
		if code, _, errs := program(t, args...); code == exitOK || !strings.Contains(errs, "mount its disk") {
			t.Errorf("%s without the folder: code %d, %s", args[0], code, errs)
		}
	}
	if err := os.MkdirAll(filepath.Join(warm, "segments"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(warm, "millrace"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range commands {
		code, out, errs := program(t, args...)
		if strings.Contains(errs, "warm_dir") || code != exitOK && !strings.Contains(errs, "holds no media yet") {
			t.Errorf("%s: code %d, %s%s", args[0], code, out, errs)
		}
	}
}
