package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
)

// RestoreOptions say what becomes a data directory where. Dir and Data are needed.
type RestoreOptions struct {
	Dir      string // the folder of backups
	ID       string // "" or "latest" = the newest
	Data     string // must not exist, or be empty
	KeyFile  string // to be put there; "" = that of the backup, if it has one
	Salvage  bool   // go on when media are damaged or missing: the rest can be read
	Progress func(Progress)

	volume volume // for tests; nil = the operating system's
}

// Restored tells what a restore did.
type Restored struct {
	ID        string    `json:"id"`
	Data      string    `json:"data"`
	Time      time.Time `json:"time"` // what was durable before is there
	Size      int64     `json:"size"`
	Seconds   float64   `json:"seconds"`
	Streams   int64     `json:"streams"`
	Fragments int64     `json:"fragments"`
	HasKey    bool      `json:"has_key_file"` // without one the server does not start
	Warnings  []string  `json:"warnings"`
}

// Restore makes a data directory from a backup. Each byte is compared with its digest. A run
// that fails removes what it made. The file that makes it a data directory comes last: what
// a run that was killed leaves is refused by the server, and can be removed.
func Restore(ctx context.Context, o RestoreOptions) (*Restored, error) {
	j := &restoration{RestoreOptions: o}
	if j.volume == nil {
		j.volume = realVolume{}
	}
	if j.Progress == nil {
		j.Progress = func(Progress) {}
	}
	trail := &trail{volume: j.volume}
	j.volume = trail
	j.copier = copier{volume: trail, progress: j.Progress, now: time.Now}
	begun := time.Now()
	for _, part := range []func(context.Context) error{j.choose, j.examine, j.prepare, j.copyFiles, j.copySegments, j.complete} {
		if err := part(ctx); err != nil {
			if err = explain(err); trail.undo() != nil {
				err = fmt.Errorf("%w; remove what is in %s before the next try", err, o.Data)
			}
			return nil, err
		}
	}
	m := j.manifest
	r := &Restored{ID: m.ID, Data: o.Data, Time: m.Time, Size: m.size(), Seconds: time.Since(begun).Seconds(), Streams: m.Streams,
		Fragments: m.Fragments, HasKey: exists(j.to(keyFile)), Warnings: append(append([]string{}, m.Warnings...), j.warnings...)}
	return r, nil
}

// restoration is one run of Restore.
type restoration struct {
	RestoreOptions
	copier   copier
	manifest *Manifest
	warnings []string // what the operator should know: of the key file, and of media with Salvage
}

func (j *restoration) from(names ...string) string {
	return filepath.Join(append([]string{j.Dir}, names...)...)
}

func (j *restoration) to(name string) string { return filepath.Join(j.Data, filepath.FromSlash(name)) }

// choose reads the manifest of the backup that is meant.
func (j *restoration) choose(context.Context) error {
	if err := (&repository{dir: j.Dir}).readMark(); err != nil {
		return err
	}
	l, err := list(j.Dir)
	if err != nil {
		return err
	}
	if j.ID == "" {
		j.ID = "latest"
	}
	chosen, err := choose(l, j.Dir, j.ID)
	if err != nil {
		return err
	}
	j.manifest = chosen[0]
	j.copier.state.Total = j.manifest.size()
	for _, name := range []string{formatFile, catalogFile, keysFile, indexFile} {
		if j.manifest.file(name) == nil {
			return fmt.Errorf("backup %s lacks %s and cannot be restored", j.manifest.ID, name)
		}
	}
	return nil
}

