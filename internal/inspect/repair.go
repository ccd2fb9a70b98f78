package inspect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// RepairOptions say what is repaired. Open is needed besides what a check needs.
type RepairOptions struct {
	Options
	// Open opens the archive as a server does when it starts, and closes it.
	Open func(context.Context) error
}

// Repaired is what a repair found and did.
type Repaired struct {
	Before *Report  `json:"before"`
	Done   []string `json:"done"`  // what was changed
	After  *Report  `json:"after"` // what could not be mended is here
}

// Repair checks an archive that nobody uses, mends what can be mended without losing
// anything that can be read, and checks it again. The caller holds the lock of the data
// directory. Truth is in segments and journals: the index is made anew from them, and no
// byte of a record is ever changed or removed because an index says so.
func Repair(ctx context.Context, o RepairOptions) (*Repaired, error) {
	o.Live = false
	before, err := Check(ctx, o.Options)
	if err != nil {
		return nil, err
	}
	r := &Repaired{Before: before, After: before, Done: []string{}}
	job := &repair{RepairOptions: o, repaired: r}
	if err := job.mend(ctx); err != nil || len(r.Done) == 0 {
		return r, err
	}
	r.After, err = Check(ctx, o.Options)
	if err != nil {
		return r, err
	}
	files, err := (&check{Options: o.Options}).list()
	r.After.remember(before, files)
	return r, err
}

// remember adds what was lost before a start forgot it, and has no file now either.
func (r *Report) remember(before *Report, files map[int64][]string) {
	for _, f := range before.Findings {
		there := slices.ContainsFunc(r.Findings, func(g Finding) bool { return g.mend == forget && g.Segment == f.Segment })
		if f.mend == forget && !there && len(files[f.Segment]) == 0 {
			r.Findings = append(r.Findings, f)
			r.Counts[f.Invariant]++
		}
	}
}

// repair is one run of [Repair].
type repair struct {
	RepairOptions
	repaired *Repaired
}

func (r *repair) did(format string, args ...any) {
	r.repaired.Done = append(r.repaired.Done, fmt.Sprintf(format, args...))
}

// mend does what the findings need: first the files, then the index or a start.
func (r *repair) mend(ctx context.Context) error {
	needed, misnamed := map[mend]bool{}, []int64(nil)
	for _, f := range r.repaired.Before.Findings {
		needed[f.mend] = true
		var err error
		switch f.mend {
		case writeHead:
			err = r.writeHead(ctx, f.Segment)
		case rename:
			misnamed = append(misnamed, f.Segment)
		case oneFolder:
			err = r.oneFolder(f.Segment)
		case cutEnd:
			err = r.cutEnd(f.Segment)
		case refuse, forget, rebuild, start, damagedIndex, rewriteKeys:
		}
		if err != nil {
			return err
		}
	}
	if err := r.rename(misnamed); err != nil {
		return err
	}
	if needed[rewriteKeys] {
		if err := r.rewriteKeys(); err != nil {
			return err
		}
	}
	switch {
	case needed[damagedIndex]:
		return r.rebuild(ctx, false)
	case needed[rebuild] || needed[cutEnd]:
		return r.rebuild(ctx, true)
	case needed[start] || needed[oneFolder] || needed[rename] || needed[writeHead]:
		if err := r.Open(ctx); err != nil {
			return err
		}
		r.did("the archive was opened as a start does it")
	}
	return nil
}

// file finds the only file of a segment.
func (r *repair) file(id int64) (string, error) {
	files, err := (&check{Options: r.Options}).list()
	if err == nil && len(files[id]) != 1 {
		err = fmt.Errorf("segment %s has %d files", segment.FileName(id), len(files[id]))
	}
	if err != nil {
		return "", err
	}
	return files[id][0], nil
}

// change opens the file of a segment, lets it be changed, and makes that durable.
func (r *repair) change(id int64, do func(*os.File) error) error {
	path, err := r.file(id)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := do(f); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// writeHead writes the head of a segment as its row has it; the salt in it was tried on
// the records.
func (r *repair) writeHead(ctx context.Context, id int64) error {
	x, err := openIndex(ctx, filepath.Join(r.Dir, indexFile))
	if err != nil {
		return err
	}
	rows, err := x.segments(ctx)
	if err = errors.Join(err, x.close()); err != nil {
		return err
	}
	row := rows[id]
	if row.Version != segment.Version {
		return fmt.Errorf("the head of %s is of version %d, which this program does not write", segment.FileName(id), row.Version)
	}
	r.did("the head of %s was written again", segment.FileName(id))
	return r.change(id, func(f *os.File) error {
		_, err := f.WriteAt(row.Encode(), 0)
		return err
	})
}

// aside is behind the name of a file that is getting its right one. It is no name of a
// temporary file, which a start would remove.
const aside = ".renamed"

// rename gives files the names that their heads say. They may have each other's.
func (r *repair) rename(ids []int64) error {
	right := map[string]string{}
	for _, id := range ids {
		path, err := r.file(id)
		if err != nil {
			return err
		}
		f, err := os.Open(filepath.Clean(path))
		if err != nil {
			return err
		}
		h, err := segment.ReadHead(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		right[path] = filepath.Join(filepath.Dir(path), segment.FileName(h.ID))
	}
	for path := range right {
		if err := os.Rename(path, path+aside); err != nil {
			return err
		}
	}
	for path, to := range right {
		if _, err := os.Lstat(to); err == nil {
			return fmt.Errorf("%s should be %s, and there is such a file", path+aside, to)
		}
		r.did("%s was renamed to %s", path, filepath.Base(to))
		if err := errors.Join(os.Rename(path+aside, to), disk.System{}.SyncDir(filepath.Dir(path))); err != nil {
			return err
		}
	}
	return nil
}

// cutEnd cuts what is behind the last fragment or header record. The start that follows
// reads the records and writes footer and end record.
func (r *repair) cutEnd(id int64) error {
	r.did("the end of %s was cut and is written again", segment.FileName(id))
	return r.change(id, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		h, err := segment.ReadHead(f)
		if err != nil {
			return err
		}
		s := segment.NewScanner(f, h, segment.HeadSize, info.Size(), false)
		for more := true; more; {
			if more, err = s.Next(); err != nil {
				return err
			}
		}
		return f.Truncate(s.Good)
	})
}

// oneFolder removes one of two files of a segment: the one with more damage, the one in
// the hot folder if both are as good, as a start does.
func (r *repair) oneFolder(id int64) error {
	files, err := (&check{Options: r.Options}).list()
	if err != nil {
		return err
	}
	var damage []int
	for _, path := range files[id] {
		n, err := lost(path)
		if err != nil {
			return err
		}
		damage = append(damage, n)
	}
	worse := files[id][0] // hot
	if len(damage) > 1 && damage[1] > damage[0] {
		worse = files[id][1]
	}
	r.did("%s was removed; the other file of the segment stays", worse)
	return errors.Join(os.Remove(worse), disk.System{}.SyncDir(filepath.Dir(worse)))
}

// lost counts the damaged places of a segment. One that does not end as a sealed one has
// many.
func lost(path string) (int, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	h, err := segment.ReadHead(f)
	if unreadable(err) {
		return int(info.Size()), nil
	}
	if err != nil {
		return 0, err
	}
	s := segment.NewScanner(f, h, segment.HeadSize, info.Size(), true)
	for more := true; more; {
		if more, err = s.Next(); err != nil {
			return 0, err
		}
	}
	if !s.Sealed && !slices.Contains([]segment.Finding{segment.Intact}, s.Finding) {
		s.Lost += int(info.Size())
	}
	return s.Lost, nil
}
