// Package notify tells the service manager how the service is: ready, reloading,
// stopping, alive.
//
// It speaks the sd_notify protocol of systemd: a datagram of NAME=VALUE lines to the
// socket that NOTIFY_SOCKET names. Without that variable nobody listens and every call
// does nothing. A Manager may be used from any goroutine.
package notify

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Manager is the service manager that started the process, or nobody.
type Manager struct {
	socket string
	every  time.Duration // a sign of life is wanted this often, 0 = never
}

// FromEnv finds the service manager by the variables it gave to the process with id pid;
// getenv is os.Getenv.
func FromEnv(getenv func(string) string, pid int) *Manager {
	m := &Manager{socket: getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	// The variables are inherited: WATCHDOG_PID says for which process they are.
	if owner := getenv("WATCHDOG_PID"); err == nil && usec > 0 && (owner == "" || owner == strconv.Itoa(pid)) {
		m.every = time.Duration(usec) * time.Microsecond / 2 // as sd_watchdog_enabled(3) advises
	}
	return m
}

// Ready says that the service serves, at the start and at the end of a reload.
func (m *Manager) Ready() error { return m.send("READY=1") }

// Reloading says that the settings are being read again; Ready ends it.
func (m *Manager) Reloading() error {
	return m.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic().Microseconds(), 10))
}

// Stopping says that the service ends because it was asked to.
func (m *Manager) Stopping() error { return m.send("STOPPING=1") }

// Status is one line for people who ask the manager how the service is.
func (m *Manager) Status(text string) error {
	return m.send("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Watch gives signs of life until ctx ends, as often as the manager wants them and only
// while alive returns nil: the manager ends a process that gives none. alive gets half of
// the manager's patience. Where no watchdog is configured Watch returns at once.
func (m *Manager) Watch(ctx context.Context, alive func(context.Context) error) error {
	if m.every == 0 || m.socket == "" {
		return nil
	}
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		asked, done := context.WithTimeout(ctx, m.every)
		err := alive(asked)
		done()
		if err == nil {
			if err := m.send("WATCHDOG=1"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// send sends one datagram.
func (m *Manager) send(state string) error {
	if m.socket == "" {
		return nil
	}
	addr := &net.UnixAddr{Name: m.socket, Net: "unixgram"} // "@name" is an abstract socket
	c, err := net.DialUnix("unixgram", nil, addr)
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	_, err = c.Write([]byte(state))
	if e := c.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
