package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/api/admin/presence"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

type channelListCmd struct {
	Prefix string `arg:"" optional:"" help:"Only channels whose names begin so."`
	JSON   bool   `name:"json" help:"One JSON object for each channel instead of a table."`

	connection
}

// Help is the end of the help text.
func (*channelListCmd) Help() string {
	return `The columns:

  MASTER   since when the channel has a master
  VIEWERS  how many viewers are connected
  WAITING  messages for somebody who is not there

Examples:
  millrace channel list
  millrace channel list door-
  millrace channel list --json | jq 'select(.Master == null) | .ChannelName'`
}

// channelState is a channel and who is on it.
type channelState struct {
	ChannelName, ChannelARN, Version string
	CreationTime                     time.Time
	MessageTTLSeconds                int64 `json:"MessageTtlSeconds"`
	Master                           *presence.Connection
	Viewers, Waiting, WaitingBytes   int
}

// Run lists the channels, page by page as they come.
func (c *channelListCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	present, err := allPresent(ctx, std, cl)
	if err != nil {
		return err
	}
	in := wire.ListSignalingChannelsInput{MaxResults: new(int64(1000))}
	if c.Prefix != "" {
		in.ChannelNameCondition = &wire.ChannelNameCondition{ComparisonOperator: new(wire.ComparisonOperatorBeginsWith), ComparisonValue: &c.Prefix}
	}
	listed := 0
	for {
		var out wire.ListSignalingChannelsOutput
		if err := cl.Call(ctx, wire.ListSignalingChannels, &in, &out); err != nil {
			return err
		}
		page := make([]channelState, len(out.ChannelInfoList))
		for i := range page {
			page[i] = stateOf(&out.ChannelInfoList[i], present)
		}
		if err := c.print(std.out, page); err != nil {
			return err
		}
		listed += len(page)
		if in.NextToken = out.NextToken; wire.Value(in.NextToken) == "" {
			break
		}
	}
	if listed == 0 && !c.JSON {
		fmt.Fprintln(std.out, c.none())
	}
	return nil
}

func (c *channelListCmd) none() string {
	if c.Prefix != "" {
		return "No channel has a name that begins with " + c.Prefix + "."
	}
	return "There are no channels. millrace channel create NAME makes one."
}

