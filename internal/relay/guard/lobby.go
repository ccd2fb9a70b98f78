package guard

import (
	"container/list"
	"net/netip"
	"sync"
)

// Connections without an allocation (section 6).
const (
	StrangersOfSource = 32
	Strangers         = 2048 // of TCP and TLS
	DTLSStrangers     = 1024 // whose sources may be forged
)

// Lobby is where connections are that have no allocation.
type Lobby struct {
	most  int
	yield bool

	mu   sync.Mutex
	line list.List // of *Place, who came first first
	of   map[netip.Addr]int
}

// NewLobby makes one that turns away who comes when it is full.
func NewLobby(most int) *Lobby { return &Lobby{most: most, of: map[netip.Addr]int{}} }

// NewYieldingLobby makes one in which the one that is there longest gives way when it is
// full. Sources may be forged where it is used: who sends in their names does not keep
// others out, unless he sends as many as there is room for while they shake hands.
func NewYieldingLobby(most int) *Lobby {
	l := NewLobby(most)
	l.yield = true
	return l
}

// enter takes a place if there is one.
func (l *Lobby) enter(p *Place) bool {
	ok, first := l.admit(p)
	if first != nil {
		first.end()
	}
	return ok
}

// admit takes a place, and says who gave way for it.
func (l *Lobby) admit(p *Place) (ok bool, first *Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.line.Len() >= l.most
	if l.of[p.source] >= StrangersOfSource || full && !l.yield {
		return false, nil
	}
	if full {
		first, _ = l.line.Front().Value.(*Place) // there are no others
		l.remove(first)
	}
	p.in = l.line.PushBack(p)
	l.of[p.source]++
	return true, first
}

// leave gives a place back, if it was not given away.
func (l *Lobby) leave(p *Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.in != nil {
		l.remove(p)
	}
}

// remove takes a place out of the lobby. The caller holds mu.
func (l *Lobby) remove(p *Place) {
	l.line.Remove(p.in)
	p.in = nil
	if l.of[p.source]--; l.of[p.source] == 0 {
		delete(l.of, p.source)
	}
}

// Empty says whether nobody is in it.
func (l *Lobby) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line.Len() == 0 && len(l.of) == 0
}

// Place is that of one connection: in the lobby while it is a stranger's, outside while
// somebody is known to have it.
type Place struct {
	lobby  *Lobby
	source netip.Addr
	hurry  func(yes bool)
	end    func()
	in     *list.Element // of the lobby's line, whose mu holds it; nil = outside

	mu    sync.Mutex
	known bool
	left  bool
}

// Enter takes a place for a connection of a source, nil if there is none. From now on
// hurry is told whether the connection is to end soon, at first that it is, and end that
// there is no place for it any more, from any goroutine. Both must not wait, nor call the place.
func (l *Lobby) Enter(source netip.Addr, hurry func(yes bool), end func()) *Place {
	p := &Place{lobby: l, source: site(source), hurry: hurry, end: end}
	if !l.enter(p) {
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
		p.lobby.leave(p)
	case !p.lobby.enter(p):
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
		p.lobby.leave(p)
	}
	p.hurry(false)
}
