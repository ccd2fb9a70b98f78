package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// studio is everything around a session: a real catalog, a real live buffer, an archive
// that keeps records in memory.
type studio struct {
	*Ingest
	t       testing.TB
	profile quota.Profile
	book    *quota.Book
	budget  *quota.Budget
	catalog *catalog.Catalog
	rows    *db.DB
	shelf   *shelf
	streams int
}

// newStudio makes one with the limits of a profile. In a bubble it has the bubble's
// clock.
func newStudio(t testing.TB, p quota.Profile) *studio {
	return newStudioOf(t, p, 512<<20)
}

func newStudioOf(t testing.TB, p quota.Profile, memory int64) *studio {
	book, err := quota.NewBook(t.Context(), quota.BookOptions{Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	s := &studio{t: t, profile: p, book: book, budget: quota.NewBudget(memory, 51<<20), shelf: &shelf{}}
	d, err := db.Open(t.Context(), db.Options{Path: filepath.Join(t.TempDir(), "catalog.db"), Migrations: catalog.Migrations()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	s.rows = d
	if s.catalog, err = catalog.Open(t.Context(), catalog.Options{DB: d, Region: "eu-central-1"}); err != nil {
		t.Fatal(err)
	}
	s.Ingest = New(Options{
		Live:    live.New(live.Options{Budget: s.budget, HostBuffer: s.hostBuffer}),
		Archive: s.shelf, Book: book, Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler),
	})
	return s
}

func (s *studio) hostBuffer() (int64, time.Duration) {
	v := s.book.View("", 0)
	return v.Bytes(quota.BufferBytes), v.Duration(quota.BufferAge)
}

// limit sets the limits that are not those of the profile: names and values in turns.
func (s *studio) limit(pairs ...string) {
	s.t.Helper()
	settings := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		settings[pairs[i]] = pairs[i+1]
	}
	if err := s.book.Configure(s.profile, settings); err != nil {
		s.t.Fatal(err)
	}
}

// again readies the studio for the next row of a table: making one takes time.
func (s *studio) again(t testing.TB) *studio {
	s.t = t
	s.limit()
	s.shelf.records = nil
	return s
}

// stream makes a stream with the given retention in hours.
func (s *studio) stream(retention int, tags ...string) *catalog.Entry {
	s.t.Helper()
	s.streams++
	n := catalog.NewStream{Account: "111122223333", Name: fmt.Sprint("cam", s.streams), Retention: retention, Tags: map[string]string{}}
	for i := 0; i+1 < len(tags); i += 2 {
		n.Tags[tags[i]] = tags[i+1]
	}
	st, err := s.catalog.Create(s.t.Context(), n)
	if err != nil {
		s.t.Fatal(err)
	}
	e, err := s.catalog.Open(s.t.Context(), st.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// delete removes the stream as the API does.
func (s *studio) delete(e *catalog.Entry) {
	if err := s.catalog.Delete(s.t.Context(), e.Stream().ID, ""); err != nil {
		s.t.Error(err)
	}
	s.o.Live.Drop(e.Stream().ID)
}

// shelf is an archive in memory.
type shelf struct {
	mu      sync.Mutex
	records []record
	delay   time.Duration        // before done is called; 0 = before Append returns
	failure func(n int) error    // for the n-th record, from 1; nil = none fails
	hold    func(done func())    // replaces delay
	before  func(archive.Record) // is called first
}

type record struct {
	archive.Record
	body []byte
}

func (s *shelf) Append(r archive.Record, done func(error)) {
	if s.before != nil {
		s.before(r)
	}
	s.mu.Lock()
	kept := record{Record: r, body: bytes.Join(r.Body, nil)}
	s.records = append(s.records, kept)
	var err error
	if s.failure != nil {
		err = s.failure(len(s.records))
	}
	s.mu.Unlock()
	answer := func() {
		if again := bytes.Join(r.Body, nil); !bytes.Equal(again, kept.body) {
			err = errors.New("the bytes changed while the archive had them")
		}
		done(err)
	}
	switch {
	case s.hold != nil:
		s.hold(answer)
	case s.delay > 0:
		// One after the other, like the real one.
		time.AfterFunc(s.delay+time.Duration(len(s.all()))*time.Microsecond, answer)
	default:
		answer()
	}
}

func (s *shelf) all() []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]record(nil), s.records...)
}

// script is a request body: []byte are sent, a time.Duration passes before the next
// step, a func() is called, an error breaks the body off, and open leaves it open. At
// its end the body ends cleanly.
type script struct {
	steps []any
	piece int // largest number of bytes a Read returns; 0 = any

	once        sync.Once
	interrupted chan struct{}
}

type open struct{}

var errInterrupted = errors.New("the body was interrupted")

func newScript(steps ...any) *script {
	return &script{steps: append([]any(nil), steps...), interrupted: make(chan struct{})}
}

func (b *script) Interrupt() { b.once.Do(func() { close(b.interrupted) }) }

func (b *script) Read(p []byte) (int, error) {
	for {
		select {
		case <-b.interrupted:
			return 0, errInterrupted
		default:
		}
		if len(b.steps) == 0 {
			return 0, io.EOF
		}
		switch step := b.steps[0].(type) {
		case []byte:
			if len(step) == 0 {
				break
			}
			if b.piece > 0 {
				p = p[:min(len(p), b.piece)]
			}
			n := copy(p, step)
			b.steps[0] = step[n:]
			return n, nil
		case time.Duration:
			select {
			case <-time.After(step):
			case <-b.interrupted:
				return 0, errInterrupted
			}
		case func():
			step()
		case error:
			return 0, step
		case open:
			<-b.interrupted
			return 0, errInterrupted
		}
		b.steps = b.steps[1:]
	}
}

// ledger collects acknowledgements and checks their form.
type ledger struct {
	t     testing.TB
	slow  time.Duration // each write takes this long
	fail  func(n int) error
	mu    sync.Mutex
	lines []string // as on the wire
	short []string // see shorten
	order map[string]int
	stamp []time.Time
}

func (l *ledger) WriteAck(line []byte) error {
	if l.slow > 0 {
		<-time.After(l.slow)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		if err := l.fail(len(l.lines) + 1); err != nil {
			return err
		}
	}
	if len(line) >= 1024 {
		l.t.Errorf("an acknowledgement of %d bytes", len(line))
	}
	l.lines = append(l.lines, string(line))
	l.short = append(l.short, l.shorten(string(line)))
	l.stamp = append(l.stamp, time.Now())
	return nil
}

// The exact text of acknowledgements (wire-media section 4.1).
var (
	stepLine  = regexp.MustCompile(`^\{"EventType":"(BUFFERING|RECEIVED|PERSISTED)","FragmentTimecode":(\d+),"FragmentNumber":"(\d{47})"\}\n$`)
	errorLine = regexp.MustCompile(`^\{"EventType":"ERROR","FragmentTimecode":(\d+),"FragmentNumber":"(\d{47})","ErrorCode":"([A-Z_]+)","ErrorId":(\d{4})\}\n$`)
	wholeLine = regexp.MustCompile(`^\{"EventType":"ERROR","FragmentTimecode":-1,"FragmentNumber":"","ErrorCode":"([A-Z_]+)","ErrorId":(\d{4})\}\n$`)
	idleLine  = "{\"EventType\":\"IDLE\"}\n"
)

// shorten checks a line and makes it readable: "b1@40" is BUFFERING of the fragment
// first acknowledged, with timecode 40; r is RECEIVED, p PERSISTED, "e1@40:4010" ERROR
// of the fragment, "e:4006" ERROR of the session.
func (l *ledger) shorten(line string) string {
	nth := func(number string) int {
		if l.order == nil {
			l.order = map[string]int{}
		}
		if l.order[number] == 0 {
			l.order[number] = len(l.order) + 1
		}
		return l.order[number]
	}
	if line == idleLine {
		return "idle"
	}
	if m := stepLine.FindStringSubmatch(line); m != nil {
		return fmt.Sprintf("%s%d@%s", strings.ToLower(m[1][:1]), nth(m[3]), m[2])
	}
	if m := errorLine.FindStringSubmatch(line); m != nil {
		l.checkName(m[3], m[4])
		return fmt.Sprintf("e%d@%s:%s", nth(m[2]), m[1], m[4])
	}
	if m := wholeLine.FindStringSubmatch(line); m != nil {
		l.checkName(m[1], m[2])
		return "e:" + m[2]
	}
	l.t.Errorf("an acknowledgement of another form: %q", line)
	return "?"
}

func (l *ledger) checkName(name, id string) {
	for c, n := range codeNames {
		if fmt.Sprint(int(c)) == id && n == name {
			return
		}
	}
	l.t.Errorf("error %s is not called %s", id, name)
}

// text is all acknowledgements so far.
func (l *ledger) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.short, " ")
}

