package ingest

import (
	"sync"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// registry knows the sessions of each stream, oldest first.
type registry struct {
	mu      sync.Mutex
	streams map[kvs.StreamID][]*session
}

// add enters a session and displaces the oldest ones beyond the limit. One displaced
// session may drain: a producer that rotates its token waits there for its last
// PERSISTED (decisions sheet, row 5). The returned function takes the session out.
func (r *registry) add(id kvs.StreamID, s *session) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := append(r.streams[id], s)
	r.streams[id] = all
	if limit := s.limits.Int(quota.PutSessions); limit > 0 {
		for i, old := range all[:max(0, len(all)-limit)] {
			if i < len(all)-limit-1 {
				old.cancel(errDisplaced)
			}
			old.displace()
		}
	}
	return func() { r.remove(id, s) }
}

// Open reports how many sessions a stream has.
func (g *Ingest) Open(id kvs.StreamID) int {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	return len(g.sessions.streams[id])
}

func (r *registry) remove(id kvs.StreamID, s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.streams[id]
	for i, o := range all {
		if o == s {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if r.streams[id] = all; len(all) == 0 {
		delete(r.streams, id)
	}
}
