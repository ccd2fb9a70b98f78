package inspect

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// segments looks at every segment that has a row and a file.
func (c *check) segments(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(c.rows)) {
		if len(c.files[id]) == 0 {
			continue
		}
		c.report.Segments++
		done := c.state.Done
		err := c.settle(ctx, func(ctx context.Context, l *look) error {
			c.state.Done = done
			return c.lookAt(ctx, id, l)
		})
		if err != nil {
			return err
		}
		c.state.Done = done
		c.advance(c.rows[id].length)
	}
	return nil
}

// inspection is one look at one segment, with the rows of one moment.
type inspection struct {
	*check
	look *look
	view view
	row  segmentRow
	f    *os.File
	size int64 // of the file
	head segment.Head
	name string

	holes   disk.Holes
	gaps    []gap
	marks   []mark
	batch   []item
	headers map[int64]*header
	matched int64 // rows that their records answer
	total   int64 // bytes of all fragment records
	seed    maphash.Seed
	scanner *segment.Scanner
}

// gap is a stretch of bytes in which no record begins.
type gap struct {
	from, to int64
	hole     bool
}

// mark remembers a fragment record for the comparison with the footer.
type mark struct {
	position int64
	sum      uint64
}

// lookAt looks at a segment. One that was removed since is no matter.
func (c *check) lookAt(ctx context.Context, id int64, l *look) error {
	return c.index.at(ctx, func(v view) error {
		row, ok, err := v.segment(ctx, id)
		if err != nil || !ok {
			return err
		}
		f, err := c.open(row)
		if errors.Is(err, fs.ErrNotExist) {
			if row.live > 0 {
				l.found(finding(refuse, 14, "the file of segment %s is missing", segment.FileName(id)).on(id).losing(row.live))
			}
			return nil
		}
		if err != nil {
			return unread(l, err, id, row.live)
		}
		defer f.Close() // only read from
		info, err := f.Stat()
		if err != nil {
			return unread(l, err, id, row.live)
		}
		s := &inspection{check: c, look: l, view: v, row: row, f: f, size: info.Size(), name: segment.FileName(id),
			headers: map[int64]*header{}, seed: maphash.MakeSeed()}
		return unread(l, s.run(ctx), id, row.live)
	})
}

// unread makes a finding about a segment of an error of its file, as a disk gives it that
// fails: the other segments are looked at all the same. Files that this user may not read
// end the check.
func unread(l *look, err error, id, live int64) error {
	wrong, ok := errors.AsType[*fs.PathError](err)
	if !ok || errors.Is(err, fs.ErrPermission) {
		return err
	}
	l.found(finding(refuse, 4, "%s cannot be read: %v", segment.FileName(id), wrong.Err).on(id).losing(live))
	return nil
}

