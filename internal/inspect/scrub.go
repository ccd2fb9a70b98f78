package inspect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// ScrubFile is where a scrub notes in the archive's folder how far it is.
const ScrubFile = "scrub"

// ScrubOptions say what is scrubbed, and how fast. Dir is needed.
type ScrubOptions struct {
	Dir, Warm string // as in [Options]
	Rate      int64  // bytes read in a second; 0 = there is no scrub

	// Name returns what operators call a stream, nil = its number.
	Name func(context.Context, kvs.StreamID) string

	Observer ScrubObserver    // nil = nobody looks
	Logger   *slog.Logger     // nil = silent
	Now      func() time.Time // nil = time.Now
}

// ScrubObserver is told what a scrub does, for metrics. Its methods must be quick.
type ScrubObserver interface {
	// Scrubbed: so many bytes of live records were read.
	Scrubbed(bytes int64)
	// Damaged: a record, or the head or the footer of a segment, was found that is not what
	// was stored; each is told once.
	Damaged()
	// Round: all sealed segments were read once, in so long, with so many damaged records.
	Round(took time.Duration, damaged int)
}

// Scrubber reads the live records of all sealed segments again and again, slowly, and
// compares them with their checksums, which needs no key: what rots is known before it is
// asked for, and while a backup has it still. Make it with [NewScrubber].
type Scrubber struct {
	ScrubOptions
	index *index
	known map[place]bool // damage that was told
	state scrubState
	due   time.Time // the next byte may be read

	open func(*check, segmentRow) (scrubFile, error) // of tests; (*check).open
}

// scrubFile is what is read of a segment's file.
type scrubFile interface {
	io.ReaderAt
	io.Closer
}

// freshFor is how long the bytes of a segment may be in memory for those who follow a
// stream; older ones are dropped behind the scrub.
const freshFor = time.Hour

// scrubState is what [ScrubFile] holds.
type scrubState struct {
	Segment int64     `json:"segment"` // the last one that was read
	Began   time.Time `json:"began"`   // when the round did
	Damaged int       `json:"damaged"` // in this round
}

// maxKnown bounds what is remembered of damage. What is found beyond it may be told again.
const maxKnown = 10_000

// idle is the time between two looks when there is nothing to read.
const idle = time.Minute

// NewScrubber makes a scrubber; nothing happens before Run.
func NewScrubber(o ScrubOptions) *Scrubber {
	s := &Scrubber{ScrubOptions: o, known: map[place]bool{}}
	s.open = func(c *check, row segmentRow) (scrubFile, error) { return c.open(row) }
	s.Logger = cmp.Or(s.Logger, slog.New(slog.DiscardHandler))
	if s.Now == nil {
		s.Now = time.Now
	}
	return s
}

// Run scrubs until ctx ends. It goes on where the last process stopped.
func (s *Scrubber) Run(ctx context.Context) error {
	if s.Rate <= 0 {
		return nil
	}
	if pause(ctx, idle) != nil { // a server that has just started has better things to read
		return nil
	}
	s.load()
	for {
		more, err := s.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.Logger.Warn("scrub interrupted; it goes on in a minute", "error", err)
		}
		if err != nil || !more {
			if pause(ctx, idle) != nil {
				return nil
			}
		}
	}
}

