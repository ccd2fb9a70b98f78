package datadir

import (
	"path/filepath"
	"testing"
)

// What cannot be written is told with the name that was given, and the reason once.
func TestNothingCanBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	if err := writable(dir); err == nil || err.Error() != "nothing can be written to "+dir+": no such file or directory" {
		t.Error(err)
	}
}
