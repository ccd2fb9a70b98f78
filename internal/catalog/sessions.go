package catalog

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
)

// RevokeSessions ends all playback sessions of a stream that began until now and returns
// the moment from which on sessions count ([kvs.Stream.SessionsFrom]). It is durable when
// the method returns. NotFound when there is no such stream.
func (c *Catalog) RevokeSessions(ctx context.Context, id kvs.StreamID) (from kvs.Millis, err error) {
	now := kvs.MillisOf(c.now())
	err = c.change(ctx, id, func(s *kvs.Stream) error {
		// Sessions of this millisecond are meant, too; and what was revoked stays so on a
		// clock that was set back.
		s.SessionsFrom = max(s.SessionsFrom, now+1)
		from = s.SessionsFrom
		return nil
	})
	return from, err
}
