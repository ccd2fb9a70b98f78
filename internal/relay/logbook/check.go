package logbook

import "github.com/millrace/millrace/internal/kvs"

// Check has it looked up whether a channel still exists, soon and once for all who ask
// meanwhile. If that cannot be found out, or too many wait, nothing happens.
func (l *Logbook) Check(id kvs.ChannelID) {
	if l.o.Name == nil || l.o.Gone == nil {
		return
	}
	l.mu.Lock()
	if l.checks == nil {
		l.checks = map[kvs.ChannelID]bool{}
	}
	if len(l.checks) < l.o.most {
		l.checks[id] = true
	}
	l.mu.Unlock()
	l.ring()
}

// verify tells if a channel is gone.
func (l *Logbook) verify(id kvs.ChannelID) {
	if name, known := l.look(id); known && name == "" {
		l.o.Gone(id)
	}
}
