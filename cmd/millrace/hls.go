package main

import (
	"context"

	"github.com/millrace/millrace/internal/wire"
)

// hlsCmd is "millrace hls".
type hlsCmd struct {
	playFlags

	Container     string `enum:"mp4,ts" default:"mp4" help:"What segments are: fragmented MP4, or MPEG-TS for old players (${enum})."`
	Discontinuity string `enum:",always,never,on-discontinuity" default:"" placeholder:"MODE" help:"Where players must begin anew: always, at every fragment; never; on-discontinuity, where there is a gap or an overlap. Without it always with the server's clock and on-discontinuity with the producer's."`
}

// Help is the end of the help text.
func (*hlsCmd) Help() string {
	return `It prints a URL that plays without a key until it expires: give it to one player only, and to
nobody who may not see the stream. millrace session revoke ends it before.

Examples:
  ffplay $(millrace hls garden)
  millrace hls garden --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z --expires 1h
  millrace hls garden --from 2026-01-02T15:00:00Z --mode replay --discontinuity on-discontinuity
  millrace hls garden --container ts --clock producer --show-times
  ffmpeg -i "$(millrace hls garden --live-pause break --expires 12h)" -c copy garden.mkv`
}

// Run asks for the URL.
func (c *hlsCmd) Run(ctx context.Context, std stdio) error {
	if wrong := c.check(); wrong != "" {
		return &usageError{"hls", wrong}
	}
	in := wire.GetHLSStreamingSessionURLInput{
		PlaybackMode:                    new(c.mode()),
		HLSFragmentSelector:             &wire.HLSFragmentSelector{FragmentSelectorType: c.selector()},
		DisplayFragmentTimestamp:        always(c.ShowTimes),
		Expires:                         c.expires(),
		MaxMediaPlaylistFragmentResults: unlessZero(c.Max),
	}
	if c.Container == "ts" {
		in.ContainerFormat = new(wire.ContainerFormatMPEGTS)
	}
	if mode := discontinuities[c.discontinuity()]; mode != "" {
		in.DiscontinuityMode = &mode
	}
	if from, to := c.ends(); from != nil {
		in.HLSFragmentSelector.TimestampRange = &wire.HLSTimestampRange{StartTimestamp: from, EndTimestamp: to}
	}
	in.StreamName, in.StreamARN = nameOrARN(c.Stream)
	var out wire.GetHLSStreamingSessionURLOutput
	return c.ask(ctx, std, wire.APINameGetHLSStreamingSessionURL, wire.GetHLSStreamingSessionURL, &in, &out, &out.HLSStreamingSessionURL)
}

// discontinuity is the mode's word; "" leaves it to the service. By the producer's clock the
// service would mark none, and players stop for ever where the media then jump over a pause.
func (c *hlsCmd) discontinuity() string {
	if c.Discontinuity == "" && c.Clock == "producer" {
		return "on-discontinuity"
	}
	return c.Discontinuity
}

// discontinuities are the modes by the words of the flag.
var discontinuities = map[string]string{
	"always":           wire.HLSDiscontinuityModeAlways,
	"never":            wire.HLSDiscontinuityModeNever,
	"on-discontinuity": wire.HLSDiscontinuityModeOnDiscontinuity,
}
