package keyfile

import (
	"path/filepath"
	"testing"
)

func TestMissingFolder(t *testing.T) {
	if _, err := Make(filepath.Join(t.TempDir(), "no", "key")); err == nil {
		t.Error("made a key file in a folder that is not there")
	}
}

// TestMakeReplacesNothing: of two that make it, the first wins and both use its key.
func TestMakeReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	first, err := Make(path)
	must(t, err)
	second, err := Make(path)
	must(t, err)
	if string(first) != string(second) {
		t.Error("the second maker uses another key than the first")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
