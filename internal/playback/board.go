package playback

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/tally"
)

// Rows is what a Board reads: rows of the archive's index, never media. Its methods hide
// fragments whose server timestamp is older than the horizon; *archive.Archive says what
// each does.
type Rows interface {
	Changed(id kvs.StreamID) uint64
	Removed(id kvs.StreamID) uint64
	Top(id kvs.StreamID) int64
	Longest(ctx context.Context, id kvs.StreamID) (int64, error)
	Latest(ctx context.Context, id kvs.StreamID, through int64, maximum int, horizon kvs.Millis) ([]archive.Stored, error)
	Seek(ctx context.Context, id kvs.StreamID, by archive.Measure, value int64, horizon kvs.Millis) (archive.Stored, bool, error)
	Span(ctx context.Context, id kvs.StreamID, first, last int64, maximum int, horizon kvs.Millis) ([]archive.Stored, error)
	Range(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange, after int64, maximum int, horizon kvs.Millis) ([]archive.Stored, bool, error)
}

// BoardOptions are what a Board is made of.
type BoardOptions struct {
	Archive Rows
	Now     func() time.Time // nil = time.Now

	// LivePause is how old the newest fragment may be when a LIVE session begins, and when it
	// goes on if it breaks at pauses; 0 = of any age. nil = 30 s for all streams.
	LivePause func(id kvs.StreamID) time.Duration
}

// Board lists the fragments of sessions: what is written on it is what players may take.
// It keeps nothing of a session, only rows that were read before, so that any board over
// the same archive gives the same lists. All methods may be called from any number of
// goroutines.
type Board struct {
	o           BoardOptions
	windows     memory[windowKey, window]
	collections memory[collectionKey, run]
	longests    memory[kvs.StreamID, longest]
	lists       memory[listKey, staticList]
}

// NewBoard makes a Board.
func NewBoard(o BoardOptions) *Board {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LivePause == nil {
		o.LivePause = func(kvs.StreamID) time.Duration { return livePause }
	}
	return &Board{
		o:           o,
		windows:     newMemory[windowKey, window](rememberedRows),
		collections: newMemory[collectionKey, run](rememberedStreams),
		longests:    newMemory[kvs.StreamID, longest](rememberedStreams),
		lists:       newMemory[listKey, staticList](rememberedLists),
	}
}

const (
	rememberedRows    = 65536 // some 20 MB
	rememberedStreams = 4096
	rememberedLists   = 32 << 20 // bytes: some 100 lists of 1,000 fragments
)

// longest is how long the longest fragment of a stream was when its rows had changed so
// often.
type longest struct {
	changed uint64
	ms      int64
}

// longest returns the milliseconds of the stream's longest fragment.
func (b *Board) longest(ctx context.Context, id kvs.StreamID) (int64, error) {
	m, err := b.longests.open(ctx, id, 1)
	if err != nil {
		return 0, err
	}
	defer m.close()
	changed := b.o.Archive.Changed(id)
	if m.known && m.value.changed == changed {
		return m.value.ms, nil
	}
	ms, err := b.o.Archive.Longest(ctx, id)
	if err == nil {
		m.value, m.known = longest{changed, ms}, true
	}
	return ms, err
}

// livePause is how long a producer may pause until there is nothing to begin a LIVE session
// with (spec: fragments in the last 30 seconds).
const livePause = 30 * time.Second

// noFragments is what the service says when a list would be empty.
func noFragments() error {
	return kvs.Errorf(kvs.NotFound, "No fragments found in the stream for the streaming request.")
}

// NoRetention says that a stream stores nothing: its kind is that of the same name.
func NoRetention(s *kvs.Stream) error {
	return kvs.Errorf(kvs.NoRetention, "Stream %s has a data retention of 0 hours, so none of its fragments is stored, and playback reads stored fragments: "+
		"set a retention with UpdateDataRetention.", s.Name)
}

// Begin begins a session: it fills the base of what is wanted, and returns the first
// fragment of its list. It fails with kind NoRetention for a stream that stores nothing and
// with NotFound when there is nothing to list.
func (b *Board) Begin(ctx context.Context, s kvs.Stream, want Session) (Session, archive.Stored, error) {
	if s.Retention == 0 {
		return want, archive.Stored{}, NoRetention(&s)
	}
	want.Stream, want.StreamCreated, want.Base = s.ID, s.Created, Base{}
	want.Range.Start = max(0, want.Range.Start)
	return b.begin(ctx, want, s.Horizon(want.Created))
}

func (b *Board) begin(ctx context.Context, want Session, horizon kvs.Millis) (Session, archive.Stored, error) {
	switch want.Mode {
	case OnDemand:
		return b.beginStatic(ctx, want, horizon)
	case LiveReplay:
		return b.beginReplay(ctx, want, horizon)
	}
	return b.beginLive(ctx, want, horizon)
}

