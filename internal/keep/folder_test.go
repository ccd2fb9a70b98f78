package keep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q", err, text)
	}
}

// Two installations never share a folder, and one that was used cannot be left out or be
// empty all of a sudden.
func TestAFolderBelongsToOneInstallation(t *testing.T) {
	data, other, warm := t.TempDir(), t.TempDir(), t.TempDir()
	none, err := OpenFolder(data, "", "us")
	if err != nil || none != nil || none.Close() != nil {
		t.Fatal(none, err)
	}
	f, err := OpenFolder(data, warm, "us")
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenFolder(other, warm, "them")
	wantError(t, err, "in use by another millrace")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = OpenFolder(other, warm, "them")
	wantError(t, err, "another installation (us, this one is them)")
	for range 2 {
		if f, err = OpenFolder(data, warm, "us"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, ExamineFolder(other, warm, "them"), "another installation (us, this one is them)")
	wantError(t, ExamineFolder(other, warm, ""), "another installation (us, this one is new)")
	if err := ExamineFolder(data, warm, "us"); err != nil {
		t.Error(err)
	}
	err = ExamineFolder(data, "", "us")
	wantError(t, err, "media of this data directory lie in "+warm)
	wantError(t, err, "give --config")
	wantError(t, ExamineFolder(data, t.TempDir(), "us"), "mount its disk")
	wantError(t, ExamineFolder(other, filepath.Join(warm, "no"), "us"), "make it")
	wantError(t, ExamineFolder(other, filepath.Join(warm, ownerFile), "us"), "not a folder")
	wantError(t, ExamineFolder(data, filepath.Join(warm, "no"), "us"), "mount its disk")
	if err := os.Rename(filepath.Join(warm, ownerFile), filepath.Join(other, ownerFile)); err != nil {
		t.Fatal(err)
	}
	_, err = OpenFolder(data, warm, "us")
	wantError(t, err, "archive.warm_dir: "+warm+" is empty")
}

// Who only reads a data directory finds the folder without the server's settings, and is
// told when its disk is not mounted.
func TestAFolderIsFoundWithoutSettings(t *testing.T) {
	data, warm := t.TempDir(), t.TempDir()
	want := func(set, found string) {
		t.Helper()
		if got, err := FindFolder(data, set); err != nil || got != found {
			t.Errorf("%q, %v; want %q", got, err, found)
		}
	}
	want("", "")
	if unmoved, err := Unmoved(data); err != nil || !unmoved {
		t.Error("a directory that had no folder counts as one that had", err)
	}
	f, err := OpenFolder(data, warm, "us")
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if unmoved, err := Unmoved(data); err != nil || unmoved {
		t.Error("a directory that had a folder counts as one that had none", err)
	}
	want("", warm)
	want(warm, warm)
	_, err = FindFolder(data, t.TempDir())
	wantError(t, err, "is empty")
	if err := os.Rename(warm, warm+".gone"); err != nil {
		t.Fatal(err)
	}
	_, err = FindFolder(data, "")
	wantError(t, err, "archive.warm_dir: there is no folder "+warm+", but media")
	if err := os.Rename(warm+".gone", warm); err != nil {
		t.Fatal(err)
	}
}
