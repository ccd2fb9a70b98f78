package notify

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is a socket that hears what is said, and what FromEnv makes of it.
func manager(t *testing.T, more map[string]string) (*Manager, func() string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	hear := func() string {
		t.Helper()
		b := make([]byte, 4096)
		socket.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	getenv := func(key string) string {
		if key == "NOTIFY_SOCKET" {
			return name
		}
		return more[key]
	}
	return FromEnv(getenv, 42), hear
}

func TestTheManagerHearsWhatIsSaid(t *testing.T) {
	m, hear := manager(t, nil)
	for want, say := range map[string]func() error{
		"READY=1": m.Ready, "STOPPING=1": m.Stopping,
		"STATUS=two lines": func() error { return m.Status("two\nlines") },
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		if got := hear(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	if err := m.Reloading(); err != nil {
		t.Fatal(err)
	}
	said, usec, _ := strings.Cut(hear(), "\nMONOTONIC_USEC=")
	if n, err := strconv.ParseInt(usec, 10, 64); said != "RELOADING=1" || err != nil || n < 0 {
		t.Errorf("heard %q, %q", said, usec)
	}
}

// A sign of life is given only while the service is alive.
func TestTheWatchdog(t *testing.T) {
	m, hear := manager(t, map[string]string{"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "42"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked, ended := 0, make(chan error)
	go func() {
		ended <- m.Watch(ctx, func(context.Context) error {
			if asked++; asked > 2 {
				return errors.New("not alive")
			}
			return nil
		})
	}()
	for range 2 {
		if got := hear(); got != "WATCHDOG=1" {
			t.Errorf("heard %q", got)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := m.Ready(); err != nil {
		t.Fatal(err)
	}
	if got := hear(); got != "READY=1" {
		t.Errorf("heard %q after the service was no longer alive", got)
	}
}

// A watchdog for another process, and a broken one, are none.
func TestNoWatchdog(t *testing.T) {
	for _, more := range []map[string]string{
		nil, {"WATCHDOG_USEC": "2000", "WATCHDOG_PID": "41"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "0"},
	} {
		m, _ := manager(t, more)
		err := m.Watch(t.Context(), func(context.Context) error { t.Error("asked"); return nil })
		if err != nil {
			t.Error(err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	m := FromEnv(func(string) string { return "" }, 42)
	if err := errors.Join(m.Ready(), m.Reloading(), m.Stopping()); err != nil {
		t.Error(err)
	}
	gone := FromEnv(func(string) string { return filepath.Join(t.TempDir(), "gone") }, 42)
	if err := gone.Ready(); err == nil {
		t.Error("no error although the socket is not there")
	}
}
