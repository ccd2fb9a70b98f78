// Package allocations serves ListAllocations and ListRelayUsage: which relay addresses clients have, and what was carried for channels (docs/design/relay.md, section 8).
//
// Both are operations of our own (see package admin) and tell of the channels of the
// caller's account alone. Routes are called from many goroutines.
package allocations

import (
	"cmp"
	"context"
	"math"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay"
)

// Input is the input of ListAllocations.
type Input struct {
	admin.AnyChannel
	Max int `json:",omitempty" help:"At most this many, the fastest first; 0 = 1000, at most 20000."`
}

// Output is the output of ListAllocations.
type Output struct {
	Allocations []Allocation `help:"The relay addresses that clients have, the fastest first."`
	More        int          `help:"Those that there are besides."`
	Relay       bool         `help:"Whether the server has a relay of its own: turn.listen."`
	Now         time.Time    `help:"The server's clock."`
}

// Allocation is a relay address that a client has.
type Allocation struct {
	ChannelName          string    `help:"Name of the channel whose credentials it was lent for."`
	ChannelARN           string    `help:"ARN of the channel."`
	ClientID             string    `json:"ClientId" help:"Id of the viewer; empty of the master. A long one stands as # and a hash."`
	Transport            string    `help:"Between client and relay: udp, tcp, tls or dtls."`
	Source               string    `help:"Address of the client as the relay sees it."`
	RelayAddress         string    `help:"The address that it was lent."`
	Since                time.Time `help:"When it was lent."`
	Expires              time.Time `help:"When it ends unless the client asks again."`
	Peers                int       `help:"Addresses that it may send to: permissions or channels, whichever are more."`
	BytesOut             uint64    `help:"Bytes from the client to peers, without what the relay's protocol adds."`
	BytesIn              uint64    `help:"Bytes from peers to the client."`
	BytesPerSecondOut    float64   `help:"Bytes each second of the last 5 to 10 seconds."`
	BytesPerSecondIn     float64   `help:"Bytes each second, likewise."`
	PacketsOut           uint64    `help:"Packets from the client to peers."`
	PacketsIn            uint64    `help:"Packets from peers to the client."`
	PacketsDropped       uint64    `help:"Packets that were not relayed either way; millrace_turn_dropped_total says why."`
	TurnConnectedMinutes uint64    `help:"Begun minutes that carried something."`
}

// Relay is who knows. It is a *turn.Turn.
type Relay interface {
	Top(relay.Query) (rows []relay.Allocation, more int)
	Usage(q relay.Query, after kvs.ChannelID) []relay.Use
}

// Options are what the routes are made of. All are needed.
type Options struct {
	Relay   Relay
	Relays  bool // there is one
	Channel func(context.Context, kvs.ChannelID) (kvs.Channel, error)
	Started time.Time // since when the relay counts
	Now     func() time.Time
}

// How many allocations an answer shows: what a server has at most, and what it shows if
// nothing is said.
const (
	most  = 20_000
	usual = 1000
)

// Routes makes the routes.
func Routes(o Options) []admin.Route {
	return []admin.Route{
		admin.OnChannel("ListAllocations", "Shows which relay addresses clients have now, what they carry and how fast.", Output{}, o.list),
		admin.OnChannel("ListRelayUsage", "Says what the relay carried for signaling channels since the server was started, TurnConnectedMinutes among it. Channels for which it carried nothing are not in the list.", UsageOutput{}, o.usage),
	}
}

func (o Options) list(ctx context.Context, s admin.Scope, in *Input) (any, error) {
	rows, more := o.Relay.Top(relay.Query{Account: s.Account, Channel: s.Channel.ID, Most: cmp.Or(min(max(in.Max, 0), most), usual)})
	out := Output{Allocations: make([]Allocation, 0, len(rows)), More: more, Relay: o.Relays, Now: o.Now().UTC()}
	known := map[kvs.ChannelID]kvs.Channel{s.Channel.ID: s.Channel}
	for i := range rows {
		ch, err := o.channel(ctx, known, rows[i].Channel)
		if err != nil {
			return nil, err
		}
		out.Allocations = append(out.Allocations, show(&rows[i], ch))
	}
	return out, nil
}

// channel finds a channel once. One that was deleted a moment ago has a number alone.
func (o Options) channel(ctx context.Context, known map[kvs.ChannelID]kvs.Channel, id kvs.ChannelID) (ch kvs.Channel, err error) {
	ch, ok := known[id]
	if ok {
		return ch, nil
	}
	if ch, err = o.Channel(ctx, id); kvs.KindOf(err) == kvs.NotFound {
		ch, err = kvs.Channel{}, nil
	}
	known[id] = ch
	return ch, err
}

func show(a *relay.Allocation, ch kvs.Channel) Allocation {
	row := Allocation{
		ClientID: a.Client, Transport: string(a.Transport), Source: a.Source.String(), RelayAddress: a.Relay.String(),
		Since: a.Began.UTC(), Expires: a.Expires.UTC(), Peers: a.Peers, BytesOut: a.BytesOut, BytesIn: a.BytesIn,
		BytesPerSecondOut: round(a.RateOut), BytesPerSecondIn: round(a.RateIn), PacketsOut: a.PacketsOut, PacketsIn: a.PacketsIn,
		PacketsDropped: a.Dropped, TurnConnectedMinutes: a.Minutes,
	}
	row.ChannelName, row.ChannelARN = names(a.Channel, ch)
	return row
}

// names are those of a channel, its number if it is gone.
func names(id kvs.ChannelID, ch kvs.Channel) (name, arn string) {
	if ch.ID == 0 {
		return strconv.FormatInt(int64(id), 10), ""
	}
	return ch.Name, ch.ARN().String()
}

// round keeps two decimals: rates are not more exact than that.
func round(v float64) float64 { return math.Round(v*100) / 100 }
