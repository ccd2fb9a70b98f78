package playback

import (
	"context"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// Fragment returns the fragment of a number, if it is one that the session lists, has
// listed or will list by the look of its row. It reports false for all others: of other
// streams, outside of the session's range, or gone. Only what segments need of the entry is
// filled in: the row and the start.
func (b *Board) Fragment(ctx context.Context, s kvs.Stream, ses *Session, n kvs.FragmentNumber) (Entry, bool, error) {
	rows, err := b.o.Archive.Span(ctx, ses.Stream, n.N, n.N, 1, s.Horizon(kvs.MillisOf(b.o.Now())))
	if err != nil || len(rows) == 0 || rows[0].Number != n || !ses.mayList(&rows[0]) {
		return Entry{}, false, err
	}
	return Entry{Stored: rows[0], Start: rows[0].At(ses.Clock)}, true, nil
}

// mayList reports whether a fragment is one of those that the session was begun for.
func (s *Session) mayList(f *archive.Stored) bool {
	at := f.At(s.Clock)
	switch inside := at >= s.Range.Start && at <= s.Range.End; s.Mode {
	case OnDemand:
		return inside && f.Number.N >= s.Base.First && f.Number.N <= s.Base.Last && settledBy(f, s.Created)
	case LiveReplay:
		return inside && f.Facts.LiveSeq >= max(1, s.Base.LiveSeq)
	}
	return f.Facts.LiveSeq >= max(1, s.Base.LiveSeq)
}
