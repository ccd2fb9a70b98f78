package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
)

// A server is ready when it can store, not when its disk is full, and not from the moment
// on that it is asked to stop.
func TestReadyOnAFullDisk(t *testing.T) {
	s, disk := small(t)
	if status, text := fetch(t, s.http+"/readyz", ""); status != http.StatusOK || !strings.Contains(text, "ok archive\n") {
		t.Fatalf("%d %s", status, text)
	}
	filler := fill(t, disk)
	state := func(status int, says string) {
		t.Helper()
		eventually(t, says, func() error {
			if got, text := fetch(t, s.http+"/readyz", ""); got != status || !strings.Contains(text, says) {
				return fmt.Errorf("%d %s", got, text)
			}
			return nil
		})
	}
	state(http.StatusServiceUnavailable, "failed disk\n")
	if status, _ := fetch(t, s.http+"/healthz", ""); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	state(http.StatusOK, "ok disk\n")
}

// When the file system of the archive becomes read-only the server is not ready and refuses
// fragments with 5001, but hands out what it has; when it can be written again, storing goes on.
func TestAReadOnlyArchive(t *testing.T) {
	s, disk := small(t)
	s.create(t, "garden")
	sent := seconds(5, 0)
	numbers := s.put(t, "garden", sent...)
	s.createKept(t, "attic", 24*365) // goes to a segment of its own
	pid := fmt.Sprint(s.command.Process.Pid)
	dir := filepath.Join(strings.TrimPrefix(disk, filepath.Join("/proc", pid, "root")), "data", "archive")
	inside := func(script string) {
		t.Helper()
		args := []string{"-t", pid, "-m", "sh", "-c", script, dir}
		if os.Getuid() != 0 {
			args = append([]string{"-U", "--preserve-credentials"}, args...)
		}
		run(t, os.Environ(), "nsenter", args...)
	}
	ready := func(status int, says string) {
		t.Helper()
		eventually(t, says, func() error {
			if got, text := fetch(t, s.http+"/readyz", ""); got != status || !strings.Contains(text, says) {
				return fmt.Errorf("%d %s", got, text)
			}
			return nil
		})
	}
	inside(`mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"`)
	open := s.open(t, "attic")
	open.send(t, head(), bytes.Join(seconds(2, 0), nil))
	if a := open.await(t, client.Failed); a.ErrorID != 5001 {
		t.Errorf("acknowledged with %s, want 5001", a.Raw)
	}
	ready(http.StatusServiceUnavailable, "failed archive\n")
	answer := s.caller(t).stream(t, "GetMediaForFragmentList", object{"StreamName": "garden", "Fragments": numbers})
	sameClusters(t, all(t, answer), sent)

	inside(`mount -o remount,rw,bind "$0"`)
	ready(http.StatusOK, "ok archive\n")
	s.put(t, "attic", seconds(2, 10)...)
}

// While a call is still open the server goes on to say that it stops.
func TestNotReadyWhileStopping(t *testing.T) {
	s, watch := watched(t)
	open, err := net.Dial("tcp", strings.TrimPrefix(s.http, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := io.WriteString(open, "POST /listStreams HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, text := fetch(t, watch+"/readyz", ""); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop(t)
	}()
	eventually(t, "it says so", func() error {
		if status, text := fetch(t, watch+"/readyz", ""); status != http.StatusServiceUnavailable || text != "failed running\n" {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
	open.Close()
	<-stopped
}
