package hub

import (
	"context"

	"github.com/millrace/millrace/internal/signal"
)

// maxLooks is how many descriptions wait to be looked at; those that come besides are not.
const maxLooks = 256

// look is a description to be looked at.
type look struct {
	room *room
	msg  *message
}

// look has a description looked at, later and elsewhere, if there is time.
func (h *Hub) look(m *member, msg *message) {
	if msg.kind == signal.Candidate {
		return
	}
	select {
	case h.looks <- look{m.room, msg}:
	default:
	}
}

// explain looks at descriptions until ctx ends.
func (h *Hub) explain(ctx context.Context) {
	for {
		select {
		case <-h.looks:
		case <-ctx.Done():
			return
		}
	}
}
