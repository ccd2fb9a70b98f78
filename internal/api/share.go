package api

import (
	"github.com/millrace/millrace/internal/quota"
)

// Share says which limits hold for the sessions of an operation that sends media.
type Share struct {
	Limits    *quota.Book
	Sessions  quota.Count     // of a stream; a new one beyond them is refused
	Bandwidth quota.Bandwidth // of all sessions of a stream together
	Fragments quota.PerSecond // of each session; the zero value is no limit
}

// Place is what one session has of a [Share] while it lasts.
type Place struct {
	release func()
	flow    *quota.Pace
	beat    *quota.Pace // nil = no limit
}

// Take takes a place for the call's stream. It returns an error of kind
// TooManyConnections when there is none. Callers close it.
func (s Share) Take(c *Call) (*Place, error) {
	release, err := s.Limits.Connect(s.Sessions, c.Stream)
	if err != nil {
		return nil, err
	}
	view := s.Limits.View(c.Stream.Account, c.Stream.ID)
	p := &Place{release: release, flow: view.Flow(s.Bandwidth)}
	if s.Fragments.Limit != nil {
		p.beat = view.OwnBeat(s.Fragments)
	}
	return p, nil
}

// Close gives the place to others.
func (p *Place) Close() {
	p.flow.Close()
	if p.beat != nil {
		p.beat.Close()
	}
	p.release()
}
