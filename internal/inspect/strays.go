package inspect

import (
	"context"
	"errors"
	"io/fs"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// strays looks at each row of the segments where fewer records than rows were found, from
// the side of the row.
func (c *check) strays(ctx context.Context) error {
	if len(c.suspicious) == 0 {
		return nil
	}
	return c.settle(ctx, func(ctx context.Context, l *look) error {
		return c.index.at(ctx, func(v view) error {
			files := &openFiles{check: c, v: v}
			defer files.close()
			var failed error
			err := v.each(ctx, func(r *fragmentRow) {
				if failed == nil && c.suspicious[r.segment] && !c.explained[r.id()] {
					failed = c.stray(ctx, files, r, l)
				}
			}, fragmentColumns+` ORDER BY stream, n`)
			return errors.Join(err, failed)
		})
	})
}

// stray looks whether there is a record where a row says.
func (c *check) stray(ctx context.Context, files *openFiles, r *fragmentRow, l *look) error {
	s, err := files.of(ctx, r.segment)
	if err != nil || s == nil {
		return err
	}
	s.look = l
	id := r.id()
	rec, ok, err := segment.ReadRecord(s.f, s.head, r.position, min(s.size, s.row.length))
	switch {
	case err != nil && !isShort(err):
		l.found(finding(refuse, 4, "fragment %d of stream %d at byte %d of %s cannot be read: %v", id.n, id.stream, r.position, s.name, err).
			on(r.segment).of(id).losing(1))
	case ok && rec.Kind == segment.FragmentRecord && (fragmentID{rec.Fragment.Stream, rec.Fragment.Number.N}) == id:
		return nil // it is where the row says
	case ok:
		l.found(finding(rebuild, 6, "the row of fragment %d of stream %d points to another record, at byte %d of %s", id.n, id.stream, r.position, s.name).
			on(r.segment).of(id))
	case s.touched(r.position, r.position+segment.RecordHeadSize) || s.head.Version != 1 && s.zeros(r.position/pageSize*pageSize, r.position+r.length):
		l.found(finding(refuse, 11, "a hole touches the head of fragment %d of stream %d at byte %d of %s", id.n, id.stream, r.position, s.name).
			on(r.segment).of(id).losing(1))
	default:
		l.found(finding(refuse, 4, "the head of fragment %d of stream %d at byte %d of %s is damaged", id.n, id.stream, r.position, s.name).
			on(r.segment).of(id).losing(1))
	}
	return nil
}

// openFiles keeps the file open that was looked at last: rows of a stream that lie close
// are in the same.
type openFiles struct {
	check *check
	v     view
	last  *inspection
	id    int64
}

// of returns a segment, nil if it cannot be read as one, which was reported.
func (o *openFiles) of(ctx context.Context, id int64) (*inspection, error) {
	if o.id == id {
		return o.last, nil
	}
	o.close()
	o.id = id
	row, ok, err := o.v.segment(ctx, id)
	if err != nil || !ok {
		return nil, err
	}
	f, err := o.check.open(row)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &inspection{check: o.check, row: row, f: f, name: segment.FileName(id)}
	info, err := f.Stat()
	if err == nil {
		s.size = info.Size()
		s.holes, err = disk.HolesOf(f, s.size)
	}
	if err == nil {
		s.head, err = segment.ReadHead(f)
	}
	if unreadable(err) {
		s.head, err = row.Head, nil
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	o.last = s
	return s, nil
}

func (o *openFiles) close() {
	if o.last != nil {
		_ = o.last.f.Close() // only read from
		o.last = nil
	}
	o.id = 0
}
