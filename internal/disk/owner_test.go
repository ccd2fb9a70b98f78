package disk

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// other is a user who is not the one that runs the tests.
const other = 4711

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

// What root makes in a folder of somebody else is theirs; other users keep what they make.
func TestMadeForTheOwnerOfTheFolder(t *testing.T) {
	dir, want := t.TempDir(), os.Geteuid()
	if want == 0 {
		if err := os.Chown(dir, other, other); err != nil {
			t.Fatal(err)
		}
		want = other
	}
	before := filepath.Join(dir, "before")
	if err := os.WriteFile(before, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", "lock", "before"} {
		f, err := Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := MakeDir(filepath.Join(dir, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(filepath.Join(dir, "a", "b")); err != nil {
		t.Error(err)
	}
	if err := WriteFile(filepath.Join(dir, "a", "b", "key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lock", "a", "a/b", "a/b/key"} {
		if got := ownerOf(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
	if got := ownerOf(t, before); got != os.Geteuid() {
		t.Errorf("a file that was there before went to %d", got)
	}
	if err := MakeDir(filepath.Join(before, "c")); err == nil {
		t.Error("a folder was made in a file")
	}
}

// The owner of a folder gets nothing through names that they put there.
func TestNamesOfOthersAreNotGiven(t *testing.T) {
	theirs, mine := t.TempDir(), filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(theirs, other, other); err != nil {
			t.Fatal(err)
		}
	}
	symbolic, hard := filepath.Join(theirs, "symbolic"), filepath.Join(theirs, "hard")
	if err := os.Symlink(mine, symbolic); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(mine, hard); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{symbolic, hard} {
		f, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := heir(f); ok && name == hard {
			t.Errorf("%s would be given away", name)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := ownerOf(t, mine); got != os.Geteuid() {
		t.Errorf("the file behind the names belongs to %d", got)
	}
}

func TestSameOwner(t *testing.T) {
	dir := t.TempDir()
	if !SameOwner(dir, dir) || SameOwner(dir, filepath.Join(dir, "gone")) || SameOwner(filepath.Join(dir, "gone"), dir) {
		t.Error("owners are mixed up")
	}
	if os.Geteuid() != 0 {
		if SameOwner(dir, "/") {
			t.Error("/ belongs to root")
		}
		return
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(sub, other, other); err != nil {
		t.Fatal(err)
	}
	if SameOwner(dir, sub) {
		t.Error("two users are one")
	}
}
