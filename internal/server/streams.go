package server

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// retentions tells the archive how long streams keep their fragments. It reads all of
// them at once and again after a while, because the archive asks for one after another.
type retentions struct {
	catalog *catalog.Catalog

	mu    sync.Mutex
	hours map[kvs.StreamID]int
	read  time.Time
}

// retentionAge is how old a retention may be before it is read again.
const retentionAge = 5 * time.Second

func (r *retentions) of(ctx context.Context, id kvs.StreamID) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hours == nil || time.Since(r.read) > retentionAge {
		hours, err := r.catalog.Retentions(ctx)
		if err != nil {
			return 0, err
		}
		r.hours, r.read = hours, time.Now()
	}
	if h, ok := r.hours[id]; ok {
		return h, nil
	}
	// It may be newer than what was read: only the catalog says that it is gone.
	e, err := r.catalog.Open(ctx, id)
	if err != nil {
		return 0, err
	}
	return e.Stream().Retention, nil
}

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
