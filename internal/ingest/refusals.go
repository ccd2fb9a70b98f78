package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/rejection"
)

// refusals counts what a session was refused, for one line of the log however many
// fragments there were.
type refusals struct {
	codes map[Code]int
	first string
}

func (r *refusals) add(a Ack) {
	if r.codes == nil {
		r.codes, r.first = map[Code]int{}, a.why
	}
	r.codes[a.Code]++
}

// String lists the codes in order, each with its count.
func (r *refusals) String() string {
	var all []string
	for _, c := range slices.Sorted(maps.Keys(r.codes)) {
		all = append(all, fmt.Sprintf("%d:%d", int(c), r.codes[c]))
	}
	return strings.Join(all, " ")
}

// complainEvery is the time between two complaints.
const complainEvery = 10 * time.Second

// complaint keeps a full disk, which every producer meets again and again, from filling
// the log as well.
type complaint struct {
	mu       sync.Mutex
	last     time.Time
	sessions int // that could not begin a fragment since
}

// complain logs why a fragment of the stream could not begin: at once, then at most every
// complainEvery with the number of sessions.
func (g *Ingest) complain(stream string, err error) {
	c, now := &g.complaint, g.o.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions++
	if since := now.Sub(c.last); since >= 0 && since < complainEvery {
		return
	}
	g.o.Logger.Error("fragments cannot begin", "stream", stream, "sessions", c.sessions, "error", err)
	c.last, c.sessions = now, 0
}

// rejectFragment reports a fragment that was answered with ERROR.
func (s *session) rejectFragment(f *fragment, why *Fault) {
	if !s.reports() {
		return
	}
	r := s.rejection(why.at(f.began))
	r.Scope, r.Told = rejection.Fragment, true
	r.Number, r.Began, r.Frame = f.number.String(), f.began, f.blocks
	r.Timecode, r.Producer = int64(f.timecode), f.producer.Time()
	s.g.o.Reject(s.entry.Stream(), r)
}

// rejectSession reports the end of a session that cost no fragment, or that began none.
// A server that stops refuses nothing.
func (s *session) rejectSession(why *Fault) {
	if !s.reports() || why.Case == stopping {
		return
	}
	r := s.rejection(why)
	r.Scope, r.Told = rejection.Session, !why.silent
	s.g.o.Reject(s.entry.Stream(), r)
}

// reports says whether anybody wants to know: of a stream that was deleted nobody can.
func (s *session) reports() bool {
	select {
	case <-s.entry.Gone():
		return false
	default:
		return s.g.o.Reject != nil
	}
}

// rejection is what is the same for fragments and sessions.
func (s *session) rejection(why *Fault) rejection.Refusal {
	return rejection.Refusal{
		Time: s.g.o.Clock().UTC().Truncate(time.Millisecond), Request: s.request.ID, Client: s.request.Client,
		Code: int(why.Code), Error: why.Code.String(), Case: why.Case.Name, Limit: why.Case.Limit,
		Offset: why.At.Offset, Began: -1, Timecode: -1, Track: why.At.Track,
		Why: why.Reason, Fix: why.Case.Fix,
	}
}
