package server

import (
	"testing"

	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/server/datadir"
)

// Backups see a server that serves by a lock, which no run leaves to the next one.
func TestServingIsALock(t *testing.T) {
	root := t.TempDir()
	for range 2 {
		d, err := datadir.Open(root, false)
		if err != nil {
			t.Fatal(err)
		}
		f, err := datadir.Lock(d.Path(backup.ServingFile))
		if err != nil {
			t.Fatalf("a server that starts is taken for one that serves: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Serving(); err != nil {
			t.Fatal(err)
		}
		if _, err := datadir.Lock(d.Path(backup.ServingFile)); err == nil {
			t.Error("a server that serves cannot be told from one that starts")
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
