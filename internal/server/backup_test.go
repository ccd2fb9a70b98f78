package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/config"
)

// Whatever a server puts into its data directory, a backup knows what to do with it. Who
// adds a file adds it to the rules in internal/backup, or this test fails.
func TestBackupsKnowEachFile(t *testing.T) {
	for _, dev := range []bool{false, true} {
		t.Run(fmt.Sprintf("dev %t", dev), func(t *testing.T) { backupKnowsEachFile(t, dev) })
	}
}

func backupKnowsEachFile(t *testing.T, dev bool) {
	p := newPlant(t, func(c *config.Config) {
		c.Archive.SegmentBytes = 4096
		c.Dev, c.Emulate.NoDemo = dev, true
	})
	p.create("yard", 24)
	p.send("yard", documentOf(), clusterOf(0), clusterOf(1), clusterOf(2))
	known := func(when string) {
		t.Helper()
		names, err := backup.Unknown(p.config.Data)
		if err != nil || len(names) > 0 {
			t.Errorf("%s: the rules of internal/backup say nothing of %v (%v)", when, names, err)
		}
	}
	known("while it serves")
	r, err := backup.Run(t.Context(), backup.Options{Data: p.config.Data, Dir: filepath.Join(t.TempDir(), "backups")})
	if err != nil || len(r.Warnings) > 0 || r.Fragments != 3 || r.Streams != 1 {
		t.Errorf("backup %+v, %v", r, err)
	}
	known("after a backup")
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	known("after the end")
}

// Monitoring can ask how old the last backup is.
func TestBackupIsMeasured(t *testing.T) {
	p := newPlant(t, nil)
	const name = "millrace_backup_last_success_timestamp_seconds"
	if got := p.gauge(name); got != 0 {
		t.Errorf("%s is %v without a backup", name, got)
	}
	r, err := backup.Run(t.Context(), backup.Options{Data: p.config.Data, Dir: filepath.Join(t.TempDir(), "backups")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.gauge(name), float64(r.Time.UnixMilli())/1000; got != want {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}

// gauge reads a measurement of the server.
func (p *plant) gauge(name string) float64 {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	_, rest, _ := strings.Cut(w.Body.String(), "\n"+name+" ")
	text, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		p.t.Fatalf("measurement %s: %v", name, err)
	}
	return v
}
