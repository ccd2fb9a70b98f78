package probe

import (
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/millrace/millrace/internal/relay/stun"
)

// maxFirst is how much is kept of what came first.
const maxFirst = 64

// tap is a connection that keeps what came first: the library throws away what it does not
// understand, and whoever looks for a fault wants to see just that.
type tap struct {
	net.Conn
	mu     sync.Mutex
	first  []byte
	closed bool // this machine was told that nobody listens there
}

// Write notes when nobody listens.
func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	if isRefused(err) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.closed = true
	}
	return n, err
}

// Read notes the first bytes, and when nobody listens.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = t.closed || isRefused(err)
	if room := maxFirst - len(t.first); n > 0 && room > 0 {
		t.first = append(t.first, b[:min(n, room)]...)
	}
	return n, err
}

// came returns what came first, and whether nobody listens there.
func (t *tap) came() (first []byte, closed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first, t.closed
}

// foreign says whether something came that is no STUN, and how it begins.
func (t *tap) foreign() (begins string, is bool) {
	b, _ := t.came()
	if len(b) == 0 || stun.Is(b) {
		return "", false
	}
	return begin(b), true
}

// begin is the beginning of what a stranger sent, fit to be shown.
func begin(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(b[:min(len(b), 24)]))
}

// refusal is an answer that says no.
type refusal struct {
	method stun.Method
	code   int
	reason string
}

// sight is what was seen of a server's answers beside what the library tells.
type sight struct {
	mu       sync.Mutex
	refused  refusal // the last one
	success  stun.Method
	software string
	ended    error
}

// message looks at a packet from the server.
func (s *sight) message(b []byte) {
	if !stun.Is(b) {
		return
	}
	m, err := stun.Parse(b)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := m.Get(stun.Software); ok && s.software == "" {
		s.software = readable(v)
	}
	switch m.Class() {
	case stun.Success:
		s.success = m.Method()
	case stun.Failure:
		s.refused = refusal{method: m.Method()}
		if v, ok := m.Get(stun.ErrorCode); ok && len(v) >= 4 {
			s.refused.code, s.refused.reason = int(v[2]&7)*100+int(v[3]), readable(v[4:])
		}
	}
}

// readable is a text of a stranger, for a line of ours.
func readable(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(b[:min(len(b), 80)]), "")))
}

// end notes why nothing more comes.
func (s *sight) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
}

// snapshot is a copy to look at.
func (s *sight) snapshot() (refused refusal, success stun.Method, ended error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused, s.success, s.ended
}

// forget drops the last answer: what comes is about another question.
func (s *sight) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.success = refusal{}, 0
}

func (s *sight) is() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.software
}

// isRefused says whether an error of a socket is that nobody listens there.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// isUnroutable says whether an error is that this machine has no way to an address.
func isUnroutable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// isReset says whether the other end broke a connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isForbidden says whether this machine's own firewall let nothing out.
func isForbidden(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES)
}
