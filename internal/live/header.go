package live

import (
	"context"
	"sync/atomic"
)

// Header is the part of a chunk in front of the first cluster: EBML header, Segment
// of unknown size, Info, Tracks and whatever else the producer sent there. It is shared
// by the fragments of a session and outlives the session with them.
type Header struct {
	Bytes []byte // never modified

	budget  Budget // nil when nothing was charged
	charged int64
	holders atomic.Int64
	hosted  int // fragments in a host buffer; guarded by the stream's mu
}

// noTicket is the ticket of what belongs to no fragment.
const noTicket = 0

// Hold takes n bytes of the memory budget for what a session keeps outside its
// fragments. It waits while the budget is spent, until ctx ends.
func (s *Store) Hold(ctx context.Context, n int64) error { return s.o.Budget.Take(ctx, noTicket, n) }

// Give returns bytes that Hold took.
func (s *Store) Give(n int64) { s.o.Budget.Give(noTicket, n) }

// NewHeader makes a header of b. It takes over n bytes that Hold took, and gives them
// back when its maker has called [Header.Release] and all fragments with it are gone.
func (s *Store) NewHeader(b []byte, n int64) *Header {
	h := &Header{Bytes: b, budget: s.o.Budget, charged: n}
	h.holders.Store(1)
	return h
}

// Release says that its maker begins no more fragments with the header.
func (h *Header) Release() { h.drop() }

// Charged is what the header takes of the memory budget, in bytes.
func (h *Header) Charged() int64 { return h.charged }

func (h *Header) hold() { h.holders.Add(1) }

// drop gives the bytes back for the last holder and says how many.
func (h *Header) drop() int64 {
	if h.holders.Add(-1) > 0 || h.charged == 0 {
		return 0
	}
	h.budget.Give(noTicket, h.charged)
	return h.charged
}
