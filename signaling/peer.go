package signaling

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// Peer is a member of a channel.
type Peer struct {
	o         Options
	role      string // a wire.ChannelRole value
	directory *directory

	in  chan Message
	out chan outgoing

	unsent *outgoing // of the writer: what the last connection did not take

	running atomic.Bool
	ended   chan struct{} // closed when Run has returned
	err     error         // why; read after ended
}

// ErrEnded is what Send and Receive return after Run has returned without an error.
var ErrEnded = errors.New("signaling: the peer has left the channel")

// NewMaster returns the master of a channel. A channel has one: a newer one takes its place.
// It does nothing until [Peer.Run].
func NewMaster(o Options) (*Peer, error) { return newPeer(o, wire.ChannelRoleMaster) }

// NewViewer returns a viewer of a channel. It does nothing until [Peer.Run].
func NewViewer(o Options) (*Peer, error) { return newPeer(o, wire.ChannelRoleViewer) }

func newPeer(o Options, role string) (*Peer, error) {
	if err := o.complete(role == wire.ChannelRoleViewer); err != nil {
		return nil, err
	}
	return &Peer{o: o, role: role, directory: newDirectory(o, role), in: make(chan Message, queued),
		out: make(chan outgoing, queued), ended: make(chan struct{})}, nil
}

func (p *Peer) master() bool { return p.role == wire.ChannelRoleMaster }

// ClientID returns the viewer's name in the channel, "" of a master.
func (p *Peer) ClientID() string {
	if p.master() {
		return ""
	}
	return p.o.ClientID
}

// Send gives a message to be sent: by a master to the viewer m.Peer, by a viewer to the
// master. It returns when there is room in the queue, which holds 256 messages; while there
// is no connection they wait, a minute at most. The other side need not be there: the server
// keeps messages for it for a time that the channel says. Send refuses what the server would
// refuse.
func (p *Peer) Send(ctx context.Context, m Message) error {
	if err := m.check(p.master()); err != nil {
		return err
	}
	text, err := m.encode(p.master())
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.end()
	default:
	}
	select {
	case p.out <- outgoing{text: text, since: time.Now()}:
		return nil
	case <-p.ended:
		return p.end()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Receive returns the next message. Who does not receive for long loses the connection: the
// server waits for nobody.
func (p *Peer) Receive(ctx context.Context) (Message, error) {
	select {
	case m := <-p.in:
		return m, nil
	default:
	}
	select {
	case m := <-p.in:
		return m, nil
	case <-p.ended:
		return Message{}, p.end()
	case <-ctx.Done():
		return Message{}, context.Cause(ctx)
	}
}

func (p *Peer) end() error {
	if p.err != nil {
		return p.err
	}
	return ErrEnded
}

// ICEServers returns the relays of the channel, often none. The answer of the server is used
// until half a minute before its credentials end. It may be called before Run.
func (p *Peer) ICEServers(ctx context.Context) ([]ICEServer, error) { return p.directory.ice(ctx) }

// Run joins the channel, and joins it again whenever the connection ends: at once when the
// server asked for it, else after a pause that grows from 0.1 to 10 seconds. It returns nil
// when ctx ends, and the reason when there is no hope: [ErrReplaced], or an answer of the
// server that the next attempt, with new credentials, would get as well, such as that there
// is no such channel. A Peer runs once.
func (p *Peer) Run(ctx context.Context) error {
	if p.running.Swap(true) {
		return errors.New("signaling: the peer ran already")
	}
	defer close(p.ended)
	p.err = p.run(ctx)
	return p.err
}

func (p *Peer) run(ctx context.Context) error {
	var pause pause
	refused := 0
	for {
		lasted, err := p.join(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrReplaced), untrusted(err):
			return err
		case !hopeless(err):
			refused = 0
		case refused > 0:
			return err
		default:
			refused++
		}
		wait := pause.next(lasted, errors.Is(err, errAway))
		p.o.Logger.InfoContext(ctx, "not connected to the channel", "channel", p.o.Channel, "reason", err, "again_in", wait)
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// join connects and stays. It returns how long that lasted, and why it is over.
func (p *Peer) join(ctx context.Context) (lasted time.Duration, err error) {
	conn, err := p.connect(ctx)
	if err != nil {
		return 0, err
	}
	since := time.Now()
	p.o.Logger.InfoContext(ctx, "connected to the channel", "channel", p.o.Channel, "role", p.role)
	if p.o.Connected != nil {
		p.o.Connected()
	}
	err = p.serve(ctx, conn)
	p.directory.forget()
	return time.Since(since), err
}

// untrusted says whether an error has causes that only people remove.
func untrusted(err error) bool {
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, misnamed := errors.AsType[x509.HostnameError](err)
	return unknown || misnamed || errors.Is(err, http.ErrSchemeMismatch)
}

// pause says how long to wait before the next attempt.
type pause struct{ last time.Duration }

const (
	shortPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
	stable     = 10 * time.Second // a connection that lasted so long makes pauses short again
	brief      = time.Second      // one that lasted no longer is not made again at once
)

func (p *pause) next(lasted time.Duration, away bool) time.Duration {
	if lasted >= stable {
		p.last = 0
	}
	if away && lasted >= brief {
		return 0
	}
	p.last = min(max(2*p.last, shortPause), longPause)
	return p.last/2 + rand.N(p.last/2) // many clients that lost one server do not come at once
}

// sleep waits and says whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
