// Package relay is the server of STUN and TURN: it tells clients how they are seen from
// outside and lends them addresses at which others reach them. What it does is written in
// docs/design/relay.md, and the sections named here are that page's.
//
// [New] opens the sockets, [Server.Run] serves until its context ends and owns all
// goroutines. Credentials come from [Server.Issue] and end with [Server.Revoke]. All methods
// may be called from any number of goroutines.
//
// A packet comes in at a socket, stream or DTLS session, each of which makes a path for its
// client; a path with an allocation carries it out through the relay socket, or back.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/datagram"
	"github.com/millrace/millrace/internal/relay/guard"
	"github.com/millrace/millrace/internal/relay/logbook"
	"github.com/millrace/millrace/internal/relay/peers"
)

// Options say how to relay. Listeners and Secrets are needed.
type Options struct {
	Listeners []Listener
	Addresses []Address           // one of a family at most; empty = found (section 2)
	Ports     Ports               // of relay addresses; zero = 49152 to 65535
	Secrets   []credential.Secret // the first issues, all are taken
	Realm     string              // of the long-term mechanism; "" = millrace
	TLS       func() *tls.Config  // asked at each handshake; nil = neither TLS nor DTLS
	Allow     []netip.Prefix      // peers that are served although they are special or this host
	Sockets   int                 // of a UDP listener, where the system can; 0 = one per core
	Discovery bool                // let clients find out what their NAT does; wants two addresses (section 9)

	// Limits returns what a channel's allocations may; nil = no limits.
	Limits func(kvs.AccountID, kvs.ChannelID) Limits
	// Limited is called when a channel has as many allocations as it may; nil = nobody.
	Limited func()
	// Name returns a channel's name for the log, or an error of kind NotFound if there is no
	// such channel: an allocation that has begun for it ends, as by [Server.Revoke]. Nil = all
	// have none. Only the log waits for it, and the end of the server.
	Name func(kvs.ChannelID) (string, error)

	Now    func() time.Time // nil = [time.Now]
	Logger *slog.Logger     // nil = discard

	wait time.Duration // for what a stranger wants; 0 = strangerTime
}

// Limits are those of one channel; zero = none.
type Limits struct {
	Allocations int           // at once
	Bandwidth   int64         // bytes of payload a second, of each allocation and each way
	Age         time.Duration // of credentials when an allocation begins; 0 = 5 minutes, at most a day
}

// strangerTime is how long a connection may go without an allocation (section 6).
const strangerTime = 15 * time.Second

const (
	defaultAge = 5 * time.Minute
	maxAge     = 24 * time.Hour
)

// Ports is a range with both ends in it.
type Ports struct{ First, Last uint16 }

// Server is a relay.
type Server struct {
	o         Options
	peers     atomic.Pointer[peers.Policy] // without the addresses of this machine
	host      *host
	discovery *discovery // nil = none
	book      *book
	lobby     *guard.Lobby // of streams
	hall      *guard.Lobby // of DTLS sessions, whose sources may be forged: they must not fill the other
	quiet     *guard.Quiet
	logbook   *logbook.Logbook

	lines, strangerLines guard.Bucket // of the log, about refusals
	began                time.Time
	doors                []door
	counts               counts
	batches              *datagram.Pool // of relay sockets
	running              sync.WaitGroup // everything that Run must wait for
	ended                context.Context
	end                  context.CancelFunc
}

// door is an open listener.
type door interface {
	listening() Listener
	serve() // until closed
	close()
}

// New opens the listeners. A server that is not run must be closed with [Server.Close].
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	for range portTries {
		s, err := open(o)
		if err == nil || !errors.Is(err, errNotFree) {
			return s, err
		}
	}
	return nil, errNotFree
}

