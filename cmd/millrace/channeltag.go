package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/wire"
)

type channelTagCmd struct {
	theChannel
	Tags []string `arg:"" name:"tag" placeholder:"KEY=VALUE" help:"Tags to set; the value of one that is there is replaced."`

	connection
}

// Run sets tags.
func (c *channelTagCmd) Run(ctx context.Context, std stdio) error {
	var in wire.TagResourceInput
	for _, text := range c.Tags {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return &usageError{"channel tag", fmt.Sprintf("%q is no KEY=VALUE", text)}
		}
		in.Tags = append(in.Tags, wire.Tag{Key: &key, Value: &value})
	}
	cl, info, err := c.theChannel.open(ctx, c.connection)
	if err != nil {
		return err
	}
	in.ResourceARN = info.ChannelARN
	if err := cl.Call(ctx, wire.TagResource, &in, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "Channel %s has got %s.\n", wire.Value(info.ChannelName), count(len(in.Tags), "tag"))
	return err
}

type channelUntagCmd struct {
	theChannel
	Keys []string `arg:"" name:"key" help:"Keys of the tags to remove; those that are not there are ignored."`

	connection
}

// Run removes tags.
func (c *channelUntagCmd) Run(ctx context.Context, std stdio) error {
	cl, info, err := c.theChannel.open(ctx, c.connection)
	if err != nil {
		return err
	}
	if err := cl.Call(ctx, wire.UntagResource, &wire.UntagResourceInput{ResourceARN: info.ChannelARN, TagKeyList: c.Keys}, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "Channel %s has no tag %s any more.\n", wire.Value(info.ChannelName), strings.Join(c.Keys, ", "))
	return err
}
