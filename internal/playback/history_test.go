package playback

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// archiver is where a history stores what happens: a table or a real archive.
type archiver interface {
	Rows
	store(f kvs.Fragment, tracks []segment.Track) archive.Stored
	lose(f kvs.Fragment, tracks []segment.Track)
	expire(horizon kvs.Millis)
	erase(e archive.Erasure)
	restart() (changed bool) // reports whether counts of changes began anew
	all() []archive.Stored
}

func (a *table) all() []archive.Stored { return a.rows }

// producer is one that sends fragments of some seconds, one after the other.
type producer struct {
	at     kvs.Millis // when its next fragment begins, on the server's clock
	clock  kvs.Millis // what its own clock is ahead
	tracks []segment.Track
	flying *flight
}

// flight is a fragment that is being received.
type flight struct {
	kvs.Fragment
	done   kvs.Millis
	fails  bool
	tracks []segment.Track
}

// history is the life of one stream under viewers.
type history struct {
	r         *rand.Rand
	seed      uint64
	rows      archiver
	now       kvs.Millis
	counter   int64
	keep      kvs.Millis // retention, in milliseconds; a history lasts minutes
	producers [2]producer
	viewers   []*viewer
	boards    [2]*Board
	erased    []archive.Erasure
	erasures  int
	emptied   int                              // how often nothing was left
	anew      int                              // how often counts began anew
	hasty     bool                             // a mutation: ON_DEMAND takes all late fragments that are there
	loose     bool                             // a mutation: sessions are asked without their range
	log       func(format string, args ...any) // nil = it goes by in silence
	failed    bool
}

const epoch kvs.Millis = 1_790_000_000_000

func newHistory(seed uint64, rows archiver) *history {
	h := &history{r: rand.New(rand.NewPCG(seed, 5)), seed: seed, rows: rows, now: epoch}
	h.keep = kvs.Millis(20_000 + h.r.Int64N(300_000))
	for i := range h.producers {
		p := &h.producers[i]
		p.at, p.clock, p.tracks = h.now+kvs.Millis(h.r.Int64N(60_000))*kvs.Millis(i), -kvs.Millis(h.r.Int64N(100_000)), h.codecs()
		if i == 1 && h.r.IntN(3) > 0 {
			p.at = 1 << 60 // one is enough
		}
	}
	for i := range h.boards {
		h.open(i)
	}
	return h
}

func (h *history) open(i int) {
	h.boards[i] = NewBoard(BoardOptions{Archive: h.rows, Now: func() time.Time { return h.now.Time() }})
}

func (h *history) codecs() []segment.Track {
	tracks := []segment.Track{{Number: 1, Frames: 1, Fingerprint: h.r.Uint64N(3)}}
	if h.r.IntN(4) > 0 {
		tracks = append(tracks, segment.Track{Number: 2, Frames: 1, Fingerprint: 9})
	}
	return tracks
}

// in reports whether something happens that does once in n times.
func (h *history) in(n int) bool { return h.r.IntN(n) == 0 }

func (h *history) note(format string, args ...any) {
	if h.log != nil {
		h.log("%7d "+format, append([]any{h.now - epoch}, args...)...)
	}
}

// run plays so many moments.
func (h *history) run(moments int) {
	for i := 0; i < moments && !h.failed; i++ {
		h.now += kvs.Millis(h.r.Int64N(1500))
		if h.in(300) {
			h.now += kvs.Millis(h.r.Int64N(150_000)) // nobody asks for a while
		}
		h.produce()
		h.expire()
		if h.in(60) {
			h.erase()
		}
		if h.in(80) {
			h.note("start")
			if !slices.ContainsFunc(h.rows.all(), func(s archive.Stored) bool { return s.Facts.LiveSeq > 0 }) {
				h.anew++
			}
			i := h.r.IntN(2)
			if h.rows.restart() {
				h.open(1 - i)
			}
			h.open(i)
		}
		if len(h.viewers) < 5 && h.in(12) {
			h.visit()
		}
		for _, v := range h.viewers {
			if h.in(2) {
				v.reload()
			}
		}
	}
}

// next is when something happens to the producer.
func (p *producer) next() kvs.Millis {
	if p.flying != nil {
		return p.flying.done
	}
	return p.at
}

// produce lets the producers go on to this moment: numbers and server times grow together.
func (h *history) produce() {
	for {
		p := &h.producers[0]
		if o := &h.producers[1]; o.next() < p.next() {
			p = o
		}
		if p.next() > h.now {
			return
		}
		if f := p.flying; f != nil {
			p.flying = nil
			h.land(f)
			continue
		}
		p.flying = h.begin(p)
	}
}

