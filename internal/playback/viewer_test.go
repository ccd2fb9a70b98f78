package playback

import (
	"context"
	"slices"

	"github.com/millrace/millrace/internal/kvs"
)

// told is what a player was told of a fragment.
type told struct {
	n, duration, disc, set, begin int64
}

// viewer is a player that remembers all it was told.
type viewer struct {
	h        *history
	name     int
	token    []byte
	ses      Session
	told     map[int64]told // by media sequence number
	greatest int64          // number that was listed
	lists    int
	last     *Timeline
	ended    bool
	emptied  int // of the history, when the last list came
	anew     int // of the history, when the session began
	erasures int
}

// visit begins a session.
func (h *history) visit() {
	want := Session{
		Stream: 1, Kind: Protocol(h.r.IntN(2)), Mode: Mode(h.r.IntN(3)), Clock: kvs.Clock(h.r.IntN(2)), Discontinuity: Discontinuity(h.r.IntN(3)),
		Max: 1 + h.r.IntN(12), Created: h.now, Expires: h.now + 300_000,
	}
	if h.in(4) {
		want.Expires = h.now + 1 + kvs.Millis(h.r.Int64N(100_000))
	}
	if all := h.rows.all(); want.Mode != Live && len(all) > 0 {
		s := &all[h.r.IntN(len(all))]
		want.Range.Start = s.At(want.Clock) - kvs.Millis(h.r.Int64N(3000))
		want.Range.End = want.Range.Start + kvs.Millis(1+h.r.Int64N(60_000))
		if want.Mode == OnDemand && want.Clock == kvs.ServerClock {
			want.Range.End = max(want.Range.Start+1, min(want.Range.End, h.now-1)) // it must lie in the past
		}
		if want.Mode == LiveReplay && h.in(3) {
			want.Range.End = NoEnd
		}
	}
	if h.hasty && want.Mode == OnDemand {
		want.Created, want.Expires = want.Created+straggle, want.Expires+straggle
	}
	ses, first, err := h.boards[h.r.IntN(2)].begin(context.Background(), want, h.horizon())
	if kvs.KindOf(err) == kvs.NotFound {
		return
	}
	if err != nil {
		panic(err)
	}
	v := &viewer{h: h, name: len(h.viewers), ses: ses, token: ses.AppendBinary(nil), told: map[int64]told{}, greatest: -1,
		emptied: h.emptied, anew: h.anew, erasures: h.erasures}
	h.viewers = append(h.viewers, v)
	h.note("viewer %d begins: kind %d, mode %d, %s clock, discontinuity %d, max %d, range %d to %d, expires %d, base %+v", v.name, ses.Kind, ses.Mode,
		ses.Clock, ses.Discontinuity, ses.Max, ses.Range.Start-epoch, ses.Range.End-epoch, ses.Expires-epoch, ses.Base)
	v.reload()
	v.whole(want)
	if ses.Mode == LiveReplay && ses.Max == 1 && first.Duration == 0 {
		return // it is over at once
	}
	if v.last == nil || v.last.Entries[0].Number != 0 || v.last.Entries[0].Stored.Number != first.Number {
		v.fail("the first list does not begin with number 0 and fragment %d", first.Number.N)
	}
}

// whole checks that an ON_DEMAND list is the beginning of the one that has no maximum.
func (v *viewer) whole(want Session) {
	if v.ses.Mode != OnDemand || v.last == nil {
		return
	}
	want.Max = 5000
	all, _, err := NewBoard(BoardOptions{Archive: v.h.rows}).begin(context.Background(), want, v.h.horizon())
	if err != nil {
		panic(err)
	}
	list, err := NewBoard(BoardOptions{Archive: v.h.rows}).timeline(context.Background(), &all, v.h.now, v.h.horizon())
	if err != nil {
		panic(err)
	}
	first, got := numbersOf(list.Entries), numbersOf(v.last.Entries)
	if first = first[:min(len(first), v.ses.Max)]; !slices.Equal(first, got) {
		v.fail("fragments %v are listed, not %v", got, first)
	}
}

func (v *viewer) fail(format string, args ...any) {
	v.h.failed = true
	v.h.note("viewer %d: WRONG: "+format, append([]any{v.name}, args...)...)
}