// open opens the file of a segment, where its row says it is or in the other folder.
func (c *check) open(row segmentRow) (*os.File, error) {
	roots := c.roots()
	if row.warm {
		slices.Reverse(roots)
	}
	var err error
	for _, root := range roots {
		f, openErr := os.Open(filepath.Join(root, segment.FileName(row.ID)))
		if openErr == nil {
			return f, nil
		}
		if err = openErr; !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return nil, err
}

func (s *inspection) run(ctx context.Context) (err error) {
	s.look.bytes += s.row.length
	if s.holes, err = disk.HolesOf(s.f, s.size); err != nil {
		return err
	}
	known, err := s.readHead()
	if err != nil || !known {
		return err
	}
	if s.head.ID != s.row.ID {
		s.misnamed(s.look, s.head, s.row.ID, s.name)
		return nil
	}
	if err := s.scan(ctx); err != nil {
		return err
	}
	if s.matched < s.row.live || s.miscounted[s.row.ID] {
		s.suspicious[s.row.ID] = true
	} else {
		delete(s.suspicious, s.row.ID)
	}
	s.compareHead()
	return s.ending()
}

// readHead reads the segment's head. A damaged one can be written again from the row when
// the records answer to what the row says; without that nothing can be read.
func (s *inspection) readHead() (known bool, err error) {
	s.head, err = segment.ReadHead(s.f)
	if err == nil {
		return true, nil
	}
	if !unreadable(err) {
		return false, err
	}
	s.head = s.row.Head
	first := segment.NewScanner(s.f, s.head, segment.HeadSize, s.size, false)
	ok, err := first.Next()
	if err != nil && !unreadable(err) {
		return false, err
	}
	number := 1
	if s.touched(0, segment.HeadSize) {
		number = 11
	}
	if ok && first.Finding == segment.Intact && s.row.Version == segment.Version {
		s.look.found(finding(writeHead, number, "the head of %s is damaged; its records answer to the row's", s.name).on(s.row.ID))
		return true, nil
	}
	s.look.found(finding(refuse, number, "the head of %s is damaged", s.name).on(s.row.ID).losing(s.row.live))
	return false, nil
}

// unreadable says whether an error is about what was read.
func unreadable(err error) bool {
	return errors.Is(err, segment.ErrNoSegment) || isShort(err)
}

// compareHead compares head and row. Where the records answer to the rows of
// fragments although heads differ, the row of the segment is what is wrong.
func (s *inspection) compareHead() {
	m := refuse
	if s.matched == s.row.live {
		m = rebuild
	}
	switch id := s.row.ID; {
	case s.head.Salt != s.row.Salt:
		s.look.found(finding(m, 1, "%s is not the file that its row knows: the salts differ", s.name).on(id))
	case s.head != s.row.Head:
		s.look.found(finding(m, 1, "the head of %s and its row differ: %+v and %+v", s.name, s.head, s.row.Head).on(id))
	}
}

// misnamed reports a file that is another segment than its name says. If the row of that
// segment knows it, nothing else may have the name.
func (c *check) misnamed(l *look, h segment.Head, id int64, name string) {
	how := refuse
	if r, ok := c.rows[h.ID]; ok && r.Salt == h.Salt {
		how = rename
	}
	l.found(finding(how, 1, "%s says that it is segment %d", name, h.ID).on(id))
}

// scan reads the heads of all records below the length that the index stands for.
func (s *inspection) scan(ctx context.Context) error {
	s.scanner = segment.NewScanner(s.f, s.head, segment.HeadSize, min(s.size, s.row.length), false)
	for {
		ok, err := s.scanner.Next()
		if err != nil {
			if ctx.Err() == nil {
				s.look.found(finding(refuse, 4, "%s cannot be read from byte %d on: %v", s.name, s.scanner.End, err).on(s.row.ID))
				err = s.match(ctx)
			}
			return err
		}
		if !ok {
			return s.match(ctx)
		}
		if s.Progress != nil && !s.Deep {
			s.Progress(Progress{s.state.Done + s.scanner.End, s.state.Total})
		}
		switch {
		case s.scanner.Finding == segment.Garbage:
			from, to := s.scanner.Position, s.scanner.End
			s.gaps = append(s.gaps, gap{from, to, s.scanner.Hole || s.touched(from, to) || s.reached(from, to)})
		case s.scanner.Record.Kind == segment.FragmentRecord:
			if err := s.add(ctx); err != nil {
				return err
			}
		}
	}
}

// item is a fragment record that waits to be compared with its row.
type item struct {
	segment.Record
	position int64
	orphan   bool
}

// batchSize is how many records are compared with their rows at once.
const batchSize = 4096

func (s *inspection) add(ctx context.Context) error {
	at, rec := s.scanner.Position, &s.scanner.Record
	s.total += rec.Size()
	if s.head.Version != 1 {
		s.marks = append(s.marks, mark{at, s.sum(at, rec)})
	}
	i := item{Record: *rec, position: at, orphan: s.scanner.Finding == segment.Orphan}
	i.Facts.Tracks = slices.Clone(rec.Facts.Tracks)
	if s.batch = append(s.batch, i); len(s.batch) < batchSize {
		return nil
	}
	return s.match(ctx)
}

// sum stands for head and facts of a record.
func (s *inspection) sum(position int64, rec *segment.Record) uint64 {
	return maphash.Bytes(s.seed, rec.Append(nil, s.head.Salt, position))
}

// isDeleted says whether a stream is gone. What the catalog said at the beginning may be
// old by now.
func (c *check) isDeleted(ctx context.Context, stream kvs.StreamID) (bool, error) {
	if c.Streams == nil {
		return false, nil
	}
	if c.asked.IsZero() || c.Live && time.Since(c.asked) > time.Second {
		var err error
		if c.exist, err = c.Streams(ctx); err != nil {
			return false, err
		}
		c.asked = time.Now()
	}
	return !c.exist[stream], nil
}
