package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// maxSnapshots is how often the index is taken again because a segment that it needs
// came and went in between.
const maxSnapshots = 10

// capture takes what belongs to one moment: the index, then the other databases and
// files, then the media that the index knows and the pool lacks.
func (j *job) capture(ctx context.Context) (err error) {
	offline, release, err := Quiet(ctx, j.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	j.draft = j.repo.path(".new-backup")
	if err := errors.Join(j.volume.Remove(j.draft), j.volume.MakeDir(filepath.Join(j.draft, path.Dir(indexFile)))); err != nil {
		return err
	}
	rows, err := j.captureIndex(ctx)
	if err != nil {
		return err
	}
	if offline {
		if rows, err = j.uncommitted(rows); err != nil {
			return err
		}
	}
	j.step("copying files")
	if err := j.captureFiles(ctx); err != nil {
		return err
	}
	j.step("copying open segments")
	if err := j.captureSegments(ctx, rows); err != nil {
		return err
	}
	j.step("copying journals")
	return j.captureJournals(ctx)
}

// captureIndex takes the index such that every segment it needs can be read: it is in
// the pool, or open here.
func (j *job) captureIndex(ctx context.Context) ([]archive.SegmentInfo, error) {
	to := filepath.Join(j.draft, indexFile)
	for range maxSnapshots {
		j.step("pinning")
		if err := j.pin(); err != nil {
			return nil, err
		}
		j.step("copying the index")
		j.manifest.Time = j.Now().UTC()
		if err := errors.Join(j.volume.Remove(to), j.volume.Snapshot(ctx, filepath.Join(j.Data, indexFile), to)); err != nil {
			return nil, err
		}
		rows, err := copiedSegments(ctx, to)
		if err != nil {
			return nil, err
		}
		j.step("looking for segments")
		missing, err := j.resolve(rows)
		if err != nil {
			return nil, err
		}
		if again, err := j.expired(ctx, missing); err != nil || !again {
			return rows, err
		}
	}
	return nil, fmt.Errorf("segments expire faster than they can be looked at, %d times in a row; run the backup again", maxSnapshots)
}

// resolve pins the segments that were begun since pin, and returns those that are gone.
func (j *job) resolve(rows []archive.SegmentInfo) (missing []archive.SegmentInfo, err error) {
	for _, s := range rows {
		_, have := j.pool[part{s.ID, s.Salt, s.Length}]
		if have || j.pins[s.ID] != nil || s.Sealed && s.Fragments == 0 {
			continue
		}
		f, err := j.open(s.ID)
		switch {
		case err == nil:
			j.pins[s.ID] = f
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, s)
		default:
			return nil, err
		}
	}
	return missing, nil
}

// expired says whether one of the missing segments was removed because it expired: then
// an index taken now does not need it. One that the running server's index still wants
// is lost, and no other moment would be better.
func (j *job) expired(ctx context.Context, missing []archive.SegmentInfo) (bool, error) {
	if len(missing) == 0 {
		return false, nil
	}
	rows, err := j.segments(ctx)
	if err != nil {
		return false, err
	}
	wanted := map[int64]int64{}
	for _, s := range rows {
		wanted[s.ID] = s.Fragments
	}
	for _, s := range missing {
		if wanted[s.ID] == 0 && s.Fragments > 0 {
			return true, nil
		}
	}
	for _, s := range missing {
		if s.Fragments > 0 {
			j.warn("segment %s is missing: its %d fragments cannot be read, here and in the backup", segment.FileName(s.ID), s.Fragments)
		}
	}
	return false, nil
}

