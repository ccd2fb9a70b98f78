package playback

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/tally"
)

// table is an archive of one stream that keeps rows in memory. Each answer is a look at all
// of them; the counts are those of the real tally.
type table struct {
	rows    []archive.Stored // by number
	sums    *tally.Stream
	changed uint64
	removed uint64
	top     int64 // greatest counter that was removed
	longest int64
	noTop   bool // a mutation: nothing is known of what was removed

	near  bool  // a mutation: counts that begin anew go on one LiveSeq further
	last  int64 // LiveSeq
	shift int64 // of those since the start
}

func newTable() *table { return &table{sums: &tally.Stream{}, top: math.MinInt64} }

// store stores a fragment and returns its row.
func (a *table) store(f kvs.Fragment, tracks []segment.Track) archive.Stored {
	s := archive.Stored{Fragment: f, Facts: a.sums.Place(f, tracks)}
	s.Facts.Tracks = tracks
	if a.near && s.Facts.LiveSeq > 0 {
		s.Facts.LiveSeq = a.nearer(s.Facts.LiveSeq)
	}
	a.sums.Stored()
	i, _ := slices.BinarySearchFunc(a.rows, f.Number.N, func(s archive.Stored, n int64) int { return cmp.Compare(s.Number.N, n) })
	a.rows = slices.Insert(a.rows, i, s)
	a.longest = max(a.longest, f.Duration)
	a.changed++
	return s
}

// nearer returns what comes behind the last LiveSeq when counts began anew, and seq else.
func (a *table) nearer(seq int64) int64 {
	if a.last > 0 && seq-a.shift > a.last+tally.Beginnings {
		a.shift = seq - a.last - 1
	}
	a.last = seq - a.shift
	return a.last
}

// lose takes a place for a fragment that is not stored then.
func (a *table) lose(f kvs.Fragment, tracks []segment.Track) {
	a.sums.Place(f, tracks)
	a.sums.Lost()
}

func (a *table) expire(horizon kvs.Millis) {
	a.remove(func(s *archive.Stored) bool { return s.Number.Server < horizon })
}

func (a *table) erase(e archive.Erasure) {
	a.remove(func(s *archive.Stored) bool { return e.Covers(&s.Fragment) })
}

func (a *table) remove(gone func(*archive.Stored) bool) {
	a.rows = slices.DeleteFunc(a.rows, func(s archive.Stored) bool {
		if gone(&s) {
			a.top = max(a.top, s.Number.N)
			return true
		}
		return false
	})
	a.removed++
	if a.changed++; len(a.rows) == 0 {
		a.longest = 0
	}
}

// restart forgets what is not in the rows.
func (a *table) restart() (changed bool) {
	a.sums, a.shift = tally.Begin(a.top), 0
	if len(a.rows) == 0 {
		return false
	}
	greatest := a.rows[len(a.rows)-1].Number.N
	for i := len(a.rows) - 1; i >= 0; i-- {
		if s := &a.rows[i]; s.Facts.LiveSeq > 0 {
			a.sums = tally.Resume(s.Fragment, s.Facts, greatest, a.top)
			return false
		}
	}
	a.sums = tally.Resume(a.rows[len(a.rows)-1].Fragment, segment.Facts{}, greatest, a.top)
	return false
}

func (a *table) Changed(kvs.StreamID) uint64 { return a.changed }

func (a *table) Removed(kvs.StreamID) uint64 { return a.removed }

func (a *table) Top(kvs.StreamID) int64 {
	if a.noTop {
		return math.MinInt64
	}
	return a.top
}

func (a *table) Longest(context.Context, kvs.StreamID) (int64, error) { return a.longest, nil }

func (a *table) Latest(_ context.Context, _ kvs.StreamID, through int64, maximum int, horizon kvs.Millis) ([]archive.Stored, error) {
	if through == 0 {
		through = math.MaxInt64
	}
	var all []archive.Stored
	for i := len(a.rows) - 1; i >= 0 && len(all) < maximum; i-- {
		if s := &a.rows[i]; s.Facts.LiveSeq > 0 && s.Number.N <= through && s.Number.Server >= horizon {
			all = append(all, *s)
		}
	}
	slices.Reverse(all)
	return all, nil
}

func (a *table) Seek(_ context.Context, _ kvs.StreamID, by archive.Measure, value int64, horizon kvs.Millis) (archive.Stored, bool, error) {
	for i := range a.rows {
		s := &a.rows[i]
		if s.Facts.LiveSeq > 0 && s.Number.Server >= horizon && measure(s, by) >= value {
			return *s, true, nil
		}
	}
	return archive.Stored{}, false, nil
}

func measure(s *archive.Stored, by archive.Measure) int64 {
	switch by {
	case archive.ByChanges:
		return int64(s.Facts.Changes)
	case archive.ByMillis:
		return s.Facts.Millis
	case archive.ByServer:
		return int64(s.Number.Server)
	}
	return s.Facts.LiveSeq
}

func (a *table) Span(_ context.Context, _ kvs.StreamID, first, last int64, maximum int, horizon kvs.Millis) ([]archive.Stored, error) {
	var all []archive.Stored
	for i := range a.rows {
		if s := &a.rows[i]; s.Number.N >= first && s.Number.N <= last && s.Number.Server >= horizon && len(all) < maximum {
			all = append(all, *s)
		}
	}
	return all, nil
}

func (a *table) Range(_ context.Context, _ kvs.StreamID, c kvs.Clock, r kvs.TimeRange, after int64, maximum int, horizon kvs.Millis) (all []archive.Stored, more bool, err error) {
	for i := range a.rows {
		s := &a.rows[i]
		in := s.At(c) >= r.Start && s.At(c) <= r.End
		switch {
		case s.Number.Server < horizon || s.Number.N <= after || !in && after == 0 && len(all) == 0:
		case !in:
			return all, false, nil
		case len(all) == maximum:
			return all, true, nil
		default:
			all = append(all, *s)
		}
	}
	return all, false, nil
}
