package video

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/wire"
)

// tagRoutes are the tags of streams, by either family of operations.
func (r room) tagRoutes() []api.Route {
	return []api.Route{
		api.OnStream("TagStream", r.tagStream),
		api.OnStream("UntagStream", r.untagStream),
		api.OnStream("ListTagsForStream", r.listStreamTags),
		api.OnStream("TagResource", r.tagResource),
		api.OnStream("UntagResource", r.untagResource),
		api.OnStream("ListTagsForResource", r.listResourceTags),
	}
}

func (r room) tagStream(ctx context.Context, c *api.Call, in *wire.TagStreamInput) (any, error) {
	return nil, r.Catalog.Tag(ctx, c.Stream.ID, in.Tags)
}

func (r room) untagStream(ctx context.Context, c *api.Call, in *wire.UntagStreamInput) (any, error) {
	return nil, r.Catalog.Untag(ctx, c.Stream.ID, in.TagKeyList)
}

func (r room) listStreamTags(ctx context.Context, c *api.Call, in *wire.ListTagsForStreamInput) (any, error) {
	tags, next, err := r.Catalog.ListTags(ctx, c.Stream.ID, wire.Value(in.NextToken))
	if err != nil {
		return nil, err
	}
	return &wire.ListTagsForStreamOutput{Tags: tags, NextToken: absent(next)}, nil
}

func (r room) tagResource(ctx context.Context, c *api.Call, in *wire.TagResourceInput) (any, error) {
	tags := make(map[string]string, len(in.Tags))
	for _, t := range in.Tags {
		tags[*t.Key] = *t.Value
	}
	return nil, r.Catalog.Tag(ctx, c.Stream.ID, tags)
}

func (r room) untagResource(ctx context.Context, c *api.Call, in *wire.UntagResourceInput) (any, error) {
	return nil, r.Catalog.Untag(ctx, c.Stream.ID, in.TagKeyList)
}

func (r room) listResourceTags(ctx context.Context, c *api.Call, in *wire.ListTagsForResourceInput) (any, error) {
	tags, next, err := r.Catalog.ListTags(ctx, c.Stream.ID, wire.Value(in.NextToken))
	if err != nil {
		return nil, err
	}
	return &wire.ListTagsForResourceOutput{Tags: tags, NextToken: absent(next)}, nil
}