func (b *Board) beginLive(ctx context.Context, want Session, horizon kvs.Millis) (Session, archive.Stored, error) {
	w, err := b.newest(ctx, &want, horizon)
	if err != nil {
		return want, archive.Stored{}, err
	}
	rows := trim(w.rows, &want, w.end, horizon)
	if len(rows) == 0 || b.paused(rows, want.Created) {
		return want, archive.Stored{}, noFragments()
	}
	last := &rows[len(rows)-1]
	want.Base = baseOf(&rows[0], want.Clock)
	want.Base.Listed = last.Facts.Millis - want.Base.Millis
	return want, rows[0], nil
}

// paused reports whether the newest fragment ended longer ago than a pause may be.
func (b *Board) paused(rows []archive.Stored, now kvs.Millis) bool {
	last := &rows[len(rows)-1]
	pause := b.o.LivePause(last.Stream)
	return pause > 0 && now.Sub(last.Number.Server+kvs.Millis(last.Duration)) > pause
}

// baseOf is the base of a session that begins with a fragment in live order.
func baseOf(s *archive.Stored, c kvs.Clock) Base {
	return Base{
		LiveSeq: s.Facts.LiveSeq, Changes: int64(s.Facts.Changes), Gaps: gapsOf(s, c),
		Millis: s.Facts.Millis - s.Duration, First: s.Number.N,
	}
}

// Timeline returns the list of a session at a moment, or an error of kind NotFound when
// nothing is left to list.
func (b *Board) Timeline(ctx context.Context, s kvs.Stream, ses *Session, now kvs.Millis) (*Timeline, error) {
	t, err := b.timeline(ctx, ses, now, s.Horizon(now))
	if err != nil {
		return nil, err
	}
	t.Ended = t.Ended || s.Status == kvs.Deleting
	return t, nil
}

func (b *Board) timeline(ctx context.Context, ses *Session, now, horizon kvs.Millis) (*Timeline, error) {
	if ses.Mode == OnDemand {
		return b.static(ctx, ses, horizon)
	}
	w, err := b.window(ctx, ses, now, horizon)
	if err != nil {
		return nil, err
	}
	rows := trim(w.rows, ses, w.end, horizon)
	if len(rows) == 0 || anew(&rows[0], ses) || ses.Mode == Live && ses.Break && b.paused(rows, now) {
		return nil, noFragments()
	}
	t := moving(rows, ses)
	t.Target = t.target(w.longest)
	t.Ended = w.ended || now >= ses.Expires-kvs.Millis(t.Target)*1000
	return t, nil
}

// anew reports whether the stream kept nothing for a moment since the session began: its
// counts have begun again, and nothing that came then has to do with what was listed.
// tally.Beginnings sets the numbers of such a stream apart.
func anew(s *archive.Stored, ses *Session) bool {
	const most = 3 * tally.Beginnings // fragments in the 12 hours of a session: 69 in a second
	return s.Facts.LiveSeq-ses.Base.LiveSeq > most
}

// window is the rows that a live list is cut from.
type window struct {
	changed uint64           // what Changed was before they were read
	rows    []archive.Stored // in live order
	end     int64            // LiveSeq of the last one that is listed; it may be gone
	ended   bool             // nothing comes behind it
	longest int64            // fragment of the stream, in milliseconds
}

// windowKey names a window at the live edge.
type windowKey struct {
	stream  kvs.StreamID
	maximum int
}

func (b *Board) window(ctx context.Context, ses *Session, now, horizon kvs.Millis) (window, error) {
	if ses.Mode == LiveReplay {
		return b.replay(ctx, ses, now, horizon)
	}
	return b.newest(ctx, ses, horizon)
}

// newest returns the window at the live edge. All sessions that list as many fragments
// share it until the rows of the stream change.
func (b *Board) newest(ctx context.Context, ses *Session, horizon kvs.Millis) (window, error) {
	m, err := b.windows.open(ctx, windowKey{ses.Stream, ses.Max}, ses.Max)
	if err != nil {
		return window{}, err
	}
	defer m.close()
	changed := b.o.Archive.Changed(ses.Stream)
	if m.known && m.value.changed == changed {
		return m.value, nil
	}
	w := window{changed: changed}
	if w.longest, err = b.longest(ctx, ses.Stream); err != nil {
		return w, err
	}
	if w.rows, err = b.o.Archive.Latest(ctx, ses.Stream, 0, ses.Max, horizon); err != nil {
		return w, err
	}
	if len(w.rows) > 0 {
		w.end = b.edge(&w.rows[len(w.rows)-1])
	}
	m.value, m.known = w, true
	return w, nil
}

// edge returns the greatest LiveSeq that the stream may have had, whose newest fragment is
// given. When those behind it were removed their numbers are not known any more: it is the
// greatest they may have had, so that no list begins where it began before they came.
func (b *Board) edge(newest *archive.Stored) int64 {
	top := b.o.Archive.Top(newest.Stream)
	if top <= newest.Number.N {
		return newest.Facts.LiveSeq
	}
	return newest.Facts.LiveSeq + top - newest.Number.N
}
