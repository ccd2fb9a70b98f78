package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// recover makes the index and the segments agree, whatever the last run left. After it
// every segment is sealed; appending goes on in new ones, so that nothing is ever
// written behind bytes of unknown origin.
func (a *Archive) recover(ctx context.Context) error {
	rows, err := a.index.segments(ctx)
	if err != nil {
		return err
	}
	names, err := a.disk.List(a.dir)
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		id, ok := segment.ParseFileName(name)
		if !ok {
			a.log.Warn("file is no segment and left alone", "file", name)
			continue
		}
		a.lastID = max(a.lastID, id)
		row, known := rows[id]
		delete(rows, id)
		if err := a.recoverSegment(ctx, id, row, known); err != nil {
			return fmt.Errorf("segment %d: %w", id, err)
		}
	}
	return a.recoverRows(ctx, rows)
}

// recoverRows handles rows whose file is missing. A power failure can bring back the
// row of a segment that had expired; its fragments are behind the horizon and expire
// again, so the row stays until then.
func (a *Archive) recoverRows(ctx context.Context, rows map[int64]segmentRow) error {
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		row := rows[id]
		a.lastID = max(a.lastID, id)
		if row.live > 0 {
			a.log.Warn("segment file is missing; what it held cannot be read", "segment", id, "fragments", row.live)
			a.raiseLongest(row.longest)
		}
		if !row.sealed {
			if err := a.index.sealSegment(ctx, id, row.length); err != nil {
				return err
			}
		}
	}
	return nil
}

// recoverSegment brings one file and its row together.
func (a *Archive) recoverSegment(ctx context.Context, id int64, row segmentRow, known bool) error {
	f, err := a.disk.Open(a.segmentPath(id))
	if err != nil {
		return err
	}
	defer f.Close() // after a successful Sync there is nothing left that could fail
	h, err := segment.ReadHead(f)
	switch {
	case err != nil && !known:
		return a.dropHeadless(id, f, err)
	case err != nil:
		return err
	case h.ID != id, known && h.Salt != row.Salt:
		return errors.New("the file is not the one the index knows; move index.db* away and it is rebuilt from the segments")
	case !known:
		row = segmentRow{Head: h, length: segmentHeadSize}
		if err := a.index.addSegment(ctx, row); err != nil {
			return err
		}
	}
	a.raiseLongest(row.longest)
	if row.sealed {
		return nil
	}
	return a.replay(ctx, f, row)
}

// dropHeadless removes a file that was being made when the process ended. A longer one
// may hold fragments and is left for the operator.
func (a *Archive) dropHeadless(id int64, f disk.File, cause error) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size > segmentHeadSize {
		a.log.Error("segment is unreadable and left alone", "segment", id, "bytes", size, "error", cause)
		return nil
	}
	return a.disk.Remove(a.segmentPath(id))
}

// replay puts the fragments behind row.length into the index and seals the segment.
// The file is synced first: what the index points to must not be only in memory.
func (a *Archive) replay(ctx context.Context, f disk.File, row segmentRow) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size < row.length {
		a.log.Error("segment is shorter than the index knows it; fragments are lost", "segment", row.ID, "bytes", size, "expected", row.length)
		return a.index.sealSegment(ctx, row.ID, row.length)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	sealed, err := endsSealed(f, size, row.Salt)
	if err != nil {
		return err
	}
	s := newScanner(f, size, row.Salt, row.length, !sealed)
	added, err := a.replayRows(ctx, s, row.ID)
	if err != nil {
		return err
	}
	if added > 0 || s.damaged > 0 {
		a.log.Info("segment recovered", "segment", row.ID, "fragments", added, "damaged", s.damaged, "cut", size-s.good)
	}
	end, err := sealRecovered(f, s, size)
	if err != nil {
		return err
	}
	return a.index.sealSegment(ctx, row.ID, end)
}

// replayRows commits what the scanner finds, maxDeletes rows at a time.
func (a *Archive) replayRows(ctx context.Context, s *scanner, id int64) (added int, err error) {
	found := make([]Stored, 0, maxDeletes)
	flush := func() error {
		n, err := a.index.replay(ctx, id, s.good, found)
		added += n
		found = found[:0]
		return err
	}
	for {
		ok, err := s.next()
		if err != nil {
			return added, err
		}
		if !ok {
			return added, flush()
		}
		a.raiseLongest(s.head.fragment.Duration)
		if found = append(found, s.stored(id)); len(found) == cap(found) {
			if err := flush(); err != nil {
				return added, err
			}
		}
	}
}

// sealRecovered cuts what is torn behind the last intact record and makes sure that an
// end record follows it.
func sealRecovered(f disk.File, s *scanner, size int64) (end int64, err error) {
	if s.good < size {
		if err := f.Truncate(s.good); err != nil {
			return 0, err
		}
	}
	if s.sealed {
		return s.good, nil
	}
	if err := writeEnd(f, s.salt, s.good); err != nil {
		return 0, err
	}
	return s.good + recordHeadSize, nil
}
