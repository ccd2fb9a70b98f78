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
	wantError(t, ExamineFolder(data, ""), "media of this data directory lie in "+warm)
	wantError(t, ExamineFolder(data, t.TempDir()), "mount its disk")
	wantError(t, ExamineFolder(other, filepath.Join(warm, "no")), "make it")
	wantError(t, ExamineFolder(other, filepath.Join(warm, ownerFile)), "not a folder")
	if err := os.Rename(filepath.Join(warm, ownerFile), filepath.Join(other, ownerFile)); err != nil {
		t.Fatal(err)
	}
	_, err = OpenFolder(data, warm, "us")
	wantError(t, err, "archive.warm_dir: "+warm+" is empty")
}
