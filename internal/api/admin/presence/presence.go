// Package presence serves ListPresence and WatchPresence: who is on the signaling channels, and who comes and goes (docs/design/signaling.md, section 10).
//
// Both are operations of our own (see package admin) and tell of the channels of the
// caller's account alone. Routes are called from many goroutines.
package presence

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/kvs"
)

// ListInput is the input of ListPresence.
type ListInput struct {
	admin.AnyChannel
	Max       int    `json:",omitempty" help:"At most this many channels on a page; 0 = 1000, at most 1000."`
	NextToken string `json:",omitempty" help:"From the answer before; empty for the first page."`
}

// ListOutput is the output of ListPresence.
type ListOutput struct {
	Channels  []Channel `help:"The channels on which somebody is or something waits, by name."`
	NextToken string    `help:"Asks for the next page; empty at the end."`
	Now       time.Time `help:"The server's clock."`
}

// Channel is who is on a channel.
type Channel struct {
	ChannelName  string        `help:"Name of the channel."`
	ChannelARN   string        `help:"ARN of the channel."`
	Master       *Connection   `help:"The master's connection; null when there is none."`
	Viewers      int           `help:"Number of viewers."`
	ViewerList   []*Connection `json:",omitempty" help:"The first 1000 viewers by their ids, if a channel was named."`
	Waiting      int           `help:"Messages that wait for somebody who is not there."`
	WaitingBytes int           `help:"What they hold."`
}

// Connection is a member's connection.
type Connection struct {
	ClientID  string    `json:"ClientId" help:"Id of the viewer; empty of the master."`
	Since     time.Time `help:"When it came."`
	Client    string    `help:"Its address."`
	UserAgent string    `help:"What it calls itself."`
}

// WatchInput is the input of WatchPresence.
type WatchInput struct {
	admin.AnyChannel
	After uint64 `json:",omitempty" help:"Number after which events are wanted, of the answer before; 0 = none are, only the number to begin with."`
}

// WatchOutput is the output of WatchPresence.
type WatchOutput struct {
	Events []Event `help:"What happened, in order; none when nothing did for 20 seconds."`
	Next   uint64  `help:"After of the next call."`
}

// Event is a coming or a going.
type Event struct {
	Number      uint64    `help:"Greater is later, also after a restart of the server."`
	Time        time.Time `help:"When it was."`
	ChannelName string    `help:"Name of the channel."`
	ChannelARN  string    `help:"ARN of the channel."`
	Role        string    `help:"master or viewer."`
	ClientID    string    `json:"ClientId" help:"Id of the viewer; empty of the master."`
	Client      string    `help:"Address of the connection."`
	Event       string    `help:"came or went."`
	Reason      string    `help:"Why it went, as the log and the metrics say it: left, lost, replaced, deleted, revoked, expired, silent, slow, idle, age, stopping, abuse or protocol."`
}

// Hub is who knows. It is a *hub.Hub.
type Hub interface {
	Presence(a kvs.AccountID, channel string) []hub.Presence
	Events(ctx context.Context, a kvs.AccountID, channel string, after uint64) ([]hub.Event, uint64, error)
}

// Options are what the routes are made of. All are needed.
type Options struct {
	Hub     Hub
	Now     func() time.Time
	Closing context.Context // done when the server stops: nobody waits any longer
}

// most is how many channels an answer shows, and how many viewers of one.
const most = 1000

// Routes makes the routes.
func Routes(o Options) []admin.Route {
	return []admin.Route{
		admin.OnChannel("ListPresence", "Says who is on the signaling channels: since when there is a master, how many viewers, and how many messages wait. With a channel it names the viewers.", ListOutput{}, o.list),
		admin.OnChannel("WatchPresence", "Waits up to 20 seconds for somebody to come to a signaling channel or to go, and says who it was and why. The last 4096 events of the server are kept for who comes back late.", WatchOutput{}, o.watch),
	}
}

func (o Options) list(_ context.Context, s admin.Scope, in *ListInput) (any, error) {
	all := o.Hub.Presence(s.Account, s.Channel.Name)
	if in.NextToken != "" { // the name of the last channel before
		first, found := slices.BinarySearchFunc(all, in.NextToken, func(p hub.Presence, name string) int { return strings.Compare(p.Channel.Name, name) })
		if found {
			first++
		}
		all = all[first:]
	}
	out := ListOutput{Channels: []Channel{}, Now: o.Now().UTC()}
	shown := min(len(all), cmp.Or(min(max(in.Max, 0), most), most))
	if shown < len(all) {
		out.NextToken = all[shown-1].Channel.Name
	}
	for i := range all[:shown] {
		out.Channels = append(out.Channels, show(&all[i], s.Channel.ID != 0))
	}
	return out, nil
}

// show is a channel for callers, with its viewers if they are wanted.
func show(p *hub.Presence, viewers bool) Channel {
	ch := Channel{ChannelName: p.Channel.Name, ChannelARN: p.Channel.ARN().String(), Master: connection(p.Master), Viewers: len(p.Viewers),
		Waiting: p.Waiting, WaitingBytes: p.Bytes}
	if !viewers {
		return ch
	}
	for i := range p.Viewers[:min(len(p.Viewers), most)] {
		ch.ViewerList = append(ch.ViewerList, connection(&p.Viewers[i]))
	}
	return ch
}

func connection(a *hub.Attendance) *Connection {
	if a == nil {
		return nil
	}
	return &Connection{ClientID: a.ClientID, Since: a.Since.UTC(), Client: a.Address, UserAgent: a.UserAgent}
}

func (o Options) watch(ctx context.Context, s admin.Scope, in *WatchInput) (any, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.Closing, cancel)()
	events, next, err := o.Hub.Events(ctx, s.Account, s.Channel.Name, in.After)
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	out := WatchOutput{Events: []Event{}, Next: next}
	for _, e := range events {
		out.Events = append(out.Events, told(e))
	}
	return out, nil
}

func told(e hub.Event) Event {
	out := Event{Number: e.Number, Time: e.Time.UTC(), ChannelName: e.Channel, ChannelARN: e.ARN, Role: e.Role.String(), ClientID: e.ClientID,
		Client: e.Address, Event: "came", Reason: string(e.Reason)}
	if e.Reason != "" {
		out.Event = "went"
	}
	return out
}
