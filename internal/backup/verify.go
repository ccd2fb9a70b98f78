package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/segment"
)

// Summary is a backup as a list shows it.
type Summary struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Size       int64     `json:"size"`
	Streams    int64     `json:"streams"`
	Fragments  int64     `json:"fragments"`
	HasKeyFile bool      `json:"has_key_file"`
	Program    string    `json:"program"`
	Warnings   int       `json:"warnings"`
	Damaged    string    `json:"damaged,omitempty"` // why it cannot be used
}

// List returns the backups in a folder, oldest first. It reads their manifests alone.
func List(dir string) ([]Summary, error) {
	if err := (&repository{dir: dir}).readMark(); err != nil {
		return nil, explain(err)
	}
	l, err := list(dir)
	if err != nil {
		return nil, explain(err)
	}
	all := []Summary{}
	for _, m := range l.manifests {
		all = append(all, Summary{ID: m.ID, Time: m.Time, Size: m.size(), Streams: m.Streams, Fragments: m.Fragments,
			HasKeyFile: m.HasKeyFile, Program: m.Program, Warnings: len(m.Warnings)})
	}
	for id, err := range l.broken {
		all = append(all, Summary{ID: id, Damaged: err.Error()})
	}
	slices.SortFunc(all, func(a, b Summary) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

// VerifyOptions say what is read. Dir is needed.
type VerifyOptions struct {
	Dir      string
	ID       string // one backup, or "latest"; "" = all
	Rate     int64  // bytes read in a second; 0 = as fast as it goes
	Progress func(Progress)
}

// Verdict is what a verification found.
type Verdict struct {
	Backups []string `json:"backups"` // looked at
	Files   int      `json:"files"`
	Bytes   int64    `json:"bytes"`
	Damage  []string `json:"damage"` // one line for each file that is missing or not what it was
}

// Verify reads backups to their last byte and compares everything with its digest. Damage
// is in the verdict; an error says that something could not be read. Nothing is locked or
// written: backups may be made meanwhile, and those that they remove are left out.
func Verify(ctx context.Context, o VerifyOptions) (*Verdict, error) {
	if err := (&repository{dir: o.Dir}).readMark(); err != nil {
		return nil, explain(err)
	}
	l, err := list(o.Dir)
	if err != nil {
		return nil, err
	}
	k := &checker{dir: o.Dir, seen: map[string]bool{}, verdict: Verdict{Backups: []string{}, Damage: []string{}}}
	k.copier = copier{rate: o.Rate, progress: o.Progress, now: time.Now}
	if k.copier.progress == nil {
		k.copier.progress = func(Progress) {}
	}
	chosen, err := choose(l, o.Dir, o.ID)
	if err != nil {
		return nil, err
	}
	for id, err := range l.broken {
		if o.ID == "" || o.ID == id {
			k.verdict.Backups = append(k.verdict.Backups, id)
			k.damage("backup %s: %v", id, err)
		}
	}
	for _, m := range chosen {
		k.copier.state.Total += m.size()
	}
	k.copier.doing("verifying")
	for _, m := range chosen {
		before := len(k.verdict.Damage)
		err := k.check(ctx, m)
		if !exists(filepath.Join(o.Dir, m.ID)) { // removed by a backup meanwhile
			k.verdict.Damage = k.verdict.Damage[:before]
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("backup %s: %w", m.ID, err)
		}
		k.verdict.Backups = append(k.verdict.Backups, m.ID)
	}
	return &k.verdict, nil
}

// choose finds backups by id: "" is all, "latest" the newest.
func choose(l listing, dir, id string) ([]*Manifest, error) {
	switch {
	case id == "":
		return l.manifests, nil
	case id == "latest" && len(l.manifests) > 0:
		return l.manifests[len(l.manifests)-1:], nil
	case id == "latest":
		return nil, fmt.Errorf("%s holds no complete backup", dir)
	case l.broken[id] != nil:
		return nil, l.broken[id]
	}
	i := slices.IndexFunc(l.manifests, func(m *Manifest) bool { return m.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("%s holds no backup %s; millrace backup list %s shows what there is", dir, id, dir)
	}
	return l.manifests[i : i+1], nil
}

// checker verifies backups; segments that several share are read once.
type checker struct {
	dir     string
	copier  copier
	seen    map[string]bool
	verdict Verdict
}

func (k *checker) damage(format string, args ...any) {
	k.verdict.Damage = append(k.verdict.Damage, fmt.Sprintf(format, args...))
}

func (k *checker) check(ctx context.Context, m *Manifest) error {
	whole := true
	for _, f := range m.Files {
		ok, err := k.file(ctx, filepath.Join(m.ID, f.Path), f.Size, f.SHA256)
		if err != nil {
			return err
		}
		whole = whole && ok
	}
	for _, s := range m.Segments {
		if _, err := k.file(ctx, filepath.Join(poolDir, s.File), s.Size, s.SHA256); err != nil {
			return err
		}
	}
	if !whole {
		return nil
	}
	return k.consistent(ctx, m)
}

// file compares one file with its digest.
func (k *checker) file(ctx context.Context, name string, size int64, digest string) (bool, error) {
	if k.seen[name] {
		k.copier.state.Done += size
		return true, nil
	}
	k.seen[name] = true
	k.verdict.Files++
	path := filepath.Join(k.dir, name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		k.damage("%s is missing", path)
		return false, nil
	}
	before := k.copier.state.Done
	ok, err := k.copier.holds(ctx, path, size, digest)
	k.verdict.Bytes += k.copier.state.Done - before
	if err == nil && !ok {
		k.damage("%s is not what was written", path)
	}
	return ok, err
}

// consistent looks into the databases: they are whole, and the index points to nothing
// that the backup lacks.
func (k *checker) consistent(ctx context.Context, m *Manifest) error {
	for _, f := range m.Files {
		if filepath.Ext(f.Path) != ".db" {
			continue
		}
		if err := db.Examine(ctx, filepath.Join(k.dir, m.ID, f.Path)); err != nil {
			k.damage("%v", err)
			return nil
		}
	}
	if m.file(indexFile) == nil || m.file(catalogFile) == nil || m.file(keysFile) == nil || m.file(formatFile) == nil {
		k.damage("backup %s lacks one of %s, %s, %s, %s", m.ID, indexFile, catalogFile, keysFile, formatFile)
		return nil
	}
	path := filepath.Join(k.dir, m.ID, indexFile)
	rows, err := copiedSegments(ctx, path)
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	for _, s := range m.Segments {
		sizes[s.Name] = s.Size
	}
	for _, s := range rows {
		if size, ok := sizes[segment.FileName(s.ID)]; s.Fragments > 0 && (!ok || size < s.Length) && len(m.Warnings) == 0 {
			k.damage("backup %s: its index needs %d bytes of segment %s, it has %d", m.ID, s.Length, segment.FileName(s.ID), size)
		}
	}
	pool, err := db.OpenCopy(path)
	if err != nil {
		return err
	}
	astray, err := archive.Astray(ctx, pool)
	if astray > 0 {
		k.damage("backup %s: %d fragments of its index lie outside of its segments", m.ID, astray)
	}
	return errors.Join(err, pool.Close())
}
