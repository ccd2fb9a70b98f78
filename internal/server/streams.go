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
		if err == nil {
			// The keys go first: what they sealed is gone with them, wherever its bytes are.
			// All at once, because their file is written anew for it.
			err = s.ring.Forget(ids...)
		}
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
	s.forgetMedia(id) // what was being cut when it was deleted, too
	if err := s.book.Forget(ctx, id); err != nil {
		return err
	}
	return s.catalog.Purged(ctx, id)
}

// keyPass is the time between two looks for data keys that nothing needs.
const keyPass = time.Hour

// purgeKeys drops data keys that nothing needs any more, until ctx ends.
func (s *Server) purgeKeys(ctx context.Context) error {
	again := time.NewTicker(keyPass)
	defer again.Stop()
	for {
		if err := s.dropKeys(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("data keys that nothing needs not removed yet", "error", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// dropKeys drops the data keys of fragments that the policy of their stream let go a day
// ago or more, and that are not in the index: neither of them alone destroys a key.
func (s *Server) dropKeys(ctx context.Context) error {
	kept, err := s.catalog.Kept(ctx)
	if err != nil {
		return err
	}
	now := kvs.MillisOf(s.config.Now())
	return s.ring.PurgeUnused(func(id kvs.StreamID) (kvs.Millis, error) {
		k, ok := kept[id]
		if !ok { // newer than the list, or deleted
			_, err := s.catalog.Open(ctx, id)
			return 0, err
		}
		if len(k.Holds) > 0 {
			return 0, nil
		}
		const day = 24 * 3_600_000
		needed := kvs.Stream{Retention: k.Retention}.Horizon(now) - day
		oldest, ok, err := s.archive.Next(ctx, id, kvs.FragmentNumber{}, 0)
		if ok {
			needed = min(needed, oldest.Number.Server)
		}
		return needed, err
	})
}

// deleted is called by the control plane when a stream is gone from the catalog.
func (s *Server) deleted(id kvs.StreamID) {
	s.live.Drop(id)
	s.rejected.Forget(id)
	s.forgetMedia(id)
	select {
	case s.purge <- id:
	default: // the next look finds it
	}
}
