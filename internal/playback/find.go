package playback

import (
	"context"
	"sort"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// Find returns the fragment that a DASH session calls number, from 1. It reports false when
// there is none.
func (b *Board) Find(ctx context.Context, s kvs.Stream, ses *Session, number int64) (Entry, bool, error) {
	return b.findNumber(ctx, ses, number, b.horizon(s))
}

func (b *Board) horizon(s kvs.Stream) kvs.Millis { return s.Horizon(kvs.MillisOf(b.o.Now())) }

func (b *Board) findNumber(ctx context.Context, ses *Session, number int64, horizon kvs.Millis) (Entry, bool, error) {
	if number < 1 {
		return Entry{}, false, nil
	}
	if ses.Mode == OnDemand {
		return b.findStatic(ctx, ses, horizon, number-1, func(e *Entry) int64 { return e.Number })
	}
	value := ses.Base.LiveSeq + number - 1
	return b.find(ctx, ses, horizon, archive.ByLiveSeq, value, func(f *archive.Stored) bool { return f.Facts.LiveSeq == value })
}

// FindSet returns the first fragment of a codec set that is still there: one to read the
// header from. It reports false when there is none.
func (b *Board) FindSet(ctx context.Context, s kvs.Stream, ses *Session, set int64) (Entry, bool, error) {
	return b.findSet(ctx, ses, set, b.horizon(s))
}

func (b *Board) findSet(ctx context.Context, ses *Session, set int64, horizon kvs.Millis) (Entry, bool, error) {
	if set < 0 {
		return Entry{}, false, nil
	}
	if ses.Mode == OnDemand {
		return b.findStatic(ctx, ses, horizon, set, func(e *Entry) int64 { return e.Set })
	}
	value := ses.Base.Changes + set
	return b.find(ctx, ses, horizon, archive.ByChanges, value, func(f *archive.Stored) bool { return int64(f.Facts.Changes) == value })
}

// findStatic returns the first entry of an ON_DEMAND list that comes to value. What is
// measured never falls in a list.
func (b *Board) findStatic(ctx context.Context, ses *Session, horizon kvs.Millis, value int64, measure func(*Entry) int64) (Entry, bool, error) {
	t, err := b.list(ctx, ses, horizon)
	if kvs.KindOf(err) == kvs.NotFound {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, err
	}
	i := sort.Search(len(t.Entries), func(i int) bool { return measure(&t.Entries[i]) >= value })
	if i == len(t.Entries) || measure(&t.Entries[i]) != value {
		return Entry{}, false, nil
	}
	return t.Entries[i], true, nil
}

// find returns the first fragment in live order that comes to value and that the session has.
func (b *Board) find(ctx context.Context, ses *Session, horizon kvs.Millis, by archive.Measure, value int64, fits func(*archive.Stored) bool) (Entry, bool, error) {
	f, ok, err := b.o.Archive.Seek(ctx, ses.Stream, by, value, horizon)
	if err == nil && ok && f.Facts.LiveSeq < ses.Base.LiveSeq { // its codec set is older than the session
		f, ok, err = b.o.Archive.Seek(ctx, ses.Stream, archive.ByLiveSeq, ses.Base.LiveSeq, horizon)
	}
	if err != nil || !ok || !fits(&f) {
		return Entry{}, false, err
	}
	if ok, err = b.gives(ctx, ses, &f, horizon); err != nil || !ok {
		return Entry{}, false, err
	}
	return moving([]archive.Stored{f}, ses).Entries[0], true, nil
}
