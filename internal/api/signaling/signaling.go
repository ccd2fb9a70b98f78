// Package signaling is the door of signaling channels: it says where to connect, upgrades
// masters and viewers to WebSockets, and names ICE servers (docs/design/signaling.md). What
// is said over the connections is the business of package hub.
package signaling

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// Hub is where connections meet. It is a [hub.Hub].
type Hub interface {
	Reserve(m hub.Member) (*hub.Seat, error)
	Offer(ctx context.Context, ch kvs.Channel, sender, payload string) (answer string, err error)
	Presence(a kvs.AccountID, channel string) []hub.Presence
}

// Options are what the room is made of.
type Options struct {
	Hub       Hub
	Limits    *quota.Book
	Addresses Addresses

	// ICE names the servers that a client of a channel may use; clientID is "" for a master and
	// for who does not say. nil = none.
	ICE func(ctx context.Context, ch kvs.Channel, clientID string) ([]wire.IceServer, error)

	// Closing is done when long calls should end because the server stops.
	Closing context.Context

	Now func() time.Time // the hub's clock
}

// room holds the handlers.
type room struct {
	Options
}

// Routes returns the operations served here.
func Routes(o Options) []api.Route {
	r := room{o}
	return []api.Route{
		api.OnChannel("GetSignalingChannelEndpoint", r.endpoints),
		api.OnChannel("GetIceServerConfig", r.iceServers),
		api.OnChannel("SendAlexaOfferToMaster", r.alexaOffer),
	}
}

// The operations of the WebSockets, which no model has.
const (
	asMaster = "ConnectAsMaster"
	asViewer = "ConnectAsViewer"
)

// Sockets returns the WebSockets served here.
func Sockets(o Options) []api.Socket {
	r := room{o}
	return []api.Socket{
		{Operation: asMaster, Target: masterTarget, Open: r.opener(hub.Master)},
		{Operation: asViewer, Target: viewerTarget, Open: r.opener(hub.Viewer)},
	}
}
