package inspect

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/millrace/millrace/internal/segment"
)

// match compares the records of the batch with their rows.
func (s *inspection) match(ctx context.Context) error {
	slices.SortFunc(s.batch, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.Fragment.Stream, b.Fragment.Stream), cmp.Compare(a.Fragment.Number.N, b.Fragment.Number.N), cmp.Compare(a.position, b.position))
	})
	for from := 0; from < len(s.batch); {
		to := from + 1
		for to < len(s.batch) && s.batch[to].Fragment.Stream == s.batch[from].Fragment.Stream {
			to++
		}
		rows, err := s.rowsOf(ctx, s.batch[from:to])
		if err != nil {
			return err
		}
		for i := from; i < to; i++ {
			if err := s.compare(ctx, &s.batch[i], rows[s.batch[i].Fragment.Number.N]); err != nil {
				return err
			}
		}
		from = to
	}
	s.batch = s.batch[:0]
	return nil
}

// rowsOf reads the rows of records of one stream, in one go where they lie close.
func (s *inspection) rowsOf(ctx context.Context, items []item) (map[int64]*fragmentRow, error) {
	rows := make(map[int64]*fragmentRow, len(items))
	stream, first, last := items[0].Fragment.Stream, items[0].Fragment.Number.N, items[len(items)-1].Fragment.Number.N
	keep := func(r *fragmentRow) {
		copied := *r
		rows[r.Number.N] = &copied
	}
	if last-first <= 64*int64(len(items)) {
		return rows, s.view.between(ctx, stream, first, last, keep)
	}
	for i := range items {
		n := items[i].Fragment.Number.N
		if err := s.view.between(ctx, stream, n, n, keep); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// compare finds out what is wrong with a record and its row, nil if it has none.
func (s *inspection) compare(ctx context.Context, i *item, r *fragmentRow) error {
	id := fragmentID{i.Fragment.Stream, i.Fragment.Number.N}
	switch {
	case r == nil || r.segment < s.row.ID && i.Copied:
		return s.missing(ctx, i, id, r)
	case r.segment != s.row.ID: // a copy stands there, or the number was given twice and this one refused
		return nil
	case r.position != i.position:
		return s.misplaced(ctx, i, id, r)
	}
	s.matched++
	s.look.fragments++
	if what := differs(&i.Record, r); what != "" {
		s.wrongRow(id, "the row of fragment %d of stream %d and its record differ: %s", id.n, id.stream, what)
	}
	if _, done := s.dead.name(s.row.ID, id); done {
		s.look.found(finding(rebuild, 10, "fragment %d of stream %d has a row although a tombstone names it", id.n, id.stream).on(s.row.ID).of(id))
	}
	return s.living(ctx, i, id)
}

func (s *inspection) wrongRow(id fragmentID, format string, args ...any) {
	if len(s.explained) < maxFindings {
		s.explained[id] = true
	}
	s.look.found(finding(rebuild, 6, format, args...).on(s.row.ID).of(id))
}

// missing asks why a record has no row of its own.
func (s *inspection) missing(ctx context.Context, i *item, id fragmentID, r *fragmentRow) error {
	if named, _ := s.dead.name(s.row.ID, id); named || i.orphan || s.touched(i.position, i.position+i.Size()) {
		return nil
	}
	if gone, err := s.isDeleted(ctx, id.stream); gone || err != nil {
		return err
	}
	if whole, err := segment.Verify(s.f, i.position, &i.Record); err != nil || !whole {
		return nil //nolint:nilerr // what cannot be read is not intact
	}
	text := fmt.Sprintf("fragment %d of stream %d at byte %d of %s has no row", id.n, id.stream, i.position, s.name)
	if r != nil {
		text = fmt.Sprintf("fragment %d of stream %d at byte %d of %s is newer than what its row points to in segment %d", id.n, id.stream, i.position, s.name, r.segment)
	}
	s.look.found(finding(rebuild, 5, "%s", text).on(s.row.ID).of(id))
	return nil
}

// misplaced tells a row that points to a wrong byte from a number that was given twice,
// of which the first counts.
func (s *inspection) misplaced(ctx context.Context, i *item, id fragmentID, r *fragmentRow) error {
	other, ok, err := segment.ReadRecord(s.f, s.head, r.position, s.size)
	if err == nil && ok && other.Kind == segment.FragmentRecord && (fragmentID{other.Fragment.Stream, other.Fragment.Number.N}) == id {
		if r.position > i.position {
			return s.missing(ctx, i, id, nil)
		}
		return nil
	}
	s.wrongRow(id, "the row of fragment %d of stream %d points to byte %d of %s; it stands at byte %d", id.n, id.stream, r.position, s.name, i.position)
	return nil
}

// differs says in what a row and a record differ.
func differs(rec *segment.Record, r *fragmentRow) string {
	f := rec.Facts
	f.Tracks = nil
	switch {
	case rec.Fragment != r.Fragment:
		return fmt.Sprintf("%+v and %+v", r.Fragment, rec.Fragment)
	case rec.Timecode != r.timecode:
		return fmt.Sprintf("timecode %d and %d", r.timecode, rec.Timecode)
	case rec.Size() != r.length:
		return fmt.Sprintf("length %d and %d", r.length, rec.Size())
	case rec.Header != r.header:
		return fmt.Sprintf("header at %d and %d", r.header, rec.Header)
	case f.LiveSeq != r.facts.LiveSeq || f.Changes != r.facts.Changes || f.ServerGaps != r.facts.ServerGaps ||
		f.ProducerGaps != r.facts.ProducerGaps || f.Millis != r.facts.Millis:
		return fmt.Sprintf("%+v and %+v", r.facts, f)
	case string(appendTracks(nil, rec.Facts.Tracks)) != r.tracks:
		return "the tracks"
	}
	return ""
}

// appendTracks appends tracks as a row keeps them: numbers as unsigned varints, then the
// fingerprint.
func appendTracks(b []byte, tracks []segment.Track) []byte {
	for _, t := range tracks {
		for _, n := range []uint64{uint64(t.Number), uint64(t.Frames), uint64(t.Bytes)} {
			b = binary.AppendUvarint(b, n)
		}
		b = binary.LittleEndian.AppendUint64(b, t.Fingerprint)
	}
	return b
}
