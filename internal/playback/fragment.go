package playback

import (
	"context"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// Fragment returns the fragment of a number, if it is one that the session lists, has
// listed or will list. It reports false for all others: of other
// streams, outside of the session's range, or gone. Only what segments need of the entry is
// filled in: the row and the start.
func (b *Board) Fragment(ctx context.Context, s kvs.Stream, ses *Session, n kvs.FragmentNumber) (Entry, bool, error) {
	return b.fragment(ctx, ses, n, b.horizon(s))
}

func (b *Board) fragment(ctx context.Context, ses *Session, n kvs.FragmentNumber, horizon kvs.Millis) (Entry, bool, error) {
	rows, err := b.o.Archive.Span(ctx, ses.Stream, n.N, n.N, 1, horizon)
	if err != nil || len(rows) == 0 || rows[0].Number != n {
		return Entry{}, false, err
	}
	if ok, err := b.gives(ctx, ses, &rows[0], horizon); err != nil || !ok {
		return Entry{}, false, err
	}
	return Entry{Stored: rows[0], Start: rows[0].At(ses.Clock)}, true, nil
}

// gives reports whether a session may have a fragment: one that it lists, has listed or will
// list, of LIVE_REPLAY soon. What HLS asks for by the fragment's number and DASH by one of the list is
// decided here alike.
func (b *Board) gives(ctx context.Context, ses *Session, f *archive.Stored, horizon kvs.Millis) (bool, error) {
	if !ses.mayList(f) || ses.Mode != LiveReplay {
		return ses.mayList(f), nil
	}
	if early, err := b.early(ctx, ses, f, horizon); err != nil || early || ses.Clock != kvs.ProducerClock {
		return err == nil && !early, err
	}
	beyond, over, err := b.another(ctx, ses, f.Facts.LiveSeq-1, horizon)
	return err == nil && (!over || f.Facts.LiveSeq < beyond.Facts.LiveSeq), err
}

// ahead is how many milliseconds before a fragment of LIVE_REPLAY is listed it is given, as
// the clocks of servers differ.
const ahead = 10_000

// early reports whether LIVE_REPLAY will not list a fragment soon. It bounds how far a
// collection is followed, too: not further than the session has lasted.
func (b *Board) early(ctx context.Context, ses *Session, f *archive.Stored, horizon kvs.Millis) (bool, error) {
	through := ses.Base.Millis + max(0, int64(kvs.MillisOf(b.o.Now())-ses.Created)) + ahead
	if f.Facts.Millis-f.Duration <= through {
		return false, nil
	}
	// Where fragments are gone the next one is listed, however long they were.
	last, ok, err := b.o.Archive.Seek(ctx, ses.Stream, archive.ByMillis, through+1, horizon)
	return ok && last.Facts.LiveSeq < f.Facts.LiveSeq, err
}

// mayList reports whether a fragment is one of those that the session was begun for, by its
// row alone. On the producer's clock a later collection of the same times passes, which
// [Board.gives] looks at; of an ON_DEMAND list so does the twin that it leaves out: its start is in the
// range, too.
func (s *Session) mayList(f *archive.Stored) bool {
	at := f.At(s.Clock)
	inside := at >= s.Range.Start && at <= s.Range.End
	if s.Mode == OnDemand {
		return inside && f.Number.N >= s.Base.First && f.Number.N <= s.Base.Last && settledBy(f, s.Created)
	}
	return (inside || s.Mode == Live) && f.Facts.LiveSeq >= max(1, s.Base.LiveSeq) && !anew(f, s)
}
