// Package hub decides who on a signaling channel gets which message, and keeps what comes
// for somebody who is not there yet (docs/design/signaling.md, sections 4 to 11).
//
// A connection takes a [Seat] before its upgrade ([Hub.Reserve]) and is then served on the
// goroutine of its request ([Seat.Serve]). Each channel that has anybody or anything in it
// is a room, which one goroutine owns: all that members share is touched there only. A
// member has no goroutine besides the one that reads: a writer lives while there is
// something to write, and a timer asks from time to time whether it is still there.
//
// Nobody waits for a slow member: what goes to it is queued within bounds, and it is
// dropped when they are reached. All methods may be called from many goroutines; [Hub.Run]
// must be running for connections to be told of the end of the server.
package hub

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/signal"
)

// Bounds that protect the server (signaling.md, sections 4, 5 and 7).
const (
	maxHeld        = 256 << 20   // bytes of messages in all channels together
	maxAccountHeld = maxHeld / 2 // of them in those of one account: others have a place beside it
	maxOutbox      = 256         // messages that wait to be written to a connection
	maxOutboxBytes = 1 << 20
	maxWaiting     = 1024 // messages in the mailboxes of a channel
	maxWaitBytes   = 4 << 20
	maxCandidates  = 128  // in the mailbox of a pair
	maxAsked       = 1024 // Alexa offers of a channel that were made within its TTL, one for each sender
	maxClientText  = 256  // bytes that are kept of what a client says of itself

	writeTimeout = 10 * time.Second
	pingAfter    = 30 * time.Second
	pingTimeout  = 20 * time.Second

	maxOffences = 100 // bad messages of a connection in offenceTime
	offenceTime = time.Minute

	paceMessages = 1000 // a second, of a connection; then reading pauses
	paceBytes    = 4 << 20

	remembered = time.Minute // how long a deleted channel is known to be one
)

// Options are what a hub is made of. The zero value works.
type Options struct {
	Now     func() time.Time // nil = time.Now
	Logger  *slog.Logger     // nil = nothing is logged
	Metrics *metrics.Set     // nil = nobody looks
}

// Hub has all channels that somebody uses.
type Hub struct {
	now    func() time.Time
	log    *slog.Logger
	counts *counts
	events *events
	looks  chan look
	ending chan time.Duration // the grace of Stop

	held atomic.Int64 // bytes of messages that are somewhere in the hub

	mu       sync.Mutex // over the following, and the users of rooms
	rooms    map[kvs.ChannelID]*room
	accounts map[kvs.AccountID]*share    // of those that have rooms
	gone     map[kvs.ChannelID]time.Time // deleted lately
	stopping bool
	owners   sync.WaitGroup // the goroutines of rooms
}

// New returns a hub without channels.
func New(o Options) *Hub {
	h := &Hub{now: o.Now, log: o.Logger, rooms: map[kvs.ChannelID]*room{}, accounts: map[kvs.AccountID]*share{}, gone: map[kvs.ChannelID]time.Time{},
		ending: make(chan time.Duration, 1), looks: make(chan look, maxLooks)}
	if h.now == nil {
		h.now = time.Now
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = metrics.New()
	}
	h.counts, h.events = newCounts(o.Metrics), newEvents(h.now())
	return h
}

// Run closes connections whose grace is over, and explains why calls fail, until ctx ends;
// then it closes what is left at once and returns when all is gone.
func (h *Hub) Run(ctx context.Context) error {
	var looking sync.WaitGroup
	looking.Go(func() { h.explain(ctx) })
	defer looking.Wait()
	var over <-chan time.Time
	for {
		select {
		case grace := <-h.ending:
			over = time.After(grace)
		case <-over:
			h.closeAll()
		case <-ctx.Done():
			h.refuse()
			h.closeAll()
			h.owners.Wait()
			return nil
		}
	}
}

// Stop lets nobody in any more and tells all who are there to go away. It returns at once;
// who is still there after the grace is closed.
func (h *Hub) Stop(grace time.Duration) {
	h.refuse()
	h.each(func(r *room) { r.tell(signal.GoAway) })
	select {
	case h.ending <- grace:
	default: // it was said before
	}
}