// load reads how far the scrub was; what cannot be read begins a new round.
func (s *Scrubber) load() {
	text, err := os.ReadFile(filepath.Join(s.Dir, ScrubFile))
	if err != nil || json.Unmarshal(text, &s.state) != nil {
		s.state = scrubState{}
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// step reads the next segment, or ends the round and reports false.
func (s *Scrubber) step(ctx context.Context) (more bool, err error) {
	x, err := openIndex(ctx, filepath.Join(s.Dir, indexFile))
	if err != nil {
		return false, err
	}
	s.index = x
	defer func() { err = errors.Join(err, x.close()) }()
	var row segmentRow
	err = x.at(ctx, func(v view) (err error) {
		row, more, err = v.nextLiving(ctx, s.state.Segment)
		return err
	})
	if err != nil {
		return false, err
	}
	if more {
		if s.state.Began.IsZero() {
			s.state.Began = s.Now()
		}
		if err := s.scrub(ctx, row); err != nil {
			return false, err
		}
		s.state.Segment = row.ID
		return true, s.save()
	}
	if !s.state.Began.IsZero() && s.Observer != nil {
		s.Observer.Round(s.Now().Sub(s.state.Began), s.state.Damaged)
	}
	s.state = scrubState{}
	return false, s.save()
}

func (s *Scrubber) save() error {
	text, err := json.Marshal(s.state)
	if err != nil {
		return err
	}
	return disk.WriteFile(filepath.Join(s.Dir, ScrubFile), append(text, '\n'), 0o600)
}

// scrub reads the live records of a segment. That bytes cannot be read is what it looks for,
// and not a reason to stop: an error is one of the index.
func (s *Scrubber) scrub(ctx context.Context, row segmentRow) error {
	f, err := s.open(&check{Options: Options{Dir: s.Dir, Warm: s.Warm}}, row)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it expired, or was moved; the check of files is not ours
	}
	if err != nil {
		s.ill(1, row.ID, "it cannot be opened: "+err.Error())
		return nil
	}
	defer f.Close() // only read from
	if system, ok := f.(*os.File); ok && s.Now().Sub(row.Created.Time()) > freshFor {
		defer disk.Forget(system)
	}
	src := &source{ReaderAt: f}
	h, err := segment.ReadHead(src)
	if err != nil {
		s.ill(1, row.ID, "its head cannot be read, and the index's is used: "+err.Error())
		h = row.Head
	}
	g := &scrubbing{Scrubber: s, file: src, head: h, row: row, paced: &paced{s: s, ctx: ctx, r: src}, headers: map[int64]bool{}}
	return g.all(ctx)
}

// ill tells once that a part of a segment is damaged that many records need.
func (s *Scrubber) ill(invariant int, id int64, found string) {
	s.state.Damaged++
	if s.note(place{invariant, id, fragmentID{}}) {
		s.Logger.Error("a segment is damaged", "segment", segment.FileName(id), "found", found)
	}
}

func (s *Scrubber) nameOf(ctx context.Context, id kvs.StreamID) string {
	if s.Name != nil {
		if name := s.Name(ctx, id); name != "" {
			return name
		}
	}
	return strconv.FormatInt(int64(id), 10)
}

// note reports whether damage was not told yet, and tells the observer.
func (s *Scrubber) note(p place) bool {
	if s.known[p] {
		return false
	}
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[p] = true
	if s.Observer != nil {
		s.Observer.Damaged()
	}
	return true
}

// source is a file that remembers whether its bytes could be read.
type source struct {
	io.ReaderAt
	err error
}

func (r *source) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(b, off)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// scrubbing is the reading of one segment.
type scrubbing struct {
	*Scrubber
	file    *source
	head    segment.Head
	row     segmentRow
	paced   *paced
	batch   []item
	headers map[int64]bool // those that were read
}

// all reads the records that the footer lists; without one those that their heads lead to;
// and where these cannot be read, those that the index has.
func (g *scrubbing) all(ctx context.Context) error {
	damaged := g.state.Damaged
	listed, err := segment.ReadFooter(g.file, g.head, g.row.length, func(at int64, rec *segment.Record) error { return g.add(ctx, at, rec) })
	if listed && err == nil {
		return g.flush(ctx)
	}
	if err != nil && g.file.err == nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	g.state.Damaged = damaged // what was read is read again
	if g.row.Version > 1 {
		g.ill(8, g.row.ID, "its footer cannot be read"+suffix(err))
	}
	damaged, g.batch, g.file.err = g.state.Damaged, g.batch[:0], nil
	if err = g.scan(ctx); err == nil {
		return g.flush(ctx)
	}
	if g.file.err == nil || ctx.Err() != nil {
		return err
	}
	g.state.Damaged, g.batch = damaged, g.batch[:0]
	return g.byRows(ctx)
}

// byRows reads what the index has of the segment, which takes a look at all rows there are.
func (g *scrubbing) byRows(ctx context.Context) error {
	for after := (fragmentID{math.MinInt64, math.MinInt64}); ; {
		err := g.index.at(ctx, func(v view) error {
			return v.each(ctx, func(r *fragmentRow) {
				g.batch = append(g.batch, item{Record: segment.Record{Fragment: r.Fragment}, position: r.position})
			}, fragmentColumns+` WHERE (stream, n) > ($1, $2) AND segment = $3 ORDER BY stream, n LIMIT $4`, int64(after.stream), after.n, g.row.ID, scrubBatch)
		})
		n := len(g.batch)
		if err != nil || n == 0 {
			return err
		}
		last := g.batch[n-1].Fragment
		after = fragmentID{last.Stream, last.Number.N}
		if err := g.flush(ctx); err != nil || n < scrubBatch {
			return err
		}
	}
}

// scrubBatch is how many records are looked up at once. Reading them takes long: their rows
// must not be held meanwhile.
const scrubBatch = 256

func (g *scrubbing) add(ctx context.Context, at int64, rec *segment.Record) error {
	i := item{Record: *rec, position: at}
	i.Facts.Tracks = nil
	if g.batch = append(g.batch, i); len(g.batch) < scrubBatch {
		return nil
	}
	return g.flush(ctx)
}

// scan finds the records of a segment that has no list of them.
func (g *scrubbing) scan(ctx context.Context) error {
	g.batch = g.batch[:0]
	s := segment.NewScanner(g.paced, g.head, segment.HeadSize, g.row.length, false)
	for {
		ok, err := s.Next()
		if err != nil || !ok {
			return err
		}
		if s.Finding != segment.Garbage && s.Record.Kind == segment.FragmentRecord {
			if err := g.add(ctx, s.Position, &s.Record); err != nil {
				return err
			}
		}
	}
}

// flush reads those of the batch that live.
func (g *scrubbing) flush(ctx context.Context) error {
	live := make([]bool, len(g.batch))
	err := g.index.at(ctx, func(v view) error {
		for i := range g.batch {
			var err error
			if live[i], err = g.lives(ctx, v, &g.batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range g.batch {
		if err != nil {
			break
		}
		if live[i] {
			err = g.read(ctx, &g.batch[i])
		}
	}
	g.batch = g.batch[:0]
	return err
}

func (g *scrubbing) lives(ctx context.Context, v view, i *item) (bool, error) {
	r, ok, err := v.fragment(ctx, fragmentID{i.Fragment.Stream, i.Fragment.Number.N})
	return ok && r.segment == g.row.ID && r.position == i.position, err
}

// read reads a record and its header record. A record that died meanwhile may have lost
// its bytes: only one that lives still is damaged.
func (g *scrubbing) read(ctx context.Context, i *item) error {
	wrong := g.wrong(i)
	if err := ctx.Err(); err != nil || wrong == "" {
		return err
	}
	var lives bool
	err := g.index.at(ctx, func(v view) (err error) {
		lives, err = g.lives(ctx, v, i)
		return err
	})
	if err != nil || !lives {
		return err
	}
	g.state.Damaged++
	if !g.note(place{4, g.row.ID, fragmentID{i.Fragment.Stream, i.Fragment.Number.N}}) {
		return nil
	}
	g.Logger.Error("a stored fragment is damaged; it cannot be read as a whole", "stream", g.nameOf(ctx, i.Fragment.Stream),
		"fragment", i.Fragment.Number.String(), "server-time", clock(i.Fragment.Number.Server), "segment", segment.FileName(g.row.ID), "position", i.position, "found", wrong)
	return nil
}

// wrong says what is wrong with a record, "" for nothing.
func (g *scrubbing) wrong(i *item) string {
	rec, ok, err := segment.ReadRecord(g.paced, g.head, i.position, g.row.length)
	switch {
	case err != nil:
		return err.Error()
	case !ok || rec.Fragment != i.Fragment:
		return "its head is damaged"
	}
	if whole, err := segment.Verify(g.paced, i.position, &rec); err != nil || !whole {
		return fmt.Sprint("its bytes do not fit their checksums", suffix(err))
	}
	if g.headers[rec.Header] {
		return ""
	}
	h, ok, err := segment.ReadRecord(g.paced, g.head, rec.Header, g.row.length)
	if err == nil && ok {
		ok, err = segment.Verify(g.paced, rec.Header, &h)
	}
	if err != nil || !ok {
		return fmt.Sprintf("its header record at byte %d is damaged%s", rec.Header, suffix(err))
	}
	if len(g.headers) < maxHeaders {
		g.headers[rec.Header] = true
	}
	return ""
}

func suffix(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// paced reads no faster than the rate.
type paced struct {
	s   *Scrubber
	ctx context.Context //nolint:containedctx // io.ReaderAt has none
	r   io.ReaderAt
}

func (p *paced) ReadAt(b []byte, off int64) (int, error) {
	now := time.Now()
	if wait := p.s.due.Sub(now); wait > 0 {
		if err := pause(p.ctx, wait); err != nil {
			return 0, err
		}
	} else if wait < -time.Second || p.s.due.IsZero() {
		p.s.due = now // what was not used is not saved up
	}
	n, err := p.r.ReadAt(b, off)
	p.s.due = p.s.due.Add(time.Duration(float64(n) / float64(p.s.Rate) * float64(time.Second)))
	if p.s.Observer != nil {
		p.s.Observer.Scrubbed(int64(n))
	}
	return n, err
}