// examine finds out, before anything is written, whether the restored directory could be
// used: the target is free, and a key file that was given is the right one.
func (j *restoration) examine(ctx context.Context) error {
	if inside(j.Data, j.Dir) || inside(j.Dir, j.Data) {
		return fmt.Errorf("%s and the backups in %s lie in each other: give a folder of its own", j.Data, j.Dir)
	}
	if entries, err := os.ReadDir(j.Data); err == nil {
		for _, e := range entries {
			if e.Name() != "lost+found" {
				what := "move that one away"
				if !exists(j.to(formatFile)) {
					what += ", or remove it if a restore was killed there: it is no data directory"
				}
				return fmt.Errorf("%s is not empty (it holds %s), and a restore replaces nothing: give another directory, or %s", j.Data, e.Name(), what)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key := j.KeyFile
	if key == "" && j.manifest.file(keyFile) != nil {
		key = j.from(j.manifest.ID, keyFile)
	}
	if key == "" {
		return nil
	}
	if ok, err := j.copier.holds(ctx, j.from(j.manifest.ID, keysFile), j.manifest.file(keysFile).Size, j.manifest.file(keysFile).SHA256); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("%s is damaged", j.from(j.manifest.ID, keysFile)))
	}
	j.copier.state.Done = 0
	pool, err := db.OpenCopy(j.from(j.manifest.ID, keysFile))
	if err != nil {
		return err
	}
	open, err := iam.CheckKeyFile(ctx, pool, key)
	if open != "" {
		j.warnings = append(j.warnings, open+"; the restored one only its owner can read")
	}
	return errors.Join(err, pool.Close())
}

// prepare makes the folders, if there is room for what comes into them.
func (j *restoration) prepare(context.Context) error {
	if err := makeDir(j.volume, j.Data); err != nil {
		return err
	}
	if err := j.volume.MakeDir(j.to(segmentsDir)); err != nil {
		return err
	}
	have, err := j.volume.Free(j.Data)
	if err != nil {
		return err
	}
	if need := j.manifest.size() + 16<<20; have < need {
		return fmt.Errorf("%s has %d MB free and the backup needs %d MB: nothing was copied", j.Data, have>>20, need>>20)
	}
	return nil
}

// copyFiles copies everything but media, and the mark that comes last.
func (j *restoration) copyFiles(ctx context.Context) error {
	j.copier.doing("restoring the state")
	for _, f := range j.manifest.Files {
		if f.Path == formatFile || f.Path == keyFile && j.KeyFile != "" {
			continue
		}
		if err := j.copyFile(ctx, f); err != nil {
			return err
		}
	}
	if j.KeyFile == "" {
		return nil
	}
	text, err := os.ReadFile(j.KeyFile)
	if err != nil {
		return err
	}
	return write(j.volume, j.to(keyFile), text)
}

func (j *restoration) copyFile(ctx context.Context, f File) error {
	to := j.to(f.Path)
	if err := j.volume.MakeDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := j.copy(ctx, j.from(j.manifest.ID, f.Path), to, f.Size, f.SHA256); err != nil {
		return err
	}
	mode := f.Mode.Perm()
	if f.Path == keyFile {
		mode = 0o600 // as the server wants it
	}
	return errors.Join(j.volume.Chmod(to, mode), j.volume.SyncDir(filepath.Dir(to)))
}

// errDamaged says that a file of a backup is not what was written.
var errDamaged = errors.New("the backup is damaged; restore another one (millrace backup list shows them); where only media are damaged, --salvage restores what is left")

// copy copies a file of the backup and fails unless it is what was written.
func (j *restoration) copy(ctx context.Context, from, to string, size int64, digest string) error {
	f, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	n, found, err := j.copier.to(ctx, to, f, size)
	if err != nil {
		return err
	}
	if n != size || found != digest {
		return fmt.Errorf("%w: %s has %d bytes with digest %s, it had %d with %s", errDamaged, from, n, found, size, digest)
	}
	return nil
}

// copySegments copies the media.
func (j *restoration) copySegments(ctx context.Context) error {
	j.copier.doing("restoring media")
	for _, s := range j.manifest.Segments {
		err := j.copy(ctx, j.from(poolDir, s.File), j.to(path.Join(segmentsDir, s.Name)), s.Size, s.SHA256)
		if j.Salvage && errors.Is(err, errDamaged) {
			// Each chunk of a segment has its checksum: a reader finds the damaged places.
			j.warnings = append(j.warnings, fmt.Sprintf("segment %s is damaged or missing: some of its fragments cannot be read", s.Name))
			err = nil
		}
		if err != nil {
			return err
		}
	}
	for _, dir := range []string{segmentsDir, path.Dir(segmentsDir), "."} {
		if err := j.volume.SyncDir(j.to(dir)); err != nil {
			return err
		}
	}
	return nil
}

// complete makes it a data directory.
func (j *restoration) complete(ctx context.Context) error {
	i := slices.IndexFunc(j.manifest.Files, func(f File) bool { return f.Path == formatFile })
	return j.copyFile(ctx, j.manifest.Files[i])
}
