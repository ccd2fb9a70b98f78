package rtc

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/signaling"
)

// MasterOptions say what a master sends, and through whom it is found.
type MasterOptions struct {
	Signaling Signaling // required
	Video     Source    // nil = no picture
	Sound     Source    // nil = no sound
	Network   Network
	Logger    *slog.Logger // nil = nobody wants to know
}

// maxCalls is how many viewers a master has at most: what a channel without a limit lets in
// is not to take all memory.
const maxCalls = 1000

// inbox is how many messages of a viewer may wait for its call.
const inbox = 256

// Master sends its sources to whoever makes an offer.
type Master struct {
	signaling Signaling
	network   Network
	log       *slog.Logger
	video     *feed // nil = none
	sound     *feed // nil = none

	mu      sync.Mutex // over calls
	calls   map[string]*call
	running sync.WaitGroup // the calls
}

// NewMaster returns a master. It does nothing until [Master.Run].
func NewMaster(o MasterOptions) (*Master, error) {
	if o.Video == nil && o.Sound == nil {
		return nil, errors.New("a master needs something to send")
	}
	m := &Master{signaling: o.Signaling, network: o.Network, log: o.Logger, calls: map[string]*call{}}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if o.Video != nil {
		m.video = newFeed(o.Video, false)
	}
	if o.Sound != nil {
		m.sound = newFeed(o.Sound, true)
	}
	return m, nil
}

// Run answers offers until ctx ends, a source fails, or the channel is lost for good.
func (m *Master) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range m.feeds() {
		group.Go(func() error { return f.run(ctx) })
	}
	group.Go(func() error { return m.receive(ctx) })
	err := group.Wait()
	m.running.Wait()
	return err
}

func (m *Master) feeds() (all []*feed) {
	for _, f := range []*feed{m.video, m.sound} {
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// Viewers returns how many viewers there are, also those who do not see anything yet.
func (m *Master) Viewers() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.calls)
}

// receive gives messages to the calls that they are for.
func (m *Master) receive(ctx context.Context) error {
	for {
		message, err := m.signaling.Receive(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		switch message.Type {
		case signaling.Offer, signaling.Candidate:
			m.deliver(ctx, message)
		case signaling.StatusResponse:
			m.log.WarnContext(ctx, "the server refused a message", "status", message.Status)
		}
	}
}

// deliver finds the call of a viewer. An offer begins a new one, and ends the one that was:
// the viewer has begun again.
func (m *Master) deliver(ctx context.Context, message signaling.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.calls[message.Peer]
	if c != nil && message.Type == signaling.Offer && c.offered {
		c.cancel()
		delete(m.calls, message.Peer)
		c = nil
	}
	if c == nil {
		if len(m.calls) >= maxCalls {
			m.log.WarnContext(ctx, "too many viewers", "viewer", message.Peer)
			return
		}
		c = m.begin(ctx, message.Peer)
	}
	c.offered = c.offered || message.Type == signaling.Offer
	select {
	case c.inbox <- message:
	default:
		m.log.WarnContext(ctx, "a viewer sends too many candidates", "viewer", message.Peer)
	}
}

// begin starts the call of a viewer. The caller holds mu.
func (m *Master) begin(ctx context.Context, viewer string) *call {
	ctx, cancel := context.WithCancel(ctx)
	c := &call{master: m, viewer: viewer, log: m.log.With("viewer", viewer), cancel: cancel, inbox: make(chan signaling.Message, inbox)}
	m.calls[viewer] = c
	m.running.Go(func() {
		defer m.end(c)
		c.run(ctx)
	})
	return c
}

// end forgets a call that is over, unless another one took its place.
func (m *Master) end(c *call) {
	c.cancel()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls[c.viewer] == c {
		delete(m.calls, c.viewer)
	}
}
