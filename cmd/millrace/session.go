package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/api/admin"
)

// sessionCmd is "millrace session".
type sessionCmd struct {
	Revoke sessionRevokeCmd `cmd:"" help:"End all playback sessions of a stream."`
}

// Help shows examples.
func (sessionCmd) Help() string {
	return `Whoever has the URL of a playback session can watch until the session expires, twelve hours
at most. Revoking ends all sessions of a stream at once: their playlists and segments answer 403
from then on. Who may still ask for a session URL gets a new one.

Examples:
  millrace session revoke garden
  millrace session revoke arn:aws:kinesisvideo:us-east-1:000000000000:stream/garden/1700000000000`
}

type sessionRevokeCmd struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`

	connection
}

// Run ends the sessions.
func (c *sessionRevokeCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var out admin.RevokeSessionsOutput
	if err := cl.Admin(ctx, "RevokeSessions", admin.RevokeSessionsInput{Stream: theStream(c.Stream)}, &out); err != nil {
		return named(c.Stream, err)
	}
	_, err = fmt.Fprintf(std.out, "All playback sessions of %s that began before %s are over.\n", c.Stream, stamp(out.RevokedBefore))
	return err
}
