package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A service manager hears when the server serves, that it lives, when it reads its settings
// again, and when it ends.
func TestTheServiceManagerIsTold(t *testing.T) {
	dir, err := os.MkdirTemp("", "n") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hear := func(want string) string {
		t.Helper()
		if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for b := make([]byte, 4096); ; {
			n, err := manager.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			said := string(b[:n])
			if strings.HasPrefix(said, want) {
				return said
			}
			if said != "WATCHDOG=1" {
				t.Fatalf("heard %q, want %s", said, want)
			}
		}
	}
	s := newServer(t)
	s.command.Env = append(s.command.Env, "NOTIFY_SOCKET="+name, "WATCHDOG_USEC=500000")
	s.launch(t)
	hear("READY=1")
	s.await(t) // it does serve
	hear("WATCHDOG=1")
	if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if said := hear("RELOADING=1"); !strings.Contains(said, "\nMONOTONIC_USEC=") {
		t.Errorf("heard %q, without the time", said)
	}
	hear("READY=1")
	hear("WATCHDOG=1")
	s.stop(t)
	hear("STOPPING=1")
}

// A data directory that was made beforehand is served with the root key that was shown.
func TestInitBeforeTheFirstStart(t *testing.T) {
	s := newServer(t)
	shown := run(t, environment(), program(t), "init", "--data", s.data)
	value := func(name string) string {
		_, rest, _ := strings.Cut(shown, name+"=")
		v, _, _ := strings.Cut(rest, "\n")
		return v
	}
	s.key, s.secret = value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY")
	s.start(t)
	s.create(t, "garden")
	if strings.Contains(s.out.text(), "first start") {
		t.Error("the start made an account although there was one")
	}
	if _, stderr, err := try(t, environment(), nil, program(t), "init", "--data", s.data); err == nil || !strings.Contains(stderr, "in use") {
		t.Errorf("init beside a server: %v %s", err, stderr)
	}
}

// millrace health asks the server of this machine as it is configured, or any other.
func TestAskingForTheHealth(t *testing.T) {
	s := serve(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.https, "https://"), ":")
	here := environment("MILLRACE_HTTP=", "MILLRACE_HTTPS=0.0.0.0:"+port)
	if out := run(t, here, program(t), "health"); out != "ok\n" {
		t.Errorf("health says %q", out)
	}
	run(t, environment(), program(t), "health", "--url", s.https, "--ca", s.ca())
	if _, stderr, err := try(t, environment(), nil, program(t), "health", "--url", s.https); err == nil {
		t.Errorf("a server with an unknown CA is well: %s", stderr)
	}
	s.stop(t)
	if _, stderr, err := try(t, here, nil, program(t), "health"); err == nil || !strings.Contains(stderr, "does not answer") {
		t.Errorf("a server that is gone is well: %v %s", err, stderr)
	}
}
