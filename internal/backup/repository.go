package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A repository is a folder of backups:
//
//	millrace-backup   what this folder is, and of which installation
//	lock              held by whoever changes it
//	segments/         media, each file shared by all backups that need it
//	20261122T052001Z/ a backup: its manifest, and the other files of the data directory
//	.something        unfinished or on its way out; the next run removes it
const (
	markFile  = "millrace-backup"
	markTitle = "millrace backups 1"
)

// idLayout makes the id of a backup from its time.
const idLayout = "20060102T150405Z"

var backupID = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z$`)

// repository is an open folder of backups.
type repository struct {
	dir    string
	volume volume
	source string // the installation it belongs to
	lock   *os.File
}

// openRepository opens the folder of backups of an installation to change it, or makes it.
func openRepository(d volume, dir, source string) (*repository, error) {
	r := &repository{dir: dir, volume: d, source: source}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	var err error
	r.lock, err = take(r.path(lockFile))
	if errors.Is(err, errTaken) {
		return nil, errors.Join(fmt.Errorf("%s: another backup is being made there; wait for it", dir), r.lock.Close())
	}
	return r, err
}

func (r *repository) path(names ...string) string {
	return filepath.Join(append([]string{r.dir}, names...)...)
}

func (r *repository) close() error { return r.lock.Close() }

// prepare makes the folder, or makes sure that it holds backups of this installation.
func (r *repository) prepare() error {
	if err := makeDir(r.volume, r.dir); err != nil {
		return err
	}
	want := r.source
	err := r.readMark()
	if err == nil && r.source != want {
		return fmt.Errorf("%s holds backups of another installation (%s, this one is %s); give another folder", r.dir, r.source, want)
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if foreign := foreign(r.dir); foreign != "" {
		return fmt.Errorf("%s is not empty (it holds %s) and no folder of backups: there is no file named %s in it; give another folder", r.dir, foreign, markFile)
	}
	r.source = want
	if err := r.volume.MakeDir(r.path(poolDir)); err != nil {
		return err
	}
	return write(r.volume, r.path(markFile), []byte(markTitle+"\n"+want+"\n"))
}

// makeDir makes a folder whose name is durable.
func makeDir(v volume, dir string) error {
	if exists(dir) {
		return v.MakeDir(dir) // which fails if it is a file
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := v.MakeDir(abs); err != nil {
		return err
	}
	return v.SyncDir(filepath.Dir(abs))
}

// foreign is the name of something in a folder that a new repository or data directory
// may not find there.
func foreign(dir string) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); n != "lost+found" && n != lockFile && n != poolDir && !strings.HasPrefix(n, ".new-") {
			return n
		}
	}
	return ""
}

// readMark reads to which installation the folder belongs.
func (r *repository) readMark() error {
	text, err := os.ReadFile(r.path(markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no folder of backups: there is no file named %s in it (%w)", r.dir, markFile, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	title, rest, _ := strings.Cut(string(text), "\n")
	if title != markTitle {
		return fmt.Errorf("%s does not begin with %q: it is damaged, or of a newer program", r.path(markFile), markTitle)
	}
	r.source = strings.TrimSpace(rest)
	return nil
}

// sweep removes what interrupted runs left: whatever has no final name.
func (r *repository) sweep() error {
	for _, dir := range []string{r.dir, r.path(poolDir)} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				if err := r.volume.Remove(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// listing is what a folder of backups holds.
type listing struct {
	manifests []*Manifest      // oldest first
	broken    map[string]error // by id: a manifest that cannot be read
}

// list reads all manifests.
func list(dir string) (l listing, err error) {
	l.broken = map[string]error{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return l, err
	}
	for _, e := range entries { // sorted
		if !e.IsDir() || !backupID.MatchString(e.Name()) {
			continue
		}
		m, err := readManifest(filepath.Join(dir, e.Name()))
		if err != nil {
			l.broken[e.Name()] = err
			continue
		}
		l.manifests = append(l.manifests, m)
	}
	return l, nil
}

// newID names a backup after its time, behind every other one.
func (r *repository) newID(now time.Time) (string, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return "", err
	}
	id := now.UTC().Format(idLayout)
	for _, e := range slices.Backward(entries) {
		if !backupID.MatchString(e.Name()) || e.Name() < id {
			continue
		}
		last, err := time.Parse(idLayout, e.Name())
		if err != nil {
			continue
		}
		return last.Add(time.Second).Format(idLayout), nil
	}
	return id, nil
}

// pruned is what prune did.
type pruned struct {
	removed []string
	freed   int64            // bytes
	broken  map[string]error // by id: backups that cannot be read, which kept all segments
}

// prune removes all but the newest keep backups, 0 = none, and then the segments that no
// backup needs. A backup that cannot be read keeps all segments: it may need any.
func (r *repository) prune(keep int) (p pruned, err error) {
	l, err := list(r.dir)
	if err != nil {
		return p, err
	}
	p.broken = l.broken
	for keep > 0 && len(l.manifests) > keep {
		id := l.manifests[0].ID
		out := r.path(".old-" + id)
		if err := errors.Join(r.volume.Rename(r.path(id), out), r.volume.SyncDir(r.dir), r.volume.Remove(out)); err != nil {
			return p, err
		}
		p.removed = append(p.removed, id)
		l.manifests = l.manifests[1:]
	}
	if len(p.broken) == 0 {
		p.freed, err = r.collect(l.manifests)
	}
	return p, err
}

// collect removes segments that no manifest names.
func (r *repository) collect(manifests []*Manifest) (freed int64, err error) {
	needed := map[string]bool{}
	for _, m := range manifests {
		for _, s := range m.Segments {
			needed[s.File] = true
		}
	}
	pool, err := readPool(r.dir)
	if err != nil {
		return 0, err
	}
	for _, p := range pool {
		if needed[p.file()] {
			continue
		}
		if err := r.volume.Remove(r.path(poolDir, p.file())); err != nil {
			return freed, err
		}
		freed += p.size
	}
	return freed, nil
}

// write writes a small file so that it is there whole or not at all.
func write(d volume, name string, text []byte) error {
	dir := filepath.Dir(name)
	draft := filepath.Join(dir, ".new-"+filepath.Base(name))
	if err := d.Remove(draft); err != nil {
		return err
	}
	f, err := d.Create(draft)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(d.Rename(draft, name), d.SyncDir(dir))
}
