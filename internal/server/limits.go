package server

import (
	"context"
	"maps"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// openLimits opens the limits in force.
func (s *Server) openLimits(ctx context.Context) error {
	rows, err := s.openRows(ctx, db.Options{Path: s.data.path("limits.db"), Durable: true, Migrations: quota.Migrations()})
	if err != nil {
		return err
	}
	s.book, err = quota.NewBook(ctx, quota.BookOptions{Profile: s.config.Profile, Region: s.config.Regions[0], Settings: limitSettings(&s.config), DB: rows, Now: s.config.Real, Metrics: s.metrics, Logger: s.log})
	return err
}

// limitSettings are the limits of the settings. One of them has a setting of its own,
// which is older than the others.
func limitSettings(c *config.Config) map[string]string {
	all := map[string]string{}
	switch d := c.GetMedia.Idle; d {
	case config.Default().GetMedia.Idle:
	case 0:
		all[quota.GetIdle.Name] = quota.None
	default:
		all[quota.GetIdle.Name] = d.String()
	}
	maps.Copy(all, c.Limits)
	return all
}

// What follows shows the limits to rooms that know no book.

func (s *Server) maxStreams(a kvs.AccountID) int { return s.book.View(a, 0).Int(quota.AccountStreams) }

func (s *Server) maxTags(a kvs.AccountID, id kvs.StreamID) int {
	return s.book.View(a, id).Int(quota.StreamTags)
}

func (s *Server) maxStrangers() int { return s.book.View("", 0).Int(quota.Strangers) }

func (s *Server) hostBuffer() (bytes int64, age time.Duration) {
	v := s.book.View("", 0)
	return v.Bytes(quota.BufferBytes), v.Duration(quota.BufferAge)
}

func (s *Server) getIdle(st kvs.Stream) time.Duration { return s.book.Duration(quota.GetIdle, st) }