func (h *Hub) refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

func (h *Hub) closeAll() {
	h.each(func(r *room) {
		r.shut(stopping, kvs.Errorf(kvs.Unavailable, "The server is stopping; try again in a moment."))
	})
}

// Changed tells the hub of a channel's new metadata: its TTL holds for messages that come
// from now on.
func (h *Hub) Changed(c kvs.Channel) {
	if r := h.find(c.ID); r != nil {
		r.last(func() { r.channel = c })
	}
}

// Deleted closes the connections of a channel that is no more, and forgets what waits.
func (h *Hub) Deleted(id kvs.ChannelID) {
	h.bury(id)
	if r := h.find(id); r != nil {
		r.last(func() {
			r.shut(deleted, kvs.Errorf(kvs.NotFound, "The channel was deleted."))
		})
	}
}

// bury remembers for a while that a channel was deleted: somebody who found it before may
// come to its door just now.
func (h *Hub) bury(id kvs.ChannelID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	for id, since := range h.gone {
		if now.Sub(since) > remembered {
			delete(h.gone, id)
		}
	}
	h.gone[id] = now
}

// RenewICE tells everybody that the relay is about to change.
func (h *Hub) RenewICE() {
	h.each(func(r *room) { r.tell(signal.ReconnectICE) })
}

// each has every room do something, and returns when it is handed over.
func (h *Hub) each(do func(*room)) {
	for _, r := range h.all(nil) {
		r.last(func() { do(r) })
	}
}

// all returns the rooms of which yes says yes, all with one user more.
func (h *Hub) all(yes func(*room) bool) []*room {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := make([]*room, 0, len(h.rooms))
	for _, r := range h.rooms {
		if yes == nil || yes(r) {
			r.users++
			found = append(found, r)
		}
	}
	return found
}

// find returns the room of a channel, with one user more, nil if there is none.
func (h *Hub) find(id kvs.ChannelID) *room {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r != nil {
		r.users++
	}
	return r
}

// enter returns the room of a channel, with one user more, and begins it if there is none.
func (h *Hub) enter(c kvs.Channel) (*room, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopping {
		return nil, kvs.Errorf(kvs.Unavailable, "The server is stopping; try again in a moment.")
	}
	if _, gone := h.gone[c.ID]; gone {
		return nil, kvs.Errorf(kvs.NotFound, "The channel %s does not exist.", c.Name)
	}
	r := h.rooms[c.ID]
	if r == nil {
		r = newRoom(h, c)
		h.rooms[c.ID] = r
		r.share = h.share(c.Account)
		h.owners.Go(r.run)
	}
	r.users++
	return r, nil
}

// exit takes a user off a room.
func (h *Hub) exit(r *room) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.users--
}

// remove takes a room that has nothing in it off the list, unless it is being used.
func (h *Hub) remove(r *room) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.users > 0 {
		return false
	}
	delete(h.rooms, r.id)
	if r.share.rooms--; r.share.rooms == 0 {
		delete(h.accounts, r.account)
	}
	return true
}

// share is what the channels of an account have of the hub.
type share struct {
	held  atomic.Int64 // bytes of messages
	rooms int          // under the hub's mu
}

// share returns the share of an account, for one room more. mu is held.
func (h *Hub) share(a kvs.AccountID) *share {
	s := h.accounts[a]
	if s == nil {
		s = &share{}
		h.accounts[a] = s
	}
	s.rooms++
	return s
}

// take makes sure that a message of the room may be held, and counts it.
func (r *room) take(msg *message) bool {
	n := int64(msg.size())
	msg.share = r.share
	if all, own := r.hub.held.Add(n), r.share.held.Add(n); all <= maxHeld && own <= maxAccountHeld {
		return true
	}
	r.hub.release(msg)
	return false
}

// release counts a message that is not held any more.
func (h *Hub) release(msg *message) {
	n := int64(msg.size())
	h.held.Add(-n)
	msg.share.held.Add(-n)
}
