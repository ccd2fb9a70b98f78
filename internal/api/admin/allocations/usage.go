package allocations

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay"
)

// UsageInput is the input of ListRelayUsage.
type UsageInput struct {
	admin.AnyChannel
	Max       int    `json:",omitempty" help:"At most this many channels on a page; 0 = 1000, at most 1000."`
	NextToken string `json:",omitempty" help:"From the answer before; empty for the first page."`
}

// UsageOutput is the output of ListRelayUsage.
type UsageOutput struct {
	Channels  []Use     `help:"The channels for which something was carried, the oldest channel first."`
	NextToken string    `help:"Asks for the next page; empty at the end."`
	Since     time.Time `help:"When the counters were zero: the start of the server."`
	Now       time.Time `help:"The server's clock."`
}

// Use is what was carried for a channel.
type Use struct {
	ChannelName          string `help:"Name of the channel."`
	ChannelARN           string `help:"ARN of the channel."`
	TurnConnectedMinutes uint64 `help:"Minutes that carried something, begun ones counted, of each relay address by itself."`
	Allocations          int    `help:"Relay addresses that its clients have now."`
	BytesOut             uint64 `help:"Bytes from clients to peers, without what the relay's protocol adds."`
	BytesIn              uint64 `help:"Bytes from peers to clients."`
	PacketsOut           uint64 `help:"Packets from clients to peers."`
	PacketsIn            uint64 `help:"Packets from peers to clients."`
}

func (o Options) usage(ctx context.Context, s admin.Scope, in *UsageInput) (any, error) {
	after := int64(0) // the number of the last channel before
	if in.NextToken != "" {
		var err error
		if after, err = strconv.ParseInt(in.NextToken, 10, 64); err != nil {
			return nil, kvs.Errorf(kvs.InvalidArgument, "NextToken is from no answer of this operation.")
		}
	}
	shown := cmp.Or(min(max(in.Max, 0), usual), usual)
	rows := o.Relay.Usage(relay.Query{Account: s.Account, Channel: s.Channel.ID, Most: shown + 1}, kvs.ChannelID(after))
	out := UsageOutput{Channels: []Use{}, Since: o.Started.UTC(), Now: o.Now().UTC()}
	if len(rows) > shown {
		rows = rows[:shown]
		out.NextToken = strconv.FormatInt(int64(rows[shown-1].Channel), 10)
	}
	known := map[kvs.ChannelID]kvs.Channel{s.Channel.ID: s.Channel}
	for _, u := range rows {
		ch, err := o.channel(ctx, known, u.Channel)
		if err != nil {
			return nil, err
		}
		one := Use{TurnConnectedMinutes: u.Minutes, Allocations: u.Live, BytesOut: u.BytesOut, BytesIn: u.BytesIn, PacketsOut: u.PacketsOut, PacketsIn: u.PacketsIn}
		one.ChannelName, one.ChannelARN = names(u.Channel, ch)
		out.Channels = append(out.Channels, one)
	}
	return out, nil
}
