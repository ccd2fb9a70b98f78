package playback

import (
	"context"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// maxSets is how many codec sets a session may have (spec: at most 500 changes of codec
// private data).
const maxSets = 500

// Find returns the fragment that a DASH session calls number, from 1. It reports false when
// there is none.
func (b *Board) Find(ctx context.Context, s kvs.Stream, ses *Session, number int64) (Entry, bool, error) {
	if number < 1 {
		return Entry{}, false, nil
	}
	if ses.Mode == OnDemand {
		return b.findStatic(ctx, s, ses, func(e *Entry) bool { return e.Number == number-1 })
	}
	value := ses.Base.LiveSeq + number - 1
	return b.find(ctx, s, ses, archive.ByLiveSeq, value, func(f *archive.Stored) bool { return f.Facts.LiveSeq == value })
}

// FindSet returns the first fragment of a codec set that is still there: one to read the
// header from. It reports false when there is none.
func (b *Board) FindSet(ctx context.Context, s kvs.Stream, ses *Session, set int64) (Entry, bool, error) {
	if set < 0 || set > maxSets {
		return Entry{}, false, nil
	}
	if ses.Mode == OnDemand {
		return b.findStatic(ctx, s, ses, func(e *Entry) bool { return e.Set == set })
	}
	value := ses.Base.Changes + set
	return b.find(ctx, s, ses, archive.ByChanges, value, func(f *archive.Stored) bool { return int64(f.Facts.Changes) == value })
}

func (b *Board) findStatic(ctx context.Context, s kvs.Stream, ses *Session, fits func(*Entry) bool) (Entry, bool, error) {
	t, err := b.static(ctx, ses, s.Horizon(kvs.MillisOf(b.o.Now())))
	if kvs.KindOf(err) == kvs.NotFound {
		return Entry{}, false, nil
	}
	if err != nil {
		return Entry{}, false, err
	}
	for i := range t.Entries {
		if fits(&t.Entries[i]) {
			return t.Entries[i], true, nil
		}
	}
	return Entry{}, false, nil
}

func (b *Board) find(ctx context.Context, s kvs.Stream, ses *Session, by archive.Measure, value int64, fits func(*archive.Stored) bool) (Entry, bool, error) {
	f, ok, err := b.o.Archive.Seek(ctx, ses.Stream, by, value, s.Horizon(kvs.MillisOf(b.o.Now())))
	if err != nil || !ok || !fits(&f) {
		return Entry{}, false, err
	}
	return moving([]archive.Stored{f}, ses).Entries[0], true, nil
}
