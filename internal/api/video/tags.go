package video

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/wire"
)

// tagRoutes are the tags of streams by their own operations, and those of streams and
// channels by operations that serve both.
func (r *room) tagRoutes() []api.Route {
	return []api.Route{
		api.OnStream("TagStream", r.tagStream),
		api.OnStream("UntagStream", r.untagStream),
		api.OnStream("ListTagsForStream", r.listStreamTags),
		api.OnResource("TagResource", r.tagResource),
		api.OnResource("UntagResource", r.untagResource),
		api.OnResource("ListTagsForResource", r.listResourceTags),
	}
}

func (r *room) tagStream(ctx context.Context, c *api.Call, in *wire.TagStreamInput) (any, error) {
	return nil, r.Catalog.Tag(ctx, c.Stream.ID, in.Tags)
}

func (r *room) untagStream(ctx context.Context, c *api.Call, in *wire.UntagStreamInput) (any, error) {
	return nil, r.Catalog.Untag(ctx, c.Stream.ID, in.TagKeyList)
}

func (r *room) listStreamTags(ctx context.Context, c *api.Call, in *wire.ListTagsForStreamInput) (any, error) {
	tags, next, err := r.Catalog.ListTags(ctx, c.Stream.ID, wire.Value(in.NextToken))
	if err != nil {
		return nil, err
	}
	return &wire.ListTagsForStreamOutput{Tags: tags, NextToken: absent(next)}, nil
}

func (r *room) tagResource(ctx context.Context, c *api.Call, in *wire.TagResourceInput) (any, error) {
	if id := c.Channel.ID; id != 0 {
		if err := r.Channels.Tag(ctx, id, tagMap(in.Tags)); err != nil {
			return nil, err
		}
		return nil, r.changed(ctx, id)
	}
	return nil, r.Catalog.Tag(ctx, c.Stream.ID, tagMap(in.Tags))
}

// tagMap is a list of tags as a map; of a key given twice the last one counts.
func tagMap(list []wire.Tag) map[string]string {
	tags := make(map[string]string, len(list))
	for _, t := range list {
		tags[*t.Key] = *t.Value
	}
	return tags
}

func (r *room) untagResource(ctx context.Context, c *api.Call, in *wire.UntagResourceInput) (any, error) {
	if id := c.Channel.ID; id != 0 {
		if err := r.Channels.Untag(ctx, id, in.TagKeyList); err != nil {
			return nil, err
		}
		return nil, r.changed(ctx, id)
	}
	return nil, r.Catalog.Untag(ctx, c.Stream.ID, in.TagKeyList)
}

func (r *room) listResourceTags(ctx context.Context, c *api.Call, in *wire.ListTagsForResourceInput) (any, error) {
	var tags map[string]string
	var next string
	var err error
	if c.Channel.ID != 0 {
		tags, next, err = r.Channels.ListTags(ctx, c.Channel.ID, wire.Value(in.NextToken))
	} else {
		tags, next, err = r.Catalog.ListTags(ctx, c.Stream.ID, wire.Value(in.NextToken))
	}
	if err != nil {
		return nil, err
	}
	return &wire.ListTagsForResourceOutput{Tags: tags, NextToken: absent(next)}, nil
}
