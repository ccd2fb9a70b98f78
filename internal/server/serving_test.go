package server

import (
	"testing"

	"github.com/millrace/millrace/internal/backup"
)

// Backups see a server that serves by a lock, which no run leaves to the next one.
func TestServingIsALock(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		d, err := openDataDir(root, false)
		if err != nil {
			t.Fatal(err)
		}
		f, err := lock(d.path(backup.ServingFile))
		if err != nil {
			t.Fatalf("a server that starts is taken for one that serves: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.serving(); err != nil {
			t.Fatal(err)
		}
		if _, err := lock(d.path(backup.ServingFile)); err == nil {
			t.Error("a server that serves cannot be told from one that starts")
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	}
}
