package backup

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/segment"
)

// mend reads all media of the folder again, if that is wanted, and copies again what is
// damaged or missing: of each segment that is still there, a file of the folder is the
// beginning, also if it was copied while the segment was open. What cannot be copied
// again is told if a backup needs it.
func (j *job) mend(ctx context.Context) error {
	if !j.Verify {
		return nil
	}
	l, err := list(j.Dir)
	if err != nil {
		return err
	}
	needs := map[pooled][]string{}
	for _, p := range j.pool {
		needs[p] = nil // by none, or by a backup that cannot be read
	}
	for _, m := range l.manifests {
		for _, s := range m.Segments {
			p, _ := parsePooled(s.File) // was checked when the manifest was read
			needs[p] = append(needs[p], m.ID)
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(needs), func(a, b pooled) int { return strings.Compare(a.file(), b.file()) }) {
		if err := j.mendOne(ctx, p, needs[p]); err != nil {
			return err
		}
	}
	return nil
}

// mendOne reads a file again that the backups ids need.
func (j *job) mendOne(ctx context.Context, p pooled, ids []string) error {
	ok, err := j.copier.holds(ctx, j.repo.path(poolDir, p.file()), p.size, p.sha256)
	if err != nil || ok {
		return err
	}
	if j.pool[p.part()] == p {
		delete(j.pool, p.part())
	}
	name := segment.FileName(p.id)
	if ok, err = j.replace(ctx, p); err != nil {
		return err
	}
	switch {
	case ok:
		j.remark("segment %s in the backups was damaged and is copied again", name)
	case len(ids) > 0:
		j.remark("segment %s in the backups is damaged, and the server no longer has what was copied: some fragments of %s cannot be read",
			name, strings.Join(ids, ", "))
	}
	return nil
}

// replace copies the beginning of a segment again, unless the source has other bytes now.
func (j *job) replace(ctx context.Context, p pooled) (bool, error) {
	f, err := j.open(p.id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() // only read from
	draft := j.repo.path(poolDir, ".new-segment")
	if err := j.volume.Remove(draft); err != nil {
		return false, err
	}
	size, digest, err := j.copier.to(ctx, draft, f, p.size)
	if err != nil {
		return false, err
	}
	if size != p.size || digest != p.sha256 {
		return false, j.volume.Remove(draft)
	}
	if err := j.volume.Rename(draft, j.repo.path(poolDir, p.file())); err != nil {
		return false, err
	}
	j.pool[p.part()], j.fresh[p.part()] = p, true
	j.report.Copied += size
	return true, nil
}