// reload asks one of the boards for the list and compares it with all that was told before.
func (v *viewer) reload() {
	h := v.h
	if h.now >= v.ses.Expires {
		return
	}
	ses, err := ParseSession(v.token)
	if err != nil {
		panic(err)
	}
	b := h.boards[h.r.IntN(2)]
	list, err := b.timeline(context.Background(), &ses, h.now, h.horizon())
	if kvs.KindOf(err) == kvs.NotFound {
		v.missing()
		return
	}
	if err != nil {
		panic(err)
	}
	v.lists++
	if v.over() {
		v.fail("counts began anew, and the session goes on")
	}
	v.sound(list)
	v.consistent(list)
	v.complete(list)
	v.findable(b, list)
	v.sealed(b, list)
	v.remembered(&ses, list)
	v.last, v.ended, v.emptied = list, list.Ended, h.emptied
	if h.failed {
		for _, e := range list.Entries {
			h.note("   %d: fragment %d, breaks %d, set %d, begin %d, length %d", e.Number, e.Stored.Number.N, e.Breaks, e.Set, e.Begin, e.Length)
		}
		h.note("   first %d, breaks %d, target %d, ended %v", list.First, list.Breaks, list.Target, list.Ended)
	}
}

// sound checks what is true of any list.
func (v *viewer) sound(list *Timeline) {
	if len(list.Entries) == 0 || len(list.Entries) > v.ses.Max || list.First != list.Entries[0].Number || list.Entries[0].Breaks != 0 || list.Breaks < 0 {
		v.fail("%d entries from %d, breaks %d", len(list.Entries), list.First, list.Breaks)
		return
	}
	for i := range list.Entries {
		e := &list.Entries[i]
		if e.Number != list.First+int64(i) || list.Lasts(i) >= list.Target*1000+500 || e.Number < 0 || e.Set < 0 || e.Breaks < 0 || e.Begin < 0 {
			v.fail("entry %d has number %d, duration %d, set %d, breaks %d; target %d", i, e.Number, e.Duration, e.Set, e.Breaks, list.Target)
		}
		if e.Start != e.At(v.ses.Clock) || v.ses.Mode != Live && e.Start < v.ses.Range.Start && i == 0 || v.ses.Mode == OnDemand && e.Start > v.ses.Range.End {
			v.fail("entry %d begins at %d", i, e.Start-epoch)
		}
		if v.ses.Mode == LiveReplay && e.Begin > int64(v.h.now-v.ses.Created)+gapMillis && i > 0 {
			v.fail("number %d is listed %d ms too early", e.Number, e.Begin-int64(v.h.now-v.ses.Created))
		}
		if i+1 < len(list.Entries) && (e.Length < 0 || e.Begin+e.Length != list.Entries[i+1].Begin) {
			v.fail("number %d begins at %d, lasts %d, and the next begins at %d", e.Number, e.Begin, e.Length, list.Entries[i+1].Begin)
		}
		if v.ses.Clock == kvs.ProducerClock && hasTwinIn(list.Entries[i:]) {
			v.fail("number %d has a twin", e.Number)
		}
	}
}

// gapMillis is how far behind the end of a fragment the next one may begin on the timeline.
const gapMillis = 50

func hasTwinIn(entries []Entry) bool {
	for i := 1; i < len(entries); i++ {
		if entries[i].Producer == entries[0].Producer {
			return true
		}
	}
	return false
}

// consistent checks what RFC 8216 asks of two lists of a session.
func (v *viewer) consistent(list *Timeline) {
	if v.ses.Mode == OnDemand && v.erasures != v.h.erasures {
		return // what lies in front of an erased fragment has other numbers
	}
	if p := v.last; p != nil {
		if list.First < p.First || list.Breaks < p.Breaks || list.Target < p.Target && v.emptied == v.h.emptied {
			v.fail("from %d, breaks %d, target %d; it was %d, %d, %d", list.First, list.Breaks, list.Target, p.First, p.Breaks, p.Target)
		}
		if v.ended && !list.Ended && !v.forgetful() {
			v.fail("the list had ended")
		}
		if v.ses.Mode == OnDemand && list.First == p.First {
			if !slices.EqualFunc(p.Entries, list.Entries, alike) {
				v.fail("%d entries are not what they were", len(list.Entries))
			}
		}
	}
	disc, greatest := list.Breaks, v.greatest
	for i := range list.Entries {
		e := &list.Entries[i]
		disc += int64(e.Breaks)
		got := told{e.Stored.Number.N, list.Lasts(i), disc, e.Set, e.Begin}
		was, known := v.told[e.Number]
		if known && was != got {
			v.fail("number %d is %+v; it was %+v", e.Number, got, was)
		}
		if !known && e.Number <= greatest {
			v.fail("number %d came after %d", e.Number, greatest)
		}
		v.told[e.Number] = got
		v.greatest = max(v.greatest, e.Number)
	}
}

