// Package backup copies a data directory while its server works, and makes one from a copy.
//
// A backup is valid as soon as its manifest is there, and holds whatever was durable when
// it began. Backups in one folder share the files of segments, which hold the media. Why
// the copy is consistent is written in docs/design/backup-format.md.
//
// Only the command uses this package; its functions are independent of each other and each
// is for one goroutine.
package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
)

// Options say what is copied where. Data and Dir are needed.
type Options struct {
	Data string // the data directory, with or without a server at work
	Dir  string // the folder of backups; made if missing
	Warm string // the folder for streams of the tier WARM, "" = there is none

	Keep        int   // backups that stay, this one counted; 0 = all
	Rate        int64 // bytes of media copied in a second; 0 = as fast as it goes
	WithKeyFile bool  // include the key that secrets are sealed under
	Verify      bool  // read all media of the folder again, and mend them

	Program  string           // version, for the manifest
	Progress func(Progress)   // called often; nil = nobody looks
	Now      func() time.Time // nil = time.Now

	volume volume       // for tests; nil = the operating system's
	step   func(string) // for tests: called between the parts of the work
}

// Report tells what a run did.
type Report struct {
	ID       string    `json:"id"`
	Folder   string    `json:"folder"`
	Time     time.Time `json:"time"`    // what was durable before is in the backup
	Seconds  float64   `json:"seconds"` // that the run took
	Size     int64     `json:"size"`    // of the whole backup, in bytes
	Copied   int64     `json:"copied"`  // bytes of segments written by this run
	Segments int       `json:"segments"`
	Shared   int       `json:"shared"` // segments that were there already

	Streams   int64 `json:"streams"`
	Fragments int64 `json:"fragments"`

	HasKeyFile bool     `json:"has_key_file"`
	Removed    []string `json:"removed"` // older backups
	Freed      int64    `json:"freed"`   // bytes of segments that no backup needs any more
	Warnings   []string `json:"warnings"`
}

// job is one run.
type job struct {
	Options
	copier copier
	repo   *repository
	pool   map[part]pooled
	ready  map[int64]bool // segments that are in the pool as a whole
	fresh  map[part]bool  // what this run put into the pool
	draft  string         // the folder of the backup, until it is valid
	pins   map[int64]*os.File

	manifest Manifest
	report   Report
}

// stage is a part of a run.
type stage struct {
	name string
	do   func(context.Context) error
}

// Run makes a backup. When it fails, the backups made before are as they were. What fails
// once the backup is valid is a warning.
func Run(ctx context.Context, o Options) (r *Report, err error) {
	j, err := newJob(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.repo.close()) }()
	defer j.unpin()
	begun := time.Now()
	for _, part := range []stage{{"looking", j.look}, {"verifying", j.mend}, {"copying sealed segments", j.copyAhead}, {"copying the state", j.capture}, {"finishing", j.finish}} {
		if err := j.perform(ctx, part); err != nil {
			return nil, err
		}
	}
	for _, part := range []stage{{"removing old backups", j.prune}, {"noting the time", j.note}} {
		if err := j.perform(ctx, part); err != nil {
			j.remark("the backup is complete, but afterwards: %v", err)
		}
	}
	j.report.Seconds = time.Since(begun).Seconds()
	return &j.report, nil
}

// perform does a part of the work, and sweeps up when it fails.
func (j *job) perform(ctx context.Context, part stage) error {
	j.step(part.name)
	j.copier.doing(part.name)
	err := part.do(ctx)
	if err == nil {
		return nil
	}
	_ = j.repo.sweep() // frees a full disk; what it leaves, the next run removes
	return fmt.Errorf("%s: %w", part.name, explain(err))
}

// explain adds what helps to errors of the system.
func explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return interrupted{err}
	}
	return err
}

// interrupted is the end of a run that somebody did not want any more. Where it was just
// then says nothing to them.
type interrupted struct{ error }

func (interrupted) Error() string   { return "interrupted; nothing that was there before has changed" }
func (i interrupted) Unwrap() error { return i.error }

// newJob makes sure that there is something to copy and a place for it.
func newJob(ctx context.Context, o Options) (*job, error) {
	j := &job{Options: o, ready: map[int64]bool{}, fresh: map[part]bool{}, pins: map[int64]*os.File{}}
	if j.volume == nil {
		j.volume = realVolume{data: o.Data}
	}
	if j.Now == nil {
		j.Now = time.Now
	}
	if j.Progress == nil {
		j.Progress = func(Progress) {}
	}
	if j.step == nil {
		j.step = func(string) {}
	}
	j.report.Removed, j.report.Warnings = []string{}, []string{} // lists in JSON, never null
	j.copier = copier{volume: j.volume, rate: o.Rate, progress: j.Progress, now: time.Now}
	j.report.Time = j.Now()
	if inside(o.Dir, o.Data) || inside(o.Data, o.Dir) {
		return nil, fmt.Errorf("%s and the data directory %s lie in each other: give a folder of its own, best on another disk", o.Dir, o.Data)
	}
	if err := started(o.Data); err != nil {
		return nil, err
	}
	source, err := j.identity(ctx, filepath.Join(o.Data, catalogFile))
	if err != nil {
		return nil, explain(err)
	}
	if j.repo, err = openRepository(j.volume, o.Dir, source); err != nil {
		return nil, explain(err)
	}
	return j, nil
}

