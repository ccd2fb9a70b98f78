package server

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// newest is the server timestamp of a stream's newest stored fragment.
func (s *Server) newest(ctx context.Context, id kvs.StreamID) kvs.Millis {
	f, ok, err := s.archive.Newest(ctx, id, 0)
	if err != nil || !ok {
		return 0
	}
	return f.Number.Server
}

// pressed reports whether producers wait for memory.
func (s *Server) pressed() bool {
	_, _, _, waiting := s.budget.Use()
	return waiting > 0
}

// purgeDeleted removes the media of deleted streams, also of those whose deletion an
// earlier run did not finish.
func (s *Server) purgeDeleted(ctx context.Context) error {
	again := time.NewTicker(time.Minute)
	defer again.Stop()
	for {
		ids, err := s.catalog.Deleted(ctx)
		for _, id := range ids {
			if err == nil {
				err = s.purgeStream(ctx, id)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("media of deleted streams not removed yet", "error", err)
		}
		select {
		case <-s.purge:
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) purgeStream(ctx context.Context, id kvs.StreamID) error {
	if err := s.archive.DeleteStream(ctx, id); err != nil {
		return err
	}
	if err := s.book.Forget(ctx, id); err != nil {
		return err
	}
	return s.catalog.Purged(ctx, id)
}

// deleted is called by the control plane when a stream is gone from the catalog.
func (s *Server) deleted(id kvs.StreamID) {
	s.live.Drop(id)
	s.rejected.Forget(id)
	select {
	case s.purge <- id:
	default: // the next look finds it
	}
}
