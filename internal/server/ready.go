package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// readiness says whether the server can take work. Anybody may ask, so an answer is
// kept for a moment and names nothing but the checks.
type readiness struct {
	mu     sync.Mutex // over the rest, and held while the checks run
	asked  time.Time
	text   string
	ready  bool
	failed map[string]bool // the checks that failed last time
}

// How long an answer is kept, how long the checks may take, how long a failed append
// counts, and how much room on the disk is too little to go on.
const (
	readyAge     = time.Second
	readyTimeout = 5 * time.Second
	failureAge   = 30 * time.Second
	tooLittle    = 64 << 20
)

// appends knows how the last appends to the archive ended.
type appends struct{ failed atomic.Int64 } // unix nanoseconds of the last failure nothing followed; 0 = none

func (a *appends) stored()              { a.failed.Store(0) }
func (a *appends) failure(at time.Time) { a.failed.Store(at.UnixNano()) }

// failing reports whether appends fail now. A failure is forgotten after a while: a
// server that nobody sends to any more would never be found well again.
func (a *appends) failing(now time.Time) bool {
	at := a.failed.Load()
	return at != 0 && now.Sub(time.Unix(0, at)) < failureAge
}

// healthz answers as long as the process serves.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz answers 200 when every check holds, 503 when one does not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	text, ready := s.ready(r.Context())
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text))
}

// ready runs the checks, unless that was done a moment ago.
func (s *Server) ready(ctx context.Context) (text string, ready bool) {
	if s.closing.Err() != nil {
		return "failed running\n", false
	}
	c := &s.readiness
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.asked) >= readyAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
		defer cancel()
		c.text, c.ready = s.check(ctx)
		c.asked = now
	}
	return c.text, c.ready
}

// check runs every check. Callers hold readiness.mu.
func (s *Server) check(ctx context.Context) (text string, ready bool) {
	var b strings.Builder
	ready = true
	for _, c := range []struct {
		name string
		run  func(context.Context) error
	}{{"archive", s.checkArchive}, {"disk", s.checkDisk}, {"stores", s.checkStores}} {
		word := "ok"
		err := c.run(ctx)
		if err != nil {
			word, ready = "failed", false
		}
		s.tell(c.name, err)
		fmt.Fprintln(&b, word, c.name)
	}
	return b.String(), ready
}

// tell logs that a check fails, and why, or that it holds again. It logs only what
// changed: anybody may ask, and must not fill the log.
func (s *Server) tell(check string, err error) {
	c := &s.readiness
	switch was := c.failed[check]; {
	case err != nil && !was:
		s.log.Warn("not ready", "check", check, "error", err)
	case err == nil && was:
		s.log.Info("ready again", "check", check)
	default:
		return
	}
	if c.failed == nil {
		c.failed = map[string]bool{}
	}
	c.failed[check] = err != nil
}

func (s *Server) checkArchive(ctx context.Context) error {
	if why := s.archive.Health().ReadOnly; why != "" {
		return fmt.Errorf("the archive is read-only: %s", why)
	}
	if s.archive.Health().Full {
		return errors.New("the disk is full: nothing is stored until there is room")
	}
	if s.appends.failing(time.Now()) {
		return errors.New("the last fragments could not be stored")
	}
	_, err := s.archive.Stats(ctx)
	return err
}

func (s *Server) checkDisk(context.Context) error {
	free, _, err := room(s.data.Root)
	if err == nil && free < tooLittle {
		err = fmt.Errorf("%d bytes are free where the data directory is", free)
	}
	return err
}

func (s *Server) checkStores(ctx context.Context) error {
	for _, d := range s.rows {
		var one int
		if err := d.Read().QueryRowContext(ctx, "SELECT 1 FROM goose_db_version LIMIT 1").Scan(&one); err != nil {
			return err
		}
	}
	return nil
}

// room is how many bytes are free for us and how many there are on the disk of a
// directory.
func room(dir string) (free, size uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", dir, err)
	}
	block := uint64(st.Bsize) //nolint:gosec // its type depends on the system
	return st.Bavail * block, st.Blocks * block, nil
}