// allPresent asks who is on the channels. Whoever may not know sees the channels alone.
func allPresent(ctx context.Context, std stdio, cl *client.Client) (map[string]presence.Channel, error) {
	all := map[string]presence.Channel{}
	for in := (presence.ListInput{}); ; {
		var out presence.ListOutput
		err := cl.Admin(ctx, "ListPresence", in, &out)
		if hidden(std, err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, ch := range out.Channels {
			all[ch.ChannelARN] = ch
		}
		if in.NextToken = out.NextToken; in.NextToken == "" {
			return all, nil
		}
	}
}

// hidden reports whether an error only says that the key may not know who is there, and says so.
func hidden(std stdio, err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || refused.Exception != "NotAuthorizedException" {
		return false
	}
	fmt.Fprintln(std.err, "millrace: this key may not know who is on the channels (millrace:ListPresence)")
	return true
}

// stateOf is a channel with what is known of who is on it.
func stateOf(info *wire.ChannelInfo, present map[string]presence.Channel) channelState {
	s := channelState{ChannelName: wire.Value(info.ChannelName), ChannelARN: wire.Value(info.ChannelARN), Version: wire.Value(info.Version),
		CreationTime: wire.Value(info.CreationTime).Time()}
	if info.SingleMasterConfiguration != nil {
		s.MessageTTLSeconds = wire.Value(info.SingleMasterConfiguration.MessageTtlSeconds)
	}
	p := present[s.ChannelARN]
	s.Master, s.Viewers, s.Waiting, s.WaitingBytes = p.Master, p.Viewers, p.Waiting, p.WaitingBytes
	return s
}

// print prints one page; columns are as wide as a page needs.
func (c *channelListCmd) print(w io.Writer, page []channelState) error {
	if c.JSON || len(page) == 0 {
		return writeObjects(w, page)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANNEL\tMASTER\tVIEWERS\tWAITING\tMESSAGES LIVE")
	for i := range page {
		s := &page[i]
		master := "-"
		if s.Master != nil {
			master = "since " + s.Master.Since.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d s\n", s.ChannelName, master, s.Viewers, s.Waiting, s.MessageTTLSeconds)
	}
	return t.Flush()
}

type channelDescribeCmd struct {
	theChannel
	JSON bool `name:"json" help:"One JSON object."`

	connection
}

// description is everything about a channel.
type description struct {
	channelState
	ViewerList []*presence.Connection
	Stream     string // ARN of the one that is stored to, "" = none
	Tags       map[string]string

	hidden bool // nobody knows who is there
}

// Run shows the channel.
func (c *channelDescribeCmd) Run(ctx context.Context, std stdio) error {
	cl, info, err := c.theChannel.open(ctx, c.connection)
	if err != nil {
		return err
	}
	d := description{Tags: map[string]string{}, ViewerList: []*presence.Connection{}}
	in := presence.ListInput{}
	in.ChannelARN = info.ChannelARN
	var who presence.ListOutput
	present := map[string]presence.Channel{}
	err = cl.Admin(ctx, "ListPresence", in, &who)
	if d.hidden = hidden(std, err); err != nil && !d.hidden {
		return named(c.Channel, err)
	}
	for _, ch := range who.Channels {
		present[ch.ChannelARN], d.ViewerList = ch, ch.ViewerList
	}
	d.channelState = stateOf(&info, present)
	if err := d.more(ctx, cl); err != nil {
		return named(c.Channel, err)
	}
	if c.JSON {
		return writeObjects(std.out, []description{d})
	}
	return d.print(std.out)
}

// more asks for what does not stand in the list.
func (d *description) more(ctx context.Context, cl *client.Client) error {
	var storage wire.DescribeMediaStorageConfigurationOutput
	if err := cl.Call(ctx, wire.DescribeMediaStorageConfiguration, &wire.DescribeMediaStorageConfigurationInput{ChannelARN: &d.ChannelARN}, &storage); err != nil {
		return err
	}
	if s := storage.MediaStorageConfiguration; s != nil {
		d.Stream = wire.Value(s.StreamARN)
	}
	for in := (wire.ListTagsForResourceInput{ResourceARN: &d.ChannelARN}); ; {
		var out wire.ListTagsForResourceOutput
		if err := cl.Call(ctx, wire.ListTagsForResource, &in, &out); err != nil {
			return err
		}
		for k, v := range out.Tags {
			d.Tags[k] = v
		}
		if in.NextToken = out.NextToken; wire.Value(in.NextToken) == "" {
			return nil
		}
	}
}

func (d *description) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(label, format string, args ...any) { fmt.Fprintf(t, label+"\t"+format+"\n", args...) }
	line("Channel", "%s", d.ChannelName)
	line("ARN", "%s", d.ChannelARN)
	line("Made", "%s", d.CreationTime.Format(time.RFC3339))
	line("Version", "%s", d.Version)
	line("Messages live", "%d s", d.MessageTTLSeconds)
	if d.Stream != "" {
		line("Stores to", "%s", d.Stream)
	}
	if len(d.Tags) > 0 {
		line("Tags", "%s", tagLine(d.Tags))
	}
	if d.hidden {
		return t.Flush()
	}
	if d.Master != nil {
		line("Master", "%s", connectionText(d.Master))
	} else {
		line("Master", "none")
	}
	line("Viewers", "%d", d.Viewers)
	for _, v := range d.ViewerList {
		line("  "+v.ClientID, "%s", connectionText(v))
	}
	line("Waiting", "%s", count(d.Waiting, "message"))
	return t.Flush()
}

// connectionText is a connection for people.
func connectionText(c *presence.Connection) string {
	text := "since " + c.Since.UTC().Format(time.RFC3339) + ", from " + c.Client
	if c.UserAgent != "" {
		text += fmt.Sprintf(", %q", c.UserAgent)
	}
	return text
}

// tagLine is all tags in one line.
func tagLine(tags map[string]string) string {
	var all []string
	for k, v := range tags {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
