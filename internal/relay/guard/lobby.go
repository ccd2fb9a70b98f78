package guard

import (
	"net/netip"
	"sync"
)

// Connections without an allocation (section 6).
const (
	StrangersOfSource = 32
	StrangersInAll    = 2048
)

// Lobby counts connections that have no allocation.
type Lobby struct {
	mu  sync.Mutex
	all int
	of  map[netip.Addr]int
}

// NewLobby makes an empty one.
func NewLobby() *Lobby { return &Lobby{of: map[netip.Addr]int{}} }

// enter counts a connection of a source, if there is room.
func (l *Lobby) enter(source netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= StrangersInAll || l.of[source] >= StrangersOfSource {
		return false
	}
	l.all++
	l.of[source]++
	return true
}

func (l *Lobby) leave(source netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.of[source]--; l.of[source] == 0 {
		delete(l.of, source)
	}
}

// Empty says whether nobody is in it.
func (l *Lobby) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all == 0 && len(l.of) == 0
}

// Place is that of one connection: in the lobby while it is a stranger's, outside while
// somebody is known to have it.
type Place struct {
	lobby  *Lobby
	source netip.Addr
	hurry  func(yes bool)
	end    func()

	mu    sync.Mutex
	known bool
	left  bool
}

// Enter takes a place for a connection of a source, nil if there is none. From now on
// hurry is told whether the connection is to end soon, at first that it is, and end that
// there is no place for it any more. Both must not wait, nor call the place.
func (l *Lobby) Enter(source netip.Addr, hurry func(yes bool), end func()) *Place {
	p := &Place{lobby: l, source: site(source), hurry: hurry, end: end}
	if !l.enter(p.source) {
		return nil
	}
	p.hurry(true)
	return p
}

// Know says that the connection is a stranger's no more, or is one again.
func (p *Place) Know(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.left || p.known == yes:
		return
	case yes:
		p.lobby.leave(p.source)
	case !p.lobby.enter(p.source):
		p.end()
		return
	}
	p.known = yes
	p.hurry(!yes)
}

// Leave gives the place back. After it nothing is done.
func (p *Place) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return
	}
	p.left = true
	if !p.known {
		p.lobby.leave(p.source)
	}
	p.hurry(false)
}
