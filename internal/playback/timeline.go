package playback

import (
	"slices"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/tally"
)

// Entry is a fragment in a list.
type Entry struct {
	archive.Stored
	Number int64      // media sequence number (RFC 8216 section 6.2.1), from 0; in DASH one more
	Breaks int        // how many EXT-X-DISCONTINUITY stand in front; none in front of the first
	Set    int64      // of codecs, from 0: SequenceNumber of EXT-X-MAP
	Start  kvs.Millis // on the session's clock

	// Begin is where it begins on the closed timeline, and Length how far it is from there
	// to the next, in milliseconds. Of the last one it is the duration.
	Begin, Length int64
}

// Margin is how far before the timeline of a DASH session its media times begin: sound, or a
// picture, may begin a little before its fragment does, also of the first one, and decode
// times are never negative.
const Margin kvs.Millis = 1000

// MediaBegin returns where the fragment begins in media times of a DASH session.
func (e *Entry) MediaBegin() kvs.Millis { return kvs.Millis(e.Begin) + Margin }

// Timeline is a list of fragments: all that a playlist says but for its text. It always
// has entries.
type Timeline struct {
	Entries []Entry
	First   int64 // media sequence number of the first entry
	Breaks  int64 // discontinuity sequence of the first entry (RFC 8216 section 4.3.3.3)
	Target  int64 // seconds, not less than any fragment's rounded to the nearest
	Ended   bool  // nothing will be added
	Static  bool  // made once: ON_DEMAND
}

// moving makes the timeline of rows that follow each other in live order.
func moving(rows []archive.Stored, s *Session) *Timeline {
	t := &Timeline{Entries: make([]Entry, len(rows))}
	breaks := int64(0)
	for i := range rows {
		f, e := &rows[i].Facts, &t.Entries[i]
		*e = Entry{
			Stored: rows[i],
			Number: f.LiveSeq - s.Base.LiveSeq,
			Set:    int64(f.Changes) - s.Base.Changes,
			Start:  rows[i].At(s.Clock),
			Begin:  f.Millis - rows[i].Duration - s.Base.Millis,
			Length: rows[i].Duration,
		}
		d := s.breaks(e.Number, e.Set, gapsOf(&rows[i], s.Clock)-s.Base.Gaps)
		if i == 0 {
			t.First, t.Breaks = e.Number, d
		} else {
			e.Breaks = int(d - breaks)
			t.Entries[i-1].Length = e.Begin - t.Entries[i-1].Begin
		}
		breaks = d
	}
	return t
}

// breaks returns how many discontinuities there are up to a fragment with these counts.
func (s *Session) breaks(number, changes, gaps int64) int64 {
	switch s.Discontinuity {
	case Always:
		return number
	case Never:
		return changes
	}
	return changes + gaps
}

func gapsOf(s *archive.Stored, c kvs.Clock) int64 {
	if c == kvs.ProducerClock {
		return int64(s.Facts.ProducerGaps)
	}
	return int64(s.Facts.ServerGaps)
}

// stride counts what lies between fragments of a static list.
type stride struct {
	number, changes, gaps, begin int64
}

// to returns the counts up to b, which follows a in the list.
func (p stride) to(a, b *archive.Stored, c kvs.Clock) stride {
	p.number++
	if !tally.Same(a.Facts.Tracks, b.Facts.Tracks) {
		p.changes++
	}
	if tally.Apart(&a.Fragment, &b.Fragment, c) {
		p.gaps++
	}
	p.begin += tally.Step(&a.Fragment, &b.Fragment)
	return p
}

// totals returns what a list has as a whole.
func totals(rows []archive.Stored, c kvs.Clock) (p stride) {
	for i := 1; i < len(rows); i++ {
		p = p.to(&rows[i-1], &rows[i], c)
	}
	return p
}