// call is one call of Run and what came of it.
type call struct {
	*ledger
	Summary
}

// put runs one session to its end.
func (s *studio) put(e *catalog.Entry, steps ...any) *call {
	s.t.Helper()
	return s.putCtx(s.t.Context(), Request{Stream: e}, newScript(steps...), &ledger{t: s.t})
}

func (s *studio) putCtx(ctx context.Context, r Request, b Body, l *ledger) *call {
	s.t.Helper()
	return &call{l, s.Run(ctx, r, b, l)}
}

// want compares all acknowledgements and the code the session ended with, 0 = cleanly.
func (c *call) want(acks string, end Code) {
	c.t.Helper()
	if got := c.text(); got != acks {
		c.t.Errorf("acknowledged\n  %s\nwant\n  %s", got, acks)
	}
	var got Code
	if f, ok := errors.AsType[*Fault](c.End); ok {
		got = f.Code
		if f.Case == nil || f.Case.Code != f.Code || !f.At.Known {
			c.t.Errorf("the session ended with a fault without a case or a place: %+v", f)
		}
	} else if c.End != nil {
		c.t.Errorf("the session ended with an error that is no fault: %v", c.End)
	}
	if got != end {
		c.t.Errorf("the session ended with %d (%v), want %d", got, c.End, end)
	}
}

// wantEmpty fails unless all memory was given back once nobody reads any more.
func (s *studio) wantEmpty() {
	s.t.Helper()
	s.o.Live.Drop(kvs.StreamID(0))
	for id := range s.streams {
		s.o.Live.Drop(kvs.StreamID(id + 1))
	}
	if used, _, _, waiting := s.budget.Use(); used != 0 || waiting != 0 {
		s.t.Errorf("%d bytes of memory are still taken, %d waiting", used, waiting)
	}
	if n := len(s.sessions.streams); n != 0 {
		s.t.Errorf("%d streams are remembered without a session", n)
	}
}
