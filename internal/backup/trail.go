package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// trail remembers what is made on a volume, so that all of it can be removed, and nothing
// that somebody else made.
type trail struct {
	volume
	made []string // files and folders, each behind the folder that it is in
}

// MakeDir makes a folder and remembers those of its parents that were missing, too.
func (t *trail) MakeDir(name string) error {
	var missing []string
	for dir := filepath.Clean(name); !exists(dir); dir = filepath.Dir(dir) {
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	t.made = append(t.made, missing...)
	return t.volume.MakeDir(name)
}

// Create makes a file.
func (t *trail) Create(name string) (sink, error) {
	f, err := t.volume.Create(name)
	if err == nil {
		t.made = append(t.made, name)
	}
	return f, err
}

// Rename gives what was made its final name.
func (t *trail) Rename(from, to string) error {
	err := t.volume.Rename(from, to)
	if err == nil {
		t.made = append(t.made, to)
	}
	return err
}

// undo removes what was made, the latest first. Folders stay in which there is something
// else.
func (t *trail) undo() error {
	var all error
	for _, name := range slices.Backward(t.made) {
		if entries, err := os.ReadDir(name); err == nil && len(entries) > 0 {
			continue
		}
		all = errors.Join(all, t.volume.Remove(name))
	}
	t.made = nil
	return all
}