// static makes the timeline of an ON_DEMAND list. When its first fragments are gone since
// it was begun the others keep their numbers, since these are counted from the end.
func static(rows []archive.Stored, s *Session) *Timeline {
	if gone := len(rows) - int(s.Base.LiveSeq); gone > 0 {
		rows = rows[gone:] // more than there were: what came between goes for what came first
	}
	t := &Timeline{Entries: make([]Entry, len(rows)), Static: true, Ended: true}
	all := totals(rows, s.Clock)
	last := &rows[len(rows)-1]
	// What is erased within the list may leave more gaps than there were; no count that players
	// read is less than 0 (RFC 8216 section 4.3.3.3), and each still follows from the end alone.
	p := stride{
		number:  s.Base.LiveSeq - 1 - all.number,
		changes: max(0, s.Base.Changes-all.changes),
		gaps:    s.Base.Gaps - all.gaps,
		begin:   s.Base.Millis - last.Duration - all.begin,
	}
	breaks := int64(0)
	for i := range rows {
		if i > 0 {
			p = p.to(&rows[i-1], &rows[i], s.Clock)
		}
		e := &t.Entries[i]
		*e = Entry{Stored: rows[i], Number: p.number, Set: p.changes, Start: rows[i].At(s.Clock), Begin: max(0, p.begin), Length: rows[i].Duration}
		if i > 0 {
			t.Entries[i-1].Length = e.Begin - t.Entries[i-1].Begin
		}
		d := s.breaks(p.number, p.changes, max(0, p.gaps))
		if i == 0 {
			t.First, t.Breaks = p.number, d
		} else {
			e.Breaks = int(d - breaks)
		}
		breaks = d
	}
	return t
}

// behind returns the timeline without its first k entries, and does not change it.
func (t *Timeline) behind(k int) *Timeline {
	short := *t
	short.Entries = slices.Clone(t.Entries[k:])
	for i := range k {
		short.Breaks += int64(t.Entries[i+1].Breaks)
	}
	short.First, short.Entries[0].Breaks = short.Entries[0].Number, 0
	return &short
}

// Until returns the list as it is when it ends with its first k entries, and does not change it.
func (t *Timeline) Until(k int) *Timeline {
	short := *t
	short.Entries = slices.Clone(t.Entries[:k])
	last := &short.Entries[k-1]
	last.Length, short.Ended = last.Duration, true
	return &short
}

// reach is how much longer than its fragment a segment of a list that was made once may be
// said to last, in milliseconds: a longer pause before the next one is a gap.
const reach = 50

// Lasts returns how long a playlist says that a segment lasts (EXTINF, RFC 8216 section
// 4.3.2.1), in milliseconds. Lists that move say the fragment's duration whatever follows,
// since a segment must not last longer in the next list; it counts sound that reaches over
// the next one's beginning. In a list that was made once that would add up to minutes: there it is how
// far away the next fragment begins, where that is no gap.
func (t *Timeline) Lasts(i int) int64 {
	e := &t.Entries[i]
	if !t.Static || e.Length > e.Duration+reach {
		return e.Duration
	}
	return max(1, e.Length)
}

// target returns EXT-X-TARGETDURATION of a list in a stream whose longest fragment lasts so
// many milliseconds: no segment's duration may be more once it is rounded to the nearest
// second (RFC 8216 section 4.3.3.1). Players stay multiples of it behind the end of the list,
// so that a second more for sound that reaches over the end would be seconds of delay.
func (t *Timeline) target(longest int64) int64 {
	if t.Static { // which of them stands before a pause is not known any more when it is gone
		longest += reach
	}
	for i := range t.Entries {
		longest = max(longest, t.Lasts(i))
	}
	return max(1, (longest+500)/1000)
}

// trim returns what a live list shows of rows, which are in live order, when it ends with
// the fragment of a LiveSeq: at most s.Max of them, the last ones, behind the last hole and
// behind the last fragment that has a twin on the producer's clock. When the one at the end
// is gone it shows nothing. As end, horizon and what is removed only go forward, so does the first fragment.
func trim(rows []archive.Stored, s *Session, end int64, horizon kvs.Millis) []archive.Stored {
	k := len(rows)
	for k > 0 && rows[k-1].Facts.LiveSeq > end {
		k--
	}
	rows = rows[:k]
	if k == 0 || rows[k-1].Facts.LiveSeq < end {
		return nil // what is gone from the end may have been behind a hole, or a twin
	}
	var seen twins
	if s.Clock == kvs.ProducerClock {
		seen = make(twins, min(k, s.Max))
	}
	first := max(end-int64(s.Max)+1, s.Base.LiveSeq)
	for k > 0 {
		f := &rows[k-1]
		hole := k < len(rows) && f.Facts.LiveSeq+1 != rows[k].Facts.LiveSeq
		if hole || f.Facts.LiveSeq < first || f.Number.Server < horizon || seen.has(f) {
			break
		}
		k--
	}
	return rows[k:]
}

// twins are the producer timestamps of the rows behind; nil looks for none.
type twins map[kvs.Millis]struct{}

// has reports whether a later row has the producer timestamp of this one, and adds it.
func (t twins) has(f *archive.Stored) bool {
	if t == nil {
		return false
	}
	_, twin := t[f.Producer]
	t[f.Producer] = struct{}{}
	return twin
}
