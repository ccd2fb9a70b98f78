package logbook

import (
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

const (
	mostNames = 4096
	nameLife  = 30 * time.Second
	// pause is how long nothing is asked when an answer did not come.
	pause = 2 * time.Second
)

// names are those of channels that were asked for lately.
type names struct {
	mu     sync.Mutex
	of     map[kvs.ChannelID]name
	change uint64    // counts channels that were forgotten
	until  time.Time // nothing is asked
}

// name is what was known of a channel.
type name struct {
	text string // "" = there is no such channel
	at   time.Time
}

// look returns a channel's name, "" if it is certain that there is no such channel. Known
// is false if that cannot be said now.
func (l *Logbook) look(id kvs.ChannelID) (text string, known bool) {
	if l.o.Name == nil {
		return "", false
	}
	now := l.o.Now()
	if text, known = l.names.find(id, now); known || l.hurry.Load() {
		return text, known
	}
	change, may := l.names.ask(now)
	if !may {
		return "", false
	}
	text, err := l.o.Name(id)
	if err != nil && kvs.KindOf(err) != kvs.NotFound {
		l.names.rest(l.o.Now().Add(pause))
		return "", false
	}
	if err != nil {
		text = ""
	}
	l.names.remember(id, name{text, now}, change)
	return text, true
}

// find returns what is known of a channel.
func (n *names) find(id kvs.ChannelID, now time.Time) (text string, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.of[id]
	if !ok || now.Sub(e.at) >= nameLife {
		return "", false
	}
	return e.text, true
}

// ask says whether to ask for a name now. The change is for remember.
func (n *names) ask(now time.Time) (change uint64, may bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.change, !now.Before(n.until)
}

// remember keeps what was found, unless a channel was forgotten meanwhile: it might be this
// one. When there are too many, any other goes.
func (n *names) remember(id kvs.ChannelID, e name, change uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.change != change {
		return
	}
	if n.of == nil {
		n.of = map[kvs.ChannelID]name{}
	}
	if _, ok := n.of[id]; !ok && len(n.of) >= mostNames {
		for other := range n.of {
			delete(n.of, other)
			break
		}
	}
	n.of[id] = e
}

func (n *names) forget(id kvs.ChannelID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.change++
	delete(n.of, id)
}

// rest lets nobody ask for a while.
func (n *names) rest(until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.until = until
}
