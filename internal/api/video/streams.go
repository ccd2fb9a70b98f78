package video

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// defaultPage is the page size of ListStreams (control sheet, section 6).
const defaultPage = 10_000

func (r *room) streamRoutes() []api.Route {
	return []api.Route{
		api.JSON("CreateStream", r.create),
		api.JSON("ListStreams", r.list),
		api.OnStream("DescribeStream", r.describe),
		api.OnStream("UpdateStream", r.update),
		api.OnStream("DeleteStream", r.remove),
		api.OnStream("UpdateDataRetention", r.updateRetention),
		api.OnStream("DescribeStreamStorageConfiguration", r.describeStorage),
		api.OnStream("UpdateStreamStorageConfiguration", r.updateStorage),
		api.OnStream("GetDataEndpoint", r.endpoint),
	}
}

func (r *room) create(ctx context.Context, c *api.Call, in *wire.CreateStreamInput) (any, error) {
	n := catalog.NewStream{
		Account: c.Principal.Account, Name: *in.StreamName, DeviceName: wire.Value(in.DeviceName), MediaType: wire.Value(in.MediaType),
		KmsKeyID: wire.Value(in.KmsKeyId), Retention: int(min(wire.Value(in.DataRetentionInHours), 1<<30)), Tier: kvs.Hot, Tags: in.Tags,
	}
	if in.StreamStorageConfiguration != nil {
		n.Tier = kvs.StorageTier(*in.StreamStorageConfiguration.DefaultStorageTier)
	}
	c.Note(slog.String("stream", n.Name)) // it is no target: the front does not know it
	s, err := r.Catalog.Create(ctx, n)
	if err != nil {
		return nil, err
	}
	return &wire.CreateStreamOutput{StreamARN: new(s.ARN().String())}, nil
}

func (r *room) list(ctx context.Context, c *api.Call, in *wire.ListStreamsInput) (any, error) {
	q := catalog.ListQuery{Token: wire.Value(in.NextToken), Max: defaultPage}
	if in.MaxResults != nil {
		q.Max = int(*in.MaxResults)
	}
	if in.StreamNameCondition != nil {
		q.Prefix = wire.Value(in.StreamNameCondition.ComparisonValue)
	}
	streams, next, err := r.Catalog.List(ctx, c.Principal.Account, q)
	if err != nil {
		return nil, err
	}
	out := &wire.ListStreamsOutput{NextToken: absent(next), StreamInfoList: make([]wire.StreamInfo, len(streams))}
	for i, s := range streams {
		out.StreamInfoList[i] = info(s)
	}
	return out, nil
}

func (r *room) describe(_ context.Context, c *api.Call, _ *wire.DescribeStreamInput) (any, error) {
	i := info(c.Stream)
	return &wire.DescribeStreamOutput{StreamInfo: &i}, nil
}

// info is a stream as the wire shows it.
func info(s kvs.Stream) wire.StreamInfo {
	key := s.KmsKeyID
	if key == "" {
		key = "arn:aws:kms:" + s.Region + ":" + string(s.Account) + ":alias/aws/kinesisvideo"
	}
	return wire.StreamInfo{
		CreationTime: &s.Created, DataRetentionInHours: new(int64(s.Retention)), DeviceName: absent(s.DeviceName),
		KmsKeyId: &key, MediaType: absent(s.MediaType), Status: new(string(s.Status)),
		StreamARN: new(s.ARN().String()), StreamName: &s.Name, Version: &s.Version,
	}
}

func (r *room) update(ctx context.Context, c *api.Call, in *wire.UpdateStreamInput) (any, error) {
	return nil, r.Catalog.Update(ctx, c.Stream.ID, *in.CurrentVersion, in.DeviceName, in.MediaType)
}

func (r *room) remove(ctx context.Context, c *api.Call, in *wire.DeleteStreamInput) (any, error) {
	if err := r.Catalog.Delete(ctx, c.Stream.ID, wire.Value(in.CurrentVersion)); err != nil {
		return nil, err
	}
	r.Deleted(c.Stream.ID)
	return nil, nil
}

func (r *room) updateRetention(ctx context.Context, c *api.Call, in *wire.UpdateDataRetentionInput) (any, error) {
	delta := int(min(*in.DataRetentionChangeInHours, 1<<30))
	if *in.Operation == wire.UpdateDataRetentionOperationDecreaseDataRetention {
		delta = -delta
	}
	if err := r.Catalog.UpdateRetention(ctx, c.Stream.ID, *in.CurrentVersion, delta); err != nil {
		return nil, err
	}
	return nil, r.Kept(ctx)
}

func (r *room) describeStorage(_ context.Context, c *api.Call, _ *wire.DescribeStreamStorageConfigurationInput) (any, error) {
	return &wire.DescribeStreamStorageConfigurationOutput{
		StreamName: &c.Stream.Name, StreamARN: new(c.Stream.ARN().String()),
		StreamStorageConfiguration: &wire.StreamStorageConfiguration{DefaultStorageTier: new(string(c.Stream.Tier))},
	}, nil
}

func (r *room) updateStorage(ctx context.Context, c *api.Call, in *wire.UpdateStreamStorageConfigurationInput) (any, error) {
	tier := kvs.StorageTier(*in.StreamStorageConfiguration.DefaultStorageTier)
	if err := r.Catalog.UpdateTier(ctx, c.Stream.ID, *in.CurrentVersion, tier); err != nil {
		return nil, err
	}
	return nil, r.Kept(ctx)
}

func (r *room) endpoint(_ context.Context, c *api.Call, _ *wire.GetDataEndpointInput) (any, error) {
	return &wire.GetDataEndpointOutput{DataEndpoint: new(r.Endpoint.For(c.Request))}, nil
}
