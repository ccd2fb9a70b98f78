package main

import (
	"context"

	"github.com/millrace/millrace/internal/wire"
)

// dashCmd is "millrace dash".
type dashCmd struct {
	playFlags

	ShowNumbers bool `help:"Show the number of each fragment in the list."`
}

// Help is the end of the help text.
func (*dashCmd) Help() string {
	return `It prints a URL that plays without a key until it expires: give it to one player only, and to
nobody who may not see the stream. millrace session revoke ends it before.

dash.js and Shaka play all of it; ffmpeg cannot wait for the next fragment of a live
stream and asks the server without end, so give it a range, or millrace hls.

Examples:
  millrace dash garden
  ffplay $(millrace dash garden --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z)
  millrace dash garden --show-times --show-numbers`
}

// Run asks for the URL.
func (c *dashCmd) Run(ctx context.Context, std stdio) error {
	if wrong := c.check(); wrong != "" {
		return &usageError{"dash", wrong}
	}
	in := wire.GetDASHStreamingSessionURLInput{
		PlaybackMode:               new(c.mode()),
		DASHFragmentSelector:       &wire.DASHFragmentSelector{FragmentSelectorType: c.selector()},
		DisplayFragmentTimestamp:   always(c.ShowTimes),
		DisplayFragmentNumber:      always(c.ShowNumbers),
		Expires:                    c.expires(),
		MaxManifestFragmentResults: unlessZero(c.Max),
	}
	if from, to := c.ends(); from != nil {
		in.DASHFragmentSelector.TimestampRange = &wire.DASHTimestampRange{StartTimestamp: from, EndTimestamp: to}
	}
	in.StreamName, in.StreamARN = nameOrARN(c.Stream)
	var out wire.GetDASHStreamingSessionURLOutput
	return c.ask(ctx, std, wire.APINameGetDASHStreamingSessionURL, wire.GetDASHStreamingSessionURL, &in, &out, &out.DASHStreamingSessionURL)
}
