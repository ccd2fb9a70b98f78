package iam

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// flushEvery is how often Run writes the times of last use.
const flushEvery = time.Minute

// usage holds, per key, the minute of its last use that is not written yet.
type usage struct {
	mu   sync.Mutex
	last map[string]kvs.Millis
}

// Used notes that a request was signed with a key, after its signature was checked. It
// costs no I/O; the time is kept to the minute and written by Run.
func (s *Store) Used(id string) {
	const minute = 60_000
	now := s.millis() / minute * minute
	s.used.mu.Lock()
	defer s.used.mu.Unlock()
	if s.used.last == nil {
		s.used.last = map[string]kvs.Millis{}
	}
	s.used.last[id] = now
}

// Run writes the times of last use every minute and once more when ctx ends. Losing a
// minute of them is harmless, so a failed write is logged and tried again.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.flushLogged(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			s.flushLogged(last)
			return nil
		}
	}
}

func (s *Store) flushLogged(ctx context.Context) {
	if err := s.flush(ctx); err != nil {
		s.log.Warn("could not write when keys were last used", "error", err)
	}
}

// flush writes the noted times. Notes of keys that are gone change nothing.
func (s *Store) flush(ctx context.Context) error {
	s.used.mu.Lock()
	noted := s.used.last
	s.used.last = nil
	s.used.mu.Unlock()
	if len(noted) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for id, at := range noted {
			if _, err := tx.Exec("UPDATE access_key SET used = $2 WHERE id = $1 AND used < $2", id, int64(at)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.putBack(noted)
	}
	return err
}

// putBack keeps notes that could not be written, unless there are newer ones.
func (s *Store) putBack(noted map[string]kvs.Millis) {
	s.used.mu.Lock()
	defer s.used.mu.Unlock()
	for id, at := range s.used.last {
		noted[id] = at
	}
	s.used.last = noted
}
