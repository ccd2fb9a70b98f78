package archive

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// A full disk fails every batch; the log gets a line a second.
func TestAFullDiskDoesNotFillTheLog(t *testing.T) {
	now := time.Unix(1_735_442_939, 0)
	var log bytes.Buffer
	a := &Archive{log: slog.New(slog.NewTextHandler(&log, nil)), now: func() time.Time { return now }}
	full := kvs.Errorf(kvs.Internal, "the disk is full")
	batch := []pending{{err: full}, {err: full}, {}}
	for range 25 {
		a.complain(batch)
		now = now.Add(100 * time.Millisecond)
	}
	a.complain([]pending{{}})
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[3], "stored again") || !strings.Contains(lines[3], "=8") || !strings.Contains(lines[0], "fragments=2 ") || !strings.Contains(lines[1], "fragments=20 ") {
		t.Errorf("got %d lines:\n%s", len(lines), log.String())
	}
}
