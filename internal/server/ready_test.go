package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
)

// asked is the answer of /readyz after the checks ran anew.
func asked(s *Server) (status int, text string) {
	s.readiness.mu.Lock()
	s.readiness.asked = time.Time{}
	s.readiness.mu.Unlock()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	return w.Code, w.Body.String()
}

// A server that can take work says so to strangers, and says nothing but which check
// failed when it cannot.
func TestReady(t *testing.T) {
	p := newPlant(t, nil)
	if status, text := asked(p.Server); status != http.StatusOK || text != "ok archive\nok disk\nok stores\n" {
		t.Fatalf("%d %s", status, text)
	}
	now := time.Now()
	p.appends.failure(now)
	if status, text := asked(p.Server); status != http.StatusServiceUnavailable || text != "failed archive\nok disk\nok stores\n" {
		t.Errorf("after a failed append: %d %s", status, text)
	}
	p.appends.stored()
	if status, _ := asked(p.Server); status != http.StatusOK {
		t.Errorf("after the next append: %d", status)
	}
	// Nobody sends any more: a failure of long ago says nothing about now.
	p.appends.failure(now.Add(-failureAge))
	if status, _ := asked(p.Server); status != http.StatusOK {
		t.Errorf("long after a failed append: %d", status)
	}
	root := p.data.Root
	p.data.Root += "/gone"
	if status, text := asked(p.Server); status != http.StatusServiceUnavailable || !strings.Contains(text, "failed disk") || strings.Contains(text, "gone") {
		t.Errorf("without the disk: %d %s", status, text)
	}
	p.data.Root = root
	if err := p.rows[0].Close(); err != nil {
		t.Fatal(err)
	}
	if status, text := asked(p.Server); status != http.StatusServiceUnavailable || !strings.Contains(text, "failed stores") {
		t.Errorf("without a store: %d %s", status, text)
	}
	p.close()
	w := httptest.NewRecorder()
	p.readyz(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "failed running\n" {
		t.Errorf("while stopping, at once: %d %s", w.Code, w.Body)
	}
}

// Strangers who ask without end do not fill the log: it has what changed.
func TestTheLogHasChangesOfReadiness(t *testing.T) {
	p := newPlant(t, nil)
	count := func(text string) int { return strings.Count(p.log.String(), text) }
	for round := range 2 {
		p.appends.failure(time.Now())
		for range 5 {
			_, _ = asked(p.Server)
		}
		if n := count(`msg="not ready" check=archive error="the last fragments could not be stored"`); n != round+1 {
			t.Errorf("%d failures stand in the log, want %d", n, round+1)
		}
		p.appends.stored()
		for range 5 {
			_, _ = asked(p.Server)
		}
		if n := count(`msg="ready again" check=archive`); n != round+1 {
			t.Errorf("it says %d times that it is ready again, want %d", n, round+1)
		}
	}
	if n := count("ready again"); n != 2 {
		t.Errorf("%d checks are ready again, want 2", n)
	}
}

// The checks run once for all who ask in the same moment.
func TestReadinessIsKeptForAMoment(t *testing.T) {
	p := newPlant(t, nil)
	_, _ = asked(p.Server)
	p.appends.failure(time.Now())
	p.readiness.asked = time.Now().Add(time.Hour) // however slow the machine is
	if _, ready := p.ready(t.Context()); !ready {
		t.Error("the checks ran for everybody who asked")
	}
}

func TestRoom(t *testing.T) {
	free, size, err := room(t.TempDir())
	if err != nil || free == 0 || size < free {
		t.Errorf("%d of %d: %v", free, size, err)
	}
	if _, _, err := room("/there/is/no/such/directory"); err == nil {
		t.Error("a directory that is not there has room")
	}
}

// While there is no room for the reserve producers get 5001, and strangers hear of it.
func TestNotReadyWhileTheDiskIsFull(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Archive.Reserve = 1 << 60 })
	p.until("the disk is full", func() bool { return p.archive.Health().Full })
	if status, text := asked(p.Server); status != http.StatusServiceUnavailable || !strings.Contains(text, "failed archive") {
		t.Errorf("%d %s", status, text)
	}
	p.create("garden", 1)
	if code := p.sent("garden", 0); code != 5001 {
		t.Errorf("a fragment gets %d", code)
	}
	p.create("window", 0)
	if code := p.sent("window", 0); code != 0 {
		t.Errorf("a fragment that is not stored gets %d", code)
	}
}
