package playback

import (
	"context"
	"math"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// Selection says what a clip shows.
type Selection struct {
	Clock kvs.Clock
	Range kvs.TimeRange // of fragments' starts, both ends inclusive
	Max   int           // at most so many fragments; 0 = all
	Exact bool          // begin in the middle of a fragment if Range does
}

// MaxSelected bounds the rows of a clip, which are in memory while it is sent: some
// 75 MB, nearly three days of fragments of a second.
const MaxSelected = 250_000

// Select returns the fragments of a clip: those that an ON_DEMAND session would list. An
// exact one may begin with the fragment before them; skip says how many milliseconds of it
// lie before the range. The error has the kind NoRetention for a stream that stores
// nothing, NotFound when there is nothing in the range, and InvalidArgument when there are
// more than 250,000 fragments and no Max.
func (b *Board) Select(ctx context.Context, s kvs.Stream, want Selection) (rows []archive.Stored, skip int64, err error) {
	if s.Retention == 0 {
		return nil, 0, NoRetention(&s)
	}
	now := kvs.MillisOf(b.o.Now())
	most := want.Max
	if most == 0 {
		most = MaxSelected + 1
	}
	ses := Session{Stream: s.ID, Mode: OnDemand, Clock: want.Clock, Range: want.Range, Created: now}
	ses.Range.Start = max(0, ses.Range.Start)
	horizon := s.Horizon(now)
	if rows, _, err = b.oldest(ctx, &ses, most, horizon); err != nil {
		return nil, 0, err
	}
	if len(rows) > MaxSelected {
		return nil, 0, kvs.Errorf(kvs.InvalidArgument, "A clip has at most %d fragments; ask for a shorter range, this one has more.", MaxSelected)
	}
	if want.Exact {
		if rows, skip, err = b.open(ctx, &ses, rows, horizon); err != nil {
			return nil, 0, err
		}
		rows = rows[:min(len(rows), most)]
	}
	if len(rows) == 0 {
		return nil, 0, noFragments()
	}
	return rows, skip, nil
}

// open puts the fragment that reaches over the start of the range in front of rows, and
// returns how far it does.
func (b *Board) open(ctx context.Context, ses *Session, rows []archive.Stored, horizon kvs.Millis) ([]archive.Stored, int64, error) {
	start := ses.Range.Start
	if len(rows) > 0 && rows[0].At(ses.Clock) == start {
		return rows, 0, nil
	}
	longest, err := b.o.Archive.Longest(ctx, ses.Stream)
	if err != nil || longest == 0 || start == 0 {
		return rows, 0, err
	}
	before := *ses
	before.Range = kvs.TimeRange{Start: max(0, start-kvs.Millis(longest)), End: start - 1}
	list, _, err := b.oldest(ctx, &before, math.MaxInt32, horizon)
	for i := len(list) - 1; i >= 0; i-- {
		f := &list[i]
		at := f.At(ses.Clock)
		if at+kvs.Millis(f.Duration) > start && (len(rows) == 0 || f.Number.N < rows[0].Number.N) {
			return append([]archive.Stored{*f}, rows...), int64(start - at), nil
		}
	}
	return rows, 0, err
}
