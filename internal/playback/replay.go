package playback

import (
	"context"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// rangePage is how many rows of a range are read at once.
const rangePage = 5000

func (b *Board) beginReplay(ctx context.Context, want Session, horizon kvs.Millis) (Session, archive.Stored, error) {
	first, err := b.firstOf(ctx, &want, horizon)
	if err != nil {
		return want, archive.Stored{}, err
	}
	want.Base = baseOf(&first, want.Clock)
	want.Base.Listed = first.Duration
	return want, first, nil
}

// firstOf returns the first fragment in live order whose start lies in the range.
func (b *Board) firstOf(ctx context.Context, ses *Session, horizon kvs.Millis) (archive.Stored, error) {
	if ses.Clock == kvs.ServerClock {
		s, ok, err := b.o.Archive.Seek(ctx, ses.Stream, archive.ByServer, int64(ses.Range.Start), horizon)
		if err == nil && (!ok || s.Number.Server > ses.Range.End) {
			err = noFragments()
		}
		return s, err
	}
	for after, more := int64(0), true; more; {
		rows, again, err := b.o.Archive.Range(ctx, ses.Stream, ses.Clock, ses.Range, after, rangePage, horizon)
		if err != nil {
			return archive.Stored{}, err
		}
		for i := range rows {
			if after = rows[i].Number.N; rows[i].Facts.LiveSeq > 0 {
				return rows[i], nil
			}
		}
		more = again
	}
	return archive.Stored{}, noFragments()
}

// replay returns the window of a LIVE_REPLAY session: it ends with the fragment that the
// media that passed since the session began have come to.
func (b *Board) replay(ctx context.Context, ses *Session, now, horizon kvs.Millis) (w window, err error) {
	if w.longest, err = b.o.Archive.Longest(ctx, ses.Stream); err != nil {
		return w, err
	}
	passed := max(0, int64(now-ses.Created))
	last, ok, err := b.o.Archive.Seek(ctx, ses.Stream, archive.ByMillis, ses.Base.Millis+passed+1, horizon)
	if err != nil {
		return w, err
	}
	if w.end = last.Facts.LiveSeq; !ok {
		newest, err := b.o.Archive.Latest(ctx, ses.Stream, 0, 1, horizon)
		if err != nil || len(newest) == 0 {
			return w, err
		}
		last, w.end = newest[0], b.edge(&newest[0])
	}
	beyond, ok, err := b.beyond(ctx, ses, horizon)
	if err != nil {
		return w, err
	}
	if ok && beyond.Facts.LiveSeq <= w.end+1 {
		w.end, w.ended, last = beyond.Facts.LiveSeq-1, true, beyond
	}
	w.rows, err = b.o.Archive.Latest(ctx, ses.Stream, last.Number.N, ses.Max+1, horizon)
	return w, err
}

// beyond returns the first fragment behind the range.
func (b *Board) beyond(ctx context.Context, ses *Session, horizon kvs.Millis) (archive.Stored, bool, error) {
	if ses.Range.End == NoEnd {
		return archive.Stored{}, false, nil
	}
	return b.o.Archive.Seek(ctx, ses.Stream, archive.ByServer, int64(ses.Range.End)+1, horizon)
}
