package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// channelCmd is "millrace channel".
type channelCmd struct {
	Create   channelCreateCmd   `cmd:"" help:"Make a signaling channel."`
	Describe channelDescribeCmd `cmd:"" help:"Show a channel and who is on it."`
	List     channelListCmd     `cmd:"" help:"List the channels and who is on them."`
	Update   channelUpdateCmd   `cmd:"" help:"Change how long messages live, and which stream is stored to."`
	Delete   channelDeleteCmd   `cmd:"" help:"Delete a channel and close its connections."`
	Tag      channelTagCmd      `cmd:"" help:"Set tags of a channel."`
	Untag    channelUntagCmd    `cmd:"" help:"Remove tags of a channel."`
	Watch    channelWatchCmd    `cmd:"" help:"Say who comes and goes, until it is interrupted."`
}

// Help shows examples.
func (channelCmd) Help() string {
	return `On a signaling channel a master and its viewers find each other, so that media can go between
them directly (WebRTC).

Examples:
  millrace channel create door --tag place=north
  millrace channel list
  millrace channel describe door
  millrace channel watch door
  millrace channel update door --ttl 30s
  millrace channel delete door`
}

// theChannel names a channel on the command line.
type theChannel struct {
	Channel string `arg:"" help:"Name or ARN of the channel."`
}

// describe returns the channel.
func (c *theChannel) describe(ctx context.Context, cl *client.Client) (wire.ChannelInfo, error) {
	var in wire.DescribeSignalingChannelInput
	in.ChannelName, in.ChannelARN = nameOrARN(c.Channel)
	var out wire.DescribeSignalingChannelOutput
	if err := cl.Call(ctx, wire.DescribeSignalingChannel, &in, &out); err != nil {
		return wire.ChannelInfo{}, named(c.Channel, err)
	}
	if out.ChannelInfo == nil || out.ChannelInfo.ChannelARN == nil {
		return wire.ChannelInfo{}, fmt.Errorf("DescribeSignalingChannel: the answer says nothing about the channel %s", c.Channel)
	}
	return *out.ChannelInfo, nil
}

// open makes the client and finds the channel.
func (c *theChannel) open(ctx context.Context, from connection) (*client.Client, wire.ChannelInfo, error) {
	cl, err := from.open()
	if err != nil {
		return nil, wire.ChannelInfo{}, err
	}
	info, err := c.describe(ctx, cl)
	return cl, info, err
}

type channelCreateCmd struct {
	Name  string            `arg:"" help:"Name of the channel."`
	TTL   time.Duration     `name:"ttl" default:"60s" help:"How long a message waits for its recipient: 5s to 120s. Default ${default}."`
	Tag   map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A tag; may be given several times."`
	Store string            `placeholder:"STREAM" help:"Name or ARN of the stream that the channel stores to."`

	connection
}

// Run makes the channel.
func (c *channelCreateCmd) Run(ctx context.Context, std stdio) error {
	seconds, err := ttlSeconds("channel create", c.TTL)
	if err != nil {
		return err
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	in := wire.CreateSignalingChannelInput{ChannelName: &c.Name, SingleMasterConfiguration: &wire.SingleMasterConfiguration{MessageTtlSeconds: seconds}}
	for _, key := range slices.Sorted(maps.Keys(c.Tag)) {
		in.Tags = append(in.Tags, wire.Tag{Key: &key, Value: new(c.Tag[key])})
	}
	var out wire.CreateSignalingChannelOutput
	if err := cl.Call(ctx, wire.CreateSignalingChannel, &in, &out); err != nil {
		return err
	}
	if c.Store != "" {
		if err := store(ctx, cl, out.ChannelARN, c.Store); err != nil {
			return fmt.Errorf("the channel %s is made, but does not store to %s: %w", c.Name, c.Store, err)
		}
	}
	_, err = fmt.Fprintf(std.out, "Channel %s is made: %s\n", c.Name, wire.Value(out.ChannelARN))
	return err
}

// ttlSeconds is how long messages live, as the wire says it.
func ttlSeconds(command string, ttl time.Duration) (*int64, error) {
	if ttl < 5*time.Second || ttl > 120*time.Second || ttl%time.Second != 0 {
		return nil, &usageError{command, fmt.Sprintf("--ttl is %s; it must be from 5s to 120s, in whole seconds", ttl)}
	}
	return new(int64(ttl / time.Second)), nil
}

// store makes a channel store to a stream, or to none if stream is "".
func store(ctx context.Context, cl *client.Client, channelARN *string, stream string) error {
	to := &wire.MediaStorageConfiguration{Status: new(wire.MediaStorageConfigurationStatusDisabled)}
	if stream != "" {
		s, err := (&target{client: cl, stream: stream}).describe(ctx)
		if err != nil {
			return advise(named(stream, err), "aws kinesisvideo list-streams names the streams there are; capitals count")
		}
		to.Status, to.StreamARN = new(wire.MediaStorageConfigurationStatusEnabled), s.StreamARN
	}
	return cl.Call(ctx, wire.UpdateMediaStorageConfiguration, &wire.UpdateMediaStorageConfigurationInput{ChannelARN: channelARN, MediaStorageConfiguration: to}, nil)
}

type channelUpdateCmd struct {
	theChannel
	TTL     time.Duration `name:"ttl" placeholder:"TIME" help:"How long a message waits for its recipient: 5s to 120s. Messages that wait already keep theirs."`
	Store   string        `placeholder:"STREAM" xor:"store" help:"Name or ARN of the stream that the channel stores to from now on."`
	NoStore bool          `xor:"store" help:"Store to no stream any more."`

	connection
}

// Run changes the channel.
func (c *channelUpdateCmd) Run(ctx context.Context, std stdio) (err error) {
	if c.TTL == 0 && c.Store == "" && !c.NoStore {
		return &usageError{"channel update", "nothing to change: give --ttl, --store or --no-store"}
	}
	var seconds *int64
	if c.TTL != 0 {
		if seconds, err = ttlSeconds("channel update", c.TTL); err != nil {
			return err
		}
	}
	cl, info, err := c.theChannel.open(ctx, c.connection)
	if err != nil {
		return err
	}
	if seconds != nil {
		in := wire.UpdateSignalingChannelInput{ChannelARN: info.ChannelARN, CurrentVersion: info.Version,
			SingleMasterConfiguration: &wire.SingleMasterConfiguration{MessageTtlSeconds: seconds}}
		if err := cl.Call(ctx, wire.UpdateSignalingChannel, &in, nil); err != nil {
			return err
		}
	}
	if c.Store != "" || c.NoStore {
		if err := store(ctx, cl, info.ChannelARN, c.Store); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(std.out, "Channel %s is changed.\n", wire.Value(info.ChannelName))
	return err
}

type channelDeleteCmd struct {
	theChannel
	connection
}

// Run deletes the channel.
func (c *channelDeleteCmd) Run(ctx context.Context, std stdio) error {
	cl, info, err := c.theChannel.open(ctx, c.connection)
	if err != nil {
		return err
	}
	if err := cl.Call(ctx, wire.DeleteSignalingChannel, &wire.DeleteSignalingChannelInput{ChannelARN: info.ChannelARN}, nil); err != nil {
		return named(c.Channel, err)
	}
	_, err = fmt.Fprintf(std.out, "Channel %s is deleted. Who was on it is not any more, and what waited in it is gone.\n", wire.Value(info.ChannelName))
	return err
}
