package admin

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
)

// RevokeSessionsInput is the input of RevokeSessions.
type RevokeSessionsInput struct {
	Stream
}

// RevokeSessionsOutput is the output of RevokeSessions.
type RevokeSessionsOutput struct {
	RevokedBefore time.Time `help:"Sessions that began before this time are over."`
}

// Revoker ends the playback sessions of a stream. It is a *catalog.Catalog.
type Revoker interface {
	RevokeSessions(ctx context.Context, id kvs.StreamID) (from kvs.Millis, err error)
}

// Revocation makes the route that ends playback sessions.
func Revocation(r Revoker) []Route {
	return []Route{OnStream("RevokeSessions", "Ends all playback sessions of a stream: no URL that GetHLSStreamingSessionURL or GetDASHStreamingSessionURL returned until now works any more, nor any URL in their playlists. New ones can be asked for at once.",
		RevokeSessionsOutput{}, func(ctx context.Context, c *api.Call, _ *RevokeSessionsInput) (any, error) {
			from, err := r.RevokeSessions(ctx, c.Stream.ID)
			if err != nil {
				return nil, err
			}
			c.Note(slog.Time("revoked-before", from.Time()))
			return RevokeSessionsOutput{RevokedBefore: from.Time()}, nil
		})}
}