func alike(a, b Entry) bool {
	return a.Stored.Number == b.Stored.Number && a.Number == b.Number && a.Breaks == b.Breaks && a.Set == b.Set && a.Begin == b.Begin && a.Length == b.Length
}

// forgetful reports whether the end of a list may be forgotten: what it followed from is gone.
func (v *viewer) forgetful() bool {
	if v.ses.Mode != LiveReplay || v.erasures != v.h.erasures {
		return v.ses.Mode == LiveReplay
	}
	all := v.h.rows.all()
	gone := len(all) == 0 || all[0].Number.N > v.ses.Base.First || all[0].Number.Server < v.h.horizon()
	return gone && v.ses.Clock == kvs.ProducerClock
}

// over reports whether the session has ended because the server knows nothing any more of what was
// listed.
func (v *viewer) over() bool { return v.ses.Mode != OnDemand && v.anew != v.h.anew }

// expected returns the fragments that a LIVE session on the server's clock lists.
func (v *viewer) expected() (want []int64) {
	if v.over() {
		return nil
	}
	next := int64(0)
	all := v.h.rows.all()
	for i := len(all) - 1; i >= 0 && len(want) < v.ses.Max; i-- {
		s := &all[i]
		if s.Facts.LiveSeq == 0 {
			continue
		}
		if s.Number.Server < v.h.horizon() || s.Facts.LiveSeq < v.ses.Base.LiveSeq || next > 0 && s.Facts.LiveSeq != next-1 {
			break
		}
		next = s.Facts.LiveSeq
		want = append(want, s.Number.N)
	}
	slices.Reverse(want)
	return want
}

// plain reports whether it is simple to say what the session must list.
func (v *viewer) plain() bool {
	return v.ses.Mode == Live && v.ses.Clock == kvs.ServerClock && v.h.erasures == 0
}

// complete checks that nothing is left out that should be there.
func (v *viewer) complete(list *Timeline) {
	if !v.plain() {
		return
	}
	var got []int64
	for i := range list.Entries {
		got = append(got, list.Entries[i].Stored.Number.N)
	}
	if want := v.expected(); !slices.Equal(want, got) {
		v.fail("fragments %v are listed, not %v", got, want)
	}
}

// missing is called when there is no list.
func (v *viewer) missing() {
	if v.plain() && len(v.expected()) > 0 {
		v.fail("there is no list")
	}
	v.h.note("viewer %d finds nothing", v.name)
}

// findable checks that a fragment of the list is found by its number and by its codec set.
func (v *viewer) findable(b *Board, list *Timeline) {
	if len(list.Entries) == 0 {
		return
	}
	e := &list.Entries[v.h.r.IntN(len(list.Entries))]
	got, ok, err := b.findNumber(context.Background(), &v.ses, e.Number+1, v.h.horizon())
	if err != nil || !ok || got.Stored.Number != e.Stored.Number || got.Begin != e.Begin || got.Set != e.Set {
		v.fail("number %d is found as fragment %d, which begins at %d (%v, %v)", e.Number+1, got.Stored.Number.N, got.Begin, ok, err)
	}
	got, ok, err = b.findSet(context.Background(), &v.ses, e.Set, v.h.horizon())
	if err != nil || !ok || got.Set != e.Set || got.Facts.Tracks[0].Fingerprint != e.Facts.Tracks[0].Fingerprint {
		v.fail("set %d of number %d is found in fragment %d as %d (%v, %v)", e.Set, e.Number, got.Stored.Number.N, got.Set, ok, err)
	}
}

// remembered checks that a list is as one that is read now.
func (v *viewer) remembered(ses *Session, list *Timeline) {
	if ses.Mode != OnDemand {
		return
	}
	fresh, err := NewBoard(BoardOptions{Archive: v.h.rows}).timeline(context.Background(), ses, v.h.now, v.h.horizon())
	if err != nil || fresh.First != list.First || fresh.Breaks != list.Breaks || fresh.Target != list.Target || !slices.EqualFunc(fresh.Entries, list.Entries, alike) {
		v.fail("the list is not as it would be read now: %+v (%v)", fresh, err)
	}
}