// started tells a data directory from one that is none, or that millrace init made and
// no server has opened.
func started(data string) error {
	if _, err := os.Stat(filepath.Join(data, catalogFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no streams: it is not a data directory, or its server was never started (%w)", data, err)
	}
	if exists(filepath.Join(data, keyFile+".next")) {
		return fmt.Errorf("a rotation of the key file of %s was interrupted: finish it first with millrace key-file rotate, or by a start of the server", data)
	}
	if _, err := os.Stat(filepath.Join(data, indexFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no media yet: start its server once before the first backup; millrace key-file export copies what cannot be made again (%w)", data, err)
	}
	return nil
}

// identity reads whose data it is, and notes the number of streams.
func (j *job) identity(ctx context.Context, path string) (id string, err error) {
	pool, err := db.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	id, j.manifest.Streams, err = catalog.Identity(ctx, pool)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return id, err
}

// look sweeps up behind an interrupted run, reads what is there already and makes sure
// that there is room for the rest.
func (j *job) look(ctx context.Context) error {
	if err := j.repo.sweep(); err != nil {
		return err
	}
	if err := j.volume.MakeDir(j.repo.path(poolDir)); err != nil {
		return err
	}
	var err error
	if j.pool, err = readPool(j.Dir); err != nil {
		return err
	}
	need, logs, err := j.missing(ctx)
	if err != nil {
		return err
	}
	have, err := j.volume.Free(j.Dir)
	if err != nil {
		return err
	}
	j.copier.state.Total = need
	if j.Verify {
		for _, p := range j.pool {
			j.copier.state.Total += p.size
		}
	}
	if need += logs + need/50 + 16<<20; have < need {
		return fmt.Errorf("%s has %d MB free and the backup needs about %d MB: nothing was copied", j.Dir, have>>20, need>>20)
	}
	return nil
}

// missing sums up what is to be copied: segments that the pool lacks, and databases. The
// logs of the databases may add as much to their copies.
func (j *job) missing(ctx context.Context) (bytes, logs int64, err error) {
	rows, err := j.segments(ctx)
	if err != nil {
		return 0, 0, err
	}
	for _, s := range rows {
		if _, ok := j.pool[part{s.ID, s.Salt, s.Length}]; !ok && (s.Fragments > 0 || !s.Sealed) {
			bytes += s.Length
		}
	}
	found, err := survey(j.Data)
	if err != nil {
		return 0, 0, err
	}
	for how, sum := range map[treatment]*int64{index: &bytes, database: &bytes, plain: &bytes, rebuilt: &logs} {
		for _, name := range found[how] {
			if info, err := os.Stat(filepath.Join(j.Data, name)); err == nil {
				*sum += info.Size()
			}
		}
	}
	return bytes, logs, nil
}

// finish makes the backup valid.
func (j *job) finish(context.Context) error {
	m := &j.manifest
	m.Version, m.Source, m.Program = manifestVersion, j.repo.source, cmp.Or(j.Program, "unknown")
	m.Finished = j.Now().UTC()
	var err error
	if m.ID, err = j.repo.newID(m.Time); err != nil {
		return err
	}
	text, sums, err := m.encode()
	if err != nil {
		return err
	}
	// Names in the pool before the manifest that needs them; the folder's name last.
	if err := j.volume.SyncDir(j.repo.path(poolDir)); err != nil {
		return err
	}
	if err := write(j.volume, filepath.Join(j.draft, sumsFile), sums); err != nil {
		return err
	}
	if err := write(j.volume, filepath.Join(j.draft, manifestFile), text); err != nil {
		return err
	}
	folder := j.repo.path(m.ID)
	if err := errors.Join(j.volume.Rename(j.draft, folder), j.volume.SyncDir(j.Dir)); err != nil {
		return err
	}
	j.report.ID, j.report.Folder, j.report.Time = m.ID, folder, m.Time
	j.report.Size, j.report.Segments = m.size(), len(m.Segments)
	j.report.Streams, j.report.Fragments, j.report.HasKeyFile = m.Streams, m.Fragments, m.HasKeyFile
	j.report.Warnings = append(j.report.Warnings, m.Warnings...)
	return nil
}

// prune removes what need not be kept. The backup is valid whatever happens here.
func (j *job) prune(context.Context) error {
	p, err := j.repo.prune(j.Keep)
	j.report.Removed, j.report.Freed = append(j.report.Removed, p.removed...), p.freed
	for _, id := range slices.Sorted(maps.Keys(p.broken)) {
		j.remark("%s cannot be read, and as it may need any media, none are removed while it is there; mend or remove it (%v)", j.repo.path(id), p.broken[id])
	}
	return err
}
