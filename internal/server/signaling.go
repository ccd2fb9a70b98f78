package server

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/api/signaling"
	"github.com/millrace/millrace/internal/api/video"
	"github.com/millrace/millrace/internal/certs"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/server/turn"
	"github.com/millrace/millrace/internal/wire"
)

// openSignaling opens the place where clients of channels meet.
func (s *Server) openSignaling(context.Context) error {
	s.hub = hub.New(hub.Options{Now: s.config.Real, Metrics: s.metrics, Logger: s.log})
	return nil
}

// signalingOptions are those of the door of channels.
func (s *Server) signalingOptions(endpoint video.Endpoint) signaling.Options {
	return signaling.Options{Hub: s.hub, Limits: s.book, ICE: s.iceServers, Closing: s.closing, Now: s.config.Real,
		Addresses: signaling.Addresses{Domain: s.config.Signaling.Domain, Base: endpoint.For}}
}

// signalingNames are the names that the certificate has for channels.
func signalingNames(c *config.Config) []string {
	return signaling.Addresses{Domain: c.Signaling.Domain}.Names()
}

// certificateNames are the names of the server's own certificate: those of the machine, those
// of the settings, and by which clients are told to come.
func certificateNames(c *config.Config) []string {
	all := slices.Concat(certs.HostNames(c.Dev), c.TLS.Names)
	if u, err := url.Parse(c.Endpoint); err == nil && u.Hostname() != "" {
		all = append(all, u.Hostname())
	}
	if c.Signaling.Domain != "" {
		all = append(all, c.Signaling.Domain) // mostly where the API is called
	}
	all = slices.Concat(all, signalingNames(c), turn.Names(&c.Turn, c.Signaling.Domain))
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// iceLife is for how many seconds a client may use what it is told of servers that do not
// change by themselves: it should ask again soon after the settings changed.
const iceLife = 300

// openTurn opens the server's own relay, if the settings want one.
func (s *Server) openTurn(context.Context) (err error) {
	secret, err := s.data.Secret("token-key")
	if err != nil {
		return err
	}
	o := turn.Options{Settings: s.config.Turn, Domain: s.config.Signaling.Domain, Dev: s.config.Dev, Secret: derived(secret, "relay"), Limits: s.book, Channel: s.channelName, Now: s.config.Real, Logger: s.log}
	if s.certs != nil {
		o.TLS = s.certs.Config
	}
	for _, m := range slices.Concat(secretConcerns(&s.config), turnConcerns(&s.config)) {
		s.log.Warn("a setting may do what nobody wants", "setting", m.Setting, "because", m.Text)
	}
	s.turn, err = turn.Open(o)
	return err
}

// channelName is how the log names a channel: NotFound if it was deleted, another error if the
// database takes too long. A number is better than no line.
func (s *Server) channelName(id kvs.ChannelID) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	ch, err := s.channels.ByID(ctx, id)
	return ch.Name, err
}

// meeting is told of what happens to channels: who meets in them, and who is relayed for them.
type meeting struct {
	*hub.Hub
	turn *turn.Turn
}

// Deleted ends what a channel has.
func (m meeting) Deleted(id kvs.ChannelID) {
	m.Hub.Deleted(id)
	m.turn.Revoke(id)
}

// iceServers are our own relay and those of the settings.
func (s *Server) iceServers(_ context.Context, ch kvs.Channel, client string) (all []wire.IceServer, err error) {
	all = s.turn.Servers(ch, client)
	for _, text := range s.settings.Load().Signaling.ICEServers {
		one, err := config.ParseICEServer(text)
		if err != nil {
			return nil, err
		}
		secret, err := one.Secret()
		if err != nil {
			return nil, fmt.Errorf("signaling.ice_servers: %w", err)
		}
		if one.Shared {
			one.Username, secret = credential.Shared(secret, s.config.Real(), cmp.Or(client, "master"), iceLife*time.Second)
		}
		all = append(all, signaling.ICEServer(one.URLs, one.Username, secret, iceLife))
	}
	return all, nil
}

// iceChanged tells clients that are connected that what they were told of servers is old.
func (s *Server) iceChanged(old, next *config.Config) {
	if !slices.Equal(old.Signaling.ICEServers, next.Signaling.ICEServers) || old.Turn.Host != next.Turn.Host {
		s.hub.RenewICE()
	}
}

// closeSockets asks the clients of channels to leave and waits until they are gone, or ctx
// ends. Those that are left after four fifths of the time in which the server stops are
// closed.
func (s *Server) closeSockets(ctx context.Context) error {
	grace := s.config.Shutdown * 4 / 5
	if d := s.book.View("", 0).Duration(quota.SocketGoAway); d > 0 {
		grace = min(grace, d)
	}
	s.hub.Stop(grace)
	if err := s.sockets.Wait(ctx); err != nil {
		s.log.Warn("connections to signaling channels are cut", "error", err)
	}
	return nil
}
