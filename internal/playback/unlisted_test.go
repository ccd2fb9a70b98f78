package playback

import (
	"context"
	"slices"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// sealed checks that what a session does not list cannot be had: one fragment of all that
// are stored is asked for by its number, and one number of the list and around it.
func (v *viewer) sealed(b *Board, list *Timeline) {
	all := v.h.rows.all()
	if len(all) == 0 || len(list.Entries) == 0 || v.h.failed {
		return
	}
	ses := v.ses
	if v.h.loose {
		ses.Range = kvs.TimeRange{End: NoEnd}
	}
	// The history's dice are not thrown: it goes on as without these questions.
	s := &all[int(v.h.now)%len(all)]
	got, ok, err := b.fragment(context.Background(), &ses, s.Number, v.h.horizon())
	if err != nil || ok && (got.Stored.Number != s.Number || !v.mayHave(s, list)) {
		v.fail("fragment %d is given (%v, %v)", s.Number.N, ok, err)
	}
	e := &list.Entries[int(v.h.now)%len(list.Entries)]
	if _, ok, err = b.fragment(context.Background(), &ses, e.Stored.Number, v.h.horizon()); err != nil || !ok {
		v.fail("fragment %d of the list is not given (%v)", e.Stored.Number.N, err)
	}
	number := list.First - 2 + int64(v.h.now)%int64(len(list.Entries)+12)
	got, ok, err = b.findNumber(context.Background(), &ses, number+1, v.h.horizon())
	if err != nil || ok && (number < 0 || got.Number != number && v.ses.Mode == OnDemand || !v.mayHave(&got.Stored, list)) {
		v.fail("number %d gives fragment %d (%v)", number+1, got.Stored.Number.N, err)
	}
	if was, known := v.told[number]; ok && known && was.n != got.Stored.Number.N && v.erasures == v.h.erasures {
		v.fail("number %d gives fragment %d; it was %d", number+1, got.Stored.Number.N, was.n)
	}
}

// mayHave says by what was asked for, and by the list that just came, whether a stored
// fragment belongs to the session.
func (v *viewer) mayHave(s *archive.Stored, list *Timeline) bool {
	inside := s.At(v.ses.Clock) >= v.ses.Range.Start && s.At(v.ses.Clock) <= v.ses.Range.End
	same := func(e Entry) bool {
		return e.Stored.Number == s.Number || v.ses.Clock == kvs.ProducerClock && e.Producer == s.Producer // its twin
	}
	switch v.ses.Mode {
	case OnDemand:
		return inside && slices.ContainsFunc(list.Entries, same)
	case Live:
		return s.Facts.LiveSeq > 0 && s.Facts.LiveSeq >= v.ses.Base.LiveSeq
	}
	if !inside || s.Facts.LiveSeq < v.ses.Base.LiveSeq || v.tooEarly(s) {
		return false
	}
	// In the last seconds of a session its list ends though more would follow.
	over := list.Ended && v.h.now < v.ses.Expires-60_000
	return !over || s.Facts.LiveSeq <= list.Entries[len(list.Entries)-1].Facts.LiveSeq
}

// tooEarly reports whether a fragment, and the end of one in front of it, are further away
// than a replay may be ahead of itself.
func (v *viewer) tooEarly(s *archive.Stored) bool {
	through := v.ses.Base.Millis + int64(v.h.now-v.ses.Created) + ahead
	if s.Facts.Millis-s.Duration <= through { // it overlaps the one in front of it
		return false
	}
	return slices.ContainsFunc(v.h.rows.all(), func(o archive.Stored) bool {
		return o.Number.Server >= v.h.horizon() && o.Facts.LiveSeq >= v.ses.Base.LiveSeq && o.Facts.LiveSeq < s.Facts.LiveSeq && o.Facts.Millis > through
	})
}
