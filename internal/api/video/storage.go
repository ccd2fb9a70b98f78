package video

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// Streams is where the streams that channels store to are found.
type Streams interface {
	ByID(ctx context.Context, id kvs.StreamID) (kvs.Stream, error)
	ByARN(ctx context.Context, account kvs.AccountID, arn kvs.ARN) (kvs.Stream, error)
}

// describeMediaStorage says which stream a channel stores to. Status is never empty: the C
// client takes an empty one for ENABLED (wire-webrtc section 2.1).
func (r *room) describeMediaStorage(ctx context.Context, c *api.Call, _ *wire.DescribeMediaStorageConfigurationInput) (any, error) {
	out := &wire.MediaStorageConfiguration{Status: new(wire.MediaStorageConfigurationStatusDisabled)}
	if c.Channel.Storage != 0 {
		s, err := r.Streams.ByID(ctx, c.Channel.Storage)
		switch {
		case err == nil:
			out.Status, out.StreamARN = new(wire.MediaStorageConfigurationStatusEnabled), new(s.ARN().String())
		case kvs.KindOf(err) != kvs.NotFound: // unmapped and deleted since the channel was found
			return nil, err
		}
	}
	return &wire.DescribeMediaStorageConfigurationOutput{MediaStorageConfiguration: out}, nil
}

func (r *room) updateMediaStorage(ctx context.Context, c *api.Call, in *wire.UpdateMediaStorageConfigurationInput) (any, error) {
	var err error
	if *in.MediaStorageConfiguration.Status == wire.MediaStorageConfigurationStatusEnabled {
		err = r.mapChannel(ctx, c, in.MediaStorageConfiguration.StreamARN)
	} else {
		err = r.Channels.Unmap(ctx, c.Channel.ID)
	}
	if err != nil {
		return nil, err
	}
	return nil, r.changed(ctx, c.Channel.ID)
}

// mapChannel makes the channel of a call store to a stream of its account.
func (r *room) mapChannel(ctx context.Context, c *api.Call, streamARN *string) error {
	if streamARN == nil {
		return kvs.Errorf(kvs.InvalidArgument, "StreamARN must be given when Status is ENABLED: it says which stream the channel stores to.")
	}
	arn, ok := kvs.ParseARN(*streamARN)
	if !ok || arn.Kind != kvs.StreamResource {
		return kvs.Errorf(kvs.InvalidArgument, "StreamARN '%.1024s' is not that of a stream, which looks like arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CODE.", *streamARN)
	}
	s, err := r.Streams.ByARN(ctx, c.Principal.Account, arn)
	if err != nil {
		return err
	}
	return r.Channels.Map(ctx, c.Channel.ID, s)
}

// describeMapped says which channel stores to a stream: one at most, so there is no second
// page.
func (r *room) describeMapped(ctx context.Context, c *api.Call, in *wire.DescribeMappedResourceConfigurationInput) (any, error) {
	if wire.Value(in.NextToken) != "" {
		return nil, kvs.Errorf(kvs.InvalidArgument, "The NextToken is not one this list gave. Leave it out to begin at the start.")
	}
	out := &wire.DescribeMappedResourceConfigurationOutput{MappedResourceConfigurationList: []wire.MappedResourceConfigurationListItem{}}
	ch, found, err := r.Channels.Mapped(ctx, c.Stream.ID)
	if err != nil {
		return nil, err
	}
	if found {
		out.MappedResourceConfigurationList = append(out.MappedResourceConfigurationList,
			wire.MappedResourceConfigurationListItem{ARN: new(ch.ARN().String()), Type: new(string(kvs.ChannelResource))})
	}
	return out, nil
}
