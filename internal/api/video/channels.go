package video

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// Hub is who must know at once what became of a channel. Its methods are called in the
// order of the changes of a channel, before the change is answered.
type Hub interface {
	Changed(kvs.Channel)
	Deleted(kvs.ChannelID)
}

// nobody is a hub that has no connections.
type nobody struct{}

func (nobody) Changed(kvs.Channel)   {}
func (nobody) Deleted(kvs.ChannelID) {}

// defaultChannels is the page size of ListSignalingChannels (control sheet, section 6).
const defaultChannels = 500

func (r *room) channelRoutes() []api.Route {
	return []api.Route{
		api.JSON("CreateSignalingChannel", r.createChannel),
		api.JSON("ListSignalingChannels", r.listChannels),
		api.OnChannel("DescribeSignalingChannel", r.describeChannel),
		api.OnChannel("UpdateSignalingChannel", r.updateChannel),
		api.OnChannel("DeleteSignalingChannel", r.removeChannel),
		api.OnChannel("DescribeMediaStorageConfiguration", r.describeMediaStorage),
		api.OnChannel("UpdateMediaStorageConfiguration", r.updateMediaStorage),
		api.OnStream("DescribeMappedResourceConfiguration", r.describeMapped),
	}
}

// changed tells the hub what a channel is now. It is read anew with the door shut, so that of
// two changes the later one is told last.
func (r *room) changed(ctx context.Context, id kvs.ChannelID) error {
	r.announcing.Lock()
	defer r.announcing.Unlock()
	ch, err := r.Channels.ByID(context.WithoutCancel(ctx), id)
	switch {
	case err == nil:
		r.Hub.Changed(ch)
	case kvs.KindOf(err) == kvs.NotFound: // deleted since; whoever did that says so
		err = nil
	}
	return err
}

func (r *room) createChannel(ctx context.Context, c *api.Call, in *wire.CreateSignalingChannelInput) (any, error) {
	c.Note(slog.String("channel", *in.ChannelName)) // it is no target: the front does not know it
	if in.ChannelType != nil && *in.ChannelType != wire.ChannelTypeSingleMaster {
		return nil, kvs.Errorf(kvs.InvalidArgument, "ChannelType is %s; only channels of type %s can be made.", *in.ChannelType, wire.ChannelTypeSingleMaster)
	}
	n := channels.New{Account: c.Principal.Account, Name: *in.ChannelName, Tags: tagMap(in.Tags)}
	if in.SingleMasterConfiguration != nil {
		n.TTL = ttl(in.SingleMasterConfiguration)
	}
	ch, err := r.Channels.Create(ctx, n)
	if err != nil {
		return nil, err
	}
	return &wire.CreateSignalingChannelOutput{ChannelARN: new(ch.ARN().String())}, nil
}

// ttl is how long messages are to live, 0 when it is not said. The model bounds it.
func ttl(in *wire.SingleMasterConfiguration) time.Duration {
	return time.Duration(wire.Value(in.MessageTtlSeconds)) * time.Second
}

func (r *room) listChannels(ctx context.Context, c *api.Call, in *wire.ListSignalingChannelsInput) (any, error) {
	q := channels.Query{Token: wire.Value(in.NextToken), Max: defaultChannels}
	if in.MaxResults != nil {
		q.Max = int(*in.MaxResults)
	}
	if in.ChannelNameCondition != nil {
		q.Prefix = wire.Value(in.ChannelNameCondition.ComparisonValue)
	}
	page, next, err := r.Channels.List(ctx, c.Principal.Account, q)
	if err != nil {
		return nil, err
	}
	out := &wire.ListSignalingChannelsOutput{NextToken: absent(next), ChannelInfoList: make([]wire.ChannelInfo, len(page))}
	for i, ch := range page {
		out.ChannelInfoList[i] = channelInfo(ch)
	}
	return out, nil
}

func (r *room) describeChannel(_ context.Context, c *api.Call, _ *wire.DescribeSignalingChannelInput) (any, error) {
	info := channelInfo(c.Channel)
	return &wire.DescribeSignalingChannelOutput{ChannelInfo: &info}, nil
}

// channelInfo is a channel as the wire shows it. Some clients take nothing but the first
// member of an answer and of its parts (wire-webrtc section 2.4): an answer gets no members
// of our own.
func channelInfo(ch kvs.Channel) wire.ChannelInfo {
	return wire.ChannelInfo{
		ChannelARN: new(ch.ARN().String()), ChannelName: &ch.Name, ChannelStatus: new(string(kvs.Active)),
		ChannelType: new(wire.ChannelTypeSingleMaster), CreationTime: &ch.Created, Version: &ch.Version,
		SingleMasterConfiguration: &wire.SingleMasterConfiguration{MessageTtlSeconds: new(int64(ch.TTL / time.Second))},
	}
}

func (r *room) updateChannel(ctx context.Context, c *api.Call, in *wire.UpdateSignalingChannelInput) (any, error) {
	if in.SingleMasterConfiguration == nil || in.SingleMasterConfiguration.MessageTtlSeconds == nil {
		return nil, kvs.Errorf(kvs.InvalidArgument, "SingleMasterConfiguration with MessageTtlSeconds must be given: it is what can be changed of a channel.")
	}
	if err := r.Channels.Update(ctx, c.Channel.ID, *in.CurrentVersion, ttl(in.SingleMasterConfiguration)); err != nil {
		return nil, err
	}
	return nil, r.changed(ctx, c.Channel.ID)
}

func (r *room) removeChannel(ctx context.Context, c *api.Call, in *wire.DeleteSignalingChannelInput) (any, error) {
	if err := r.Channels.Delete(ctx, c.Channel.ID, wire.Value(in.CurrentVersion)); err != nil {
		return nil, err
	}
	r.announcing.Lock()
	defer r.announcing.Unlock()
	r.Hub.Deleted(c.Channel.ID)
	return nil, nil
}
