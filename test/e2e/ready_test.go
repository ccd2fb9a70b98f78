package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
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