// uncommitted adds what the index does not know yet: after a power failure it may be
// behind the segments, and only a start brings it up to date. It is for a directory that
// no server uses.
func (j *job) uncommitted(rows []archive.SegmentInfo) ([]archive.SegmentInfo, error) {
	known := map[int64]bool{}
	for i := range rows {
		s := &rows[i]
		known[s.ID] = true
		if f := j.pins[s.ID]; f != nil && !s.Sealed {
			info, err := f.Stat()
			if err != nil {
				return nil, err
			}
			s.Length = max(s.Length, info.Size())
		}
	}
	for id, f := range j.pins {
		if known[id] {
			continue
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if h, err := segment.ReadHead(f); err == nil {
			rows = append(rows, archive.SegmentInfo{ID: id, Salt: h.Salt, Length: info.Size()})
		}
	}
	return rows, nil
}

// captureSegments lists the segments of the backup and copies those that the pool lacks.
func (j *job) captureSegments(ctx context.Context, rows []archive.SegmentInfo) error {
	for _, s := range rows {
		j.manifest.Fragments += s.Fragments
		j.manifest.Bytes += s.Bytes
		if s.Sealed && s.Fragments == 0 {
			continue // the next expiry pass removes it
		}
		p, have := j.pool[part{s.ID, s.Salt, s.Length}]
		switch {
		case have:
		case j.pins[s.ID] == nil:
			continue // missing, as warned
		default:
			var err error
			if p, err = j.fetch(ctx, j.pins[s.ID], s); err != nil {
				return err
			}
		}
		if !j.fresh[p.part()] {
			j.report.Shared++
		}
		j.manifest.Segments = append(j.manifest.Segments, p.segment())
	}
	return nil
}

// captureFiles copies everything but media and the index, which is there already.
// Everything it copies may be younger than the index, never older.
func (j *job) captureFiles(ctx context.Context) error {
	found, err := survey(j.Data)
	if err != nil {
		return err
	}
	for _, name := range found[unknown] {
		j.warn("%s is not in the backup: this program does not know what it is", name)
	}
	for _, name := range found[database] {
		if err := j.volume.Snapshot(ctx, filepath.Join(j.Data, name), filepath.Join(j.draft, name)); err != nil {
			return err
		}
	}
	for _, name := range append([]string{indexFile}, found[database]...) {
		if err := j.enter(ctx, name); err != nil {
			return err
		}
	}
	copied := found[plain]
	if j.WithKeyFile {
		copied = append(copied, found[secret]...)
		j.manifest.HasKeyFile = len(found[secret]) > 0
	}
	for _, name := range copied {
		if err := j.copyFile(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// captureJournals copies what says which media can be unsealed and which are dead. Keys
// come first: what a tombstone names may have lost its key.
func (j *job) captureJournals(ctx context.Context) error {
	found, err := survey(j.Data)
	if err != nil {
		return err
	}
	for _, name := range found[late] {
		if err := j.copyFile(ctx, name); err != nil {
			return err
		}
	}
	return j.syncDraft()
}

// copyFile copies a small file into the folder of the backup.
func (j *job) copyFile(ctx context.Context, name string) error {
	from := filepath.Join(j.Data, name)
	f, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since the directory was read
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		j.warn("%s is not in the backup: it is no regular file", name)
		return nil
	}
	to := filepath.Join(j.draft, name)
	if err := j.volume.MakeDir(filepath.Dir(to)); err != nil {
		return err
	}
	size, digest, err := j.copier.to(ctx, to, f, info.Size())
	if err != nil {
		return err
	}
	j.manifest.Files = append(j.manifest.Files, File{Path: name, Mode: info.Mode().Perm(), Size: size, SHA256: digest})
	return nil
}

// enter puts a database that was copied into the manifest.
func (j *job) enter(ctx context.Context, name string) error {
	f, err := os.Open(filepath.Join(j.draft, name))
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size, digest, err := j.copier.through(ctx, nil, f, info.Size())
	if err != nil {
		return err
	}
	j.manifest.Files = append(j.manifest.Files, File{Path: name, Mode: 0o600, Size: size, SHA256: digest})
	return nil
}

// syncDraft makes the names in the folder of the backup durable.
func (j *job) syncDraft() error {
	dirs := map[string]bool{j.draft: true}
	for _, f := range j.manifest.Files {
		for dir := path.Dir(f.Path); dir != "."; dir = path.Dir(dir) {
			dirs[filepath.Join(j.draft, dir)] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if err := j.volume.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// State is what [StateFile] holds.
type State struct {
	Time     time.Time `json:"time"` // what was durable before is in the last backup
	Finished time.Time `json:"finished"`
	ID       string    `json:"id"`
	Folder   string    `json:"folder"`
}

// note writes into the data directory when the last backup was made, for the server's
// metrics.
func (j *job) note(context.Context) error {
	folder, err := filepath.Abs(j.Dir)
	if err != nil {
		return err
	}
	text, err := json.Marshal(State{Time: j.manifest.Time, Finished: j.manifest.Finished, ID: j.manifest.ID, Folder: folder})
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(j.Data, StateFile), append(text, '\n'), 0o644) // the server may be another user
}

// Last reads when the last backup of a data directory was made.
func Last(data string) (s State, err error) {
	text, err := os.ReadFile(filepath.Join(data, StateFile))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(text, &s)
}