// open opens the listeners. If any port will do, errNotFree says that another may.
func open(o Options) (*Server, error) {
	s := &Server{
		o: o, book: newBook(o.Ports), began: o.Now(), batches: datagram.NewPool(mostBatches, room),
		lobby: guard.NewLobby(guard.Strangers), hall: guard.NewYieldingLobby(guard.DTLSStrangers), quiet: guard.NewQuiet(),
	}
	s.logbook = logbook.New(logbook.Options{Name: o.Name, Gone: s.Revoke, Now: o.Now, Logger: o.Logger})
	s.Allow(o.Allow)
	s.host = &host{relay: o.Addresses, interfaces: interfacePrefixes}
	s.ended, s.end = context.WithCancel(context.Background())
	for _, l := range o.Listeners {
		doors, err := s.open(l)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("relay on %s %s: %w", l.Network, l.Address, err)
		}
		s.doors = append(s.doors, doors...)
	}
	if o.Discovery {
		if err := s.discover(); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// complete checks the options and fills in what they leave open.
func (o *Options) complete() (err error) {
	if len(o.Listeners) == 0 || len(o.Secrets) == 0 {
		return errors.New("a relay needs listeners and a secret")
	}
	if o.Ports == (Ports{}) {
		o.Ports = Ports{First: 49152, Last: 65535}
	}
	if o.Ports.First == 0 || o.Ports.First > o.Ports.Last {
		return fmt.Errorf("relay ports %d to %d: want the lower one first", o.Ports.First, o.Ports.Last)
	}
	if o.Addresses, err = completeAddresses(o.Addresses, o.Listeners); err != nil {
		return err
	}
	if o.Realm == "" {
		o.Realm = "millrace"
	}
	if o.Limits == nil {
		o.Limits = func(kvs.AccountID, kvs.ChannelID) Limits { return Limits{} }
	}
	if o.Limited == nil {
		o.Limited = func() {}
	}
	if o.wait == 0 {
		o.wait = strangerTime
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Allow changes which peers are served although they are special or this host. What clients
// were permitted before lasts until they would have to ask again.
func (s *Server) Allow(all []netip.Prefix) { s.peers.Store(&peers.Policy{Allow: all}) }

// Listening returns the listeners with the ports that they have.
func (s *Server) Listening() (all []Listener) {
	for _, d := range s.doors {
		all = append(all, d.listening())
	}
	return all
}

// Addresses returns the relay addresses in use, those that were found among them.
func (s *Server) Addresses() []Address { return s.o.Addresses }

// Run serves until the context ends and returns when everything has ended. [Server.Drain]
// before it lets allocations go on for a while.
func (s *Server) Run(ctx context.Context) error {
	for _, d := range s.doors {
		s.running.Go(d.serve)
	}
	s.running.Go(s.sampling)
	s.running.Go(func() { s.logbook.Run(s.ended) })
	<-ctx.Done()
	s.Close()
	return nil
}

// Drain refuses new allocations from now on, and waits until there are none, or ctx ends.
func (s *Server) Drain(ctx context.Context) { s.book.drain(ctx) }

// Close ends everything at once, with the reason stopping. When it returns, everything that
// was to be logged is.
func (s *Server) Close() {
	defer s.logbook.Hurry()()
	s.end()
	s.book.close()
	for _, a := range s.book.all() {
		a.stop(Stopping)
	}
	for _, d := range s.doors {
		d.close()
	}
	s.running.Wait()
	s.logbook.Close()
}

// Issue makes credentials for a client of a channel, "" = its master, and says how long
// they may begin allocations.
func (s *Server) Issue(account kvs.AccountID, channel kvs.ChannelID, client string) (user, password string, ttl time.Duration) {
	ttl = s.o.Limits(account, channel).Age
	if ttl <= 0 {
		ttl = defaultAge
	}
	ttl = min(ttl, maxAge)
	user, password = s.o.Secrets[0].Issue(s.o.Now(), credential.Holder{Account: account, Channel: channel, Client: client}, ttl)
	return user, password, ttl
}

// Revoke ends a channel's allocations, and takes its credentials no more. A channel's
// number is never used again.
func (s *Server) Revoke(channel kvs.ChannelID) {
	for _, a := range s.book.revoke(channel, s.o.Now()) {
		a.stop(Revoked)
	}
	s.counts.drop(channel)
	s.logbook.Forget(channel)
}

// since is the time as the buckets count it.
func (s *Server) since(now time.Time) int64 { return int64(now.Sub(s.began)) }