// begin begins a fragment: it gets its number now.
func (h *history) begin(p *producer) *flight {
	h.counter++
	duration := 400 + h.r.Int64N(2000)
	switch {
	case h.in(40):
		p.clock -= kvs.Millis(h.r.Int64N(40_000)) // it was set, or sends again
	case h.in(30):
		p.clock += kvs.Millis(h.r.Int64N(200)) - 100
	case h.in(4):
		p.clock += kvs.Millis(h.r.Int64N(80)) - 40
	}
	if h.in(40) {
		p.tracks = h.codecs()
	}
	if h.in(60) { // another session
		h.counter = (h.counter/1000+1)*1000 + 1
	}
	f := &flight{Fragment: kvs.Fragment{Stream: 1, Number: kvs.FragmentNumber{N: h.counter, Server: p.at, Random: 7}, Duration: duration}, tracks: p.tracks}
	if f.Producer = p.at + p.clock; h.in(30) {
		f.Duration = h.r.Int64N(60)
	}
	p.at += kvs.Millis(duration)
	if f.done = p.at + kvs.Millis(h.r.Int64N(60)); h.in(20) {
		f.done += kvs.Millis(h.r.Int64N(6000)) // the network is slow
	}
	if h.in(40) {
		f.done += kvs.Millis(h.r.Int64N(straggle - 10_000)) // very slow
	}
	p.at = f.done
	if h.in(30) {
		p.at += kvs.Millis(h.r.Int64N(50_000)) // a pause
	}
	f.fails = h.in(25)
	return f
}

// land stores a fragment that was received, or not.
func (h *history) land(f *flight) {
	switch {
	case f.fails && h.in(2):
		h.note("lost      %d", f.Number.N)
		h.rows.lose(f.Fragment, f.tracks)
	case f.fails || slices.ContainsFunc(h.erased, func(e archive.Erasure) bool { return e.Covers(&f.Fragment) }):
		h.note("failed    %d", f.Number.N) // or was on its way when it was erased
	case f.Number.Server >= h.horizon():
		s := h.rows.store(f.Fragment, f.tracks)
		h.note("stored    %d as %d: server %d, producer %d, %d ms, changes %d, gaps %d and %d, ms %d", f.Number.N, s.Facts.LiveSeq,
			f.Number.Server-epoch, f.Producer-epoch, f.Duration, s.Facts.Changes, s.Facts.ServerGaps, s.Facts.ProducerGaps, s.Facts.Millis)
	}
}

func (h *history) horizon() kvs.Millis { return h.now - h.keep }

// expire removes what is older than the retention, now and then.
func (h *history) expire() {
	if !h.in(10) {
		return
	}
	if all := h.rows.all(); len(all) > 0 && all[0].Number.Server < h.horizon() {
		h.rows.expire(h.horizon())
		h.note("expired   to %d", h.horizon()-epoch)
	}
	h.countEmpty()
}

func (h *history) countEmpty() {
	if len(h.rows.all()) == 0 {
		h.emptied++
	}
}

// erase removes fragments of some seconds, also the newest.
func (h *history) erase() {
	c := kvs.Clock(h.r.IntN(2))
	all := h.rows.all()
	if len(all) == 0 {
		return
	}
	from := all[h.r.IntN(len(all))].At(c)
	if h.in(3) {
		from = all[len(all)-1].At(c)
	}
	to := from + kvs.Millis(h.r.Int64N(8000))
	h.note("erased    %d to %d on the %s clock", from-epoch, to-epoch, c)
	e := archive.Erasure{Clock: c, Range: kvs.TimeRange{Start: from, End: to}, Through: h.counter}
	h.erased = append(h.erased, e)
	h.rows.erase(e)
	h.erasures++
	h.countEmpty()
}

// histories is how many are played: MILLRACE_HISTORIES, or so many.
func histories(t *testing.T, usual int) int {
	if text := os.Getenv("MILLRACE_HISTORIES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return usual
}

// TestTenThousandHistories: whatever happens to a stream, what a player is told once stays
// true (RFC 8216 sections 6.2.1 and 6.2.2), whichever server tells it.
func TestTenThousandHistories(t *testing.T) {
	const parts = 4
	all := histories(t, 10_000) / slowness
	for part := range parts {
		t.Run(strconv.Itoa(part), func(t *testing.T) {
			t.Parallel()
			lists := 0
			for seed := part; seed < all && !t.Failed(); seed += parts {
				lists += playHistory(t, uint64(seed))
			}
			t.Logf("%d lists were compared", lists)
		})
	}
}

// playHistory returns how many lists were compared. A history that fails is told.
func playHistory(t *testing.T, seed uint64) (lists int) {
	h := newHistory(seed, newTable())
	h.run(moments)
	for _, v := range h.viewers {
		lists += v.lists
	}
	if h.failed {
		again := newHistory(seed, newTable())
		again.log = t.Logf
		again.run(moments)
		t.Errorf("history %d", seed)
	}
	return lists
}

// moments is how long a history is: some minutes.
const moments = 150

// TestHistoriesTellWhatIsWrong: the histories must notice when lists are made wrongly.
func TestHistoriesTellWhatIsWrong(t *testing.T) {
	for what, wrong := range map[string]func(*history, *table){
		// A board that does not know what was removed begins lists where they began before.
		"tombstones are not read": func(_ *history, rows *table) { rows.noTop = true },
		// What is stored after an ON_DEMAND session began comes into its list.
		"late fragments are listed at once": func(h *history, _ *table) { h.hasty = true },
		// A token gives fragments outside of its range.
		// An open session goes on with counts that began anew.
		"ranges are not looked at when fragments are asked for": func(h *history, _ *table) { h.loose = true },
		"beginnings are not far apart":                          func(_ *history, rows *table) { rows.near = true },
	} {
		t.Run(what, func(t *testing.T) {
			for seed := range uint64(2000) {
				rows := newTable()
				h := newHistory(seed, rows)
				wrong(h, rows)
				if h.run(moments); h.failed {
					t.Logf("history %d", seed)
					return
				}
			}
			t.Error("2000 histories with a broken board went by")
		})
	}
}
