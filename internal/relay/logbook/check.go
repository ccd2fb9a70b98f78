package logbook

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Check has it looked up whether a channel still exists, soon and once for all who ask
// meanwhile. If that cannot be found out it is tried again, until it can or the end begins; if
// too many wait, nothing happens.
func (l *Logbook) Check(id kvs.ChannelID) {
	if l.o.Name == nil || l.o.Gone == nil {
		return
	}
	l.mu.Lock()
	l.note(&l.checks, id)
	l.mu.Unlock()
	l.ring()
}

// note puts a channel to others if there is room, before the end. The caller holds mu.
func (l *Logbook) note(all *map[kvs.ChannelID]bool, id kvs.ChannelID) {
	if l.closed {
		return
	}
	if *all == nil {
		*all = map[kvs.ChannelID]bool{}
	}
	if len(*all) < l.o.most {
		(*all)[id] = true
	}
}

// verify tells if a channel is gone.
func (l *Logbook) verify(id kvs.ChannelID) {
	switch name, known := l.look(id); {
	case !known:
		l.postpone(id)
	case name == "":
		l.o.Gone(id)
	}
}

// postpone has a channel checked when the database may be asked again.
func (l *Logbook) postpone(id kvs.ChannelID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.note(&l.later, id)
	if l.again == nil && !l.closed {
		l.again = time.AfterFunc(pause, l.resume)
	}
}

// resume is when what was postponed is due.
func (l *Logbook) resume() {
	l.mu.Lock()
	for id := range l.later {
		l.note(&l.checks, id)
	}
	l.later, l.again = nil, nil
	l.mu.Unlock()
	l.ring()
}
