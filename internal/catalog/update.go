package catalog

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/kvs"
)

// Update sets the device name and the media type; nil leaves one as it is. version must
// be the current one, else VersionMismatch; the stream gets a new version.
func (c *Catalog) Update(ctx context.Context, id kvs.StreamID, version string, device, mediaType *string) error {
	return c.change(ctx, id, func(s *kvs.Stream) error {
		if device != nil {
			s.DeviceName = *device
		}
		if mediaType != nil {
			s.MediaType = *mediaType
		}
		return renew(s, version)
	})
}

// UpdateRetention adds deltaHours, which may be negative, to the retention. A result
// below 0 or above 87,600 hours is an InvalidArgument. The version is used as in Update.
func (c *Catalog) UpdateRetention(ctx context.Context, id kvs.StreamID, version string, deltaHours int) error {
	return c.change(ctx, id, func(s *kvs.Stream) error {
		if err := renew(s, version); err != nil {
			return err
		}
		// Compared without adding, which could overflow.
		if deltaHours < -s.Retention || deltaHours > maxRetention-s.Retention {
			return kvs.Errorf(kvs.InvalidArgument, "The data retention is %d hours and cannot change by %d; the result must be from 0 to %d.",
				s.Retention, deltaHours, maxRetention)
		}
		s.Retention += deltaHours
		return nil
	})
}

// UpdateTier sets the storage tier. The version is used as in Update.
func (c *Catalog) UpdateTier(ctx context.Context, id kvs.StreamID, version string, tier kvs.StorageTier) error {
	return c.change(ctx, id, func(s *kvs.Stream) error {
		s.Tier = tier
		return renew(s, version)
	})
}

// renew checks the version the caller has seen and gives the stream a new one.
func renew(s *kvs.Stream, seen string) error {
	if err := checkVersion(s, seen); err != nil {
		return err
	}
	s.Version = NewVersion()
	return nil
}

func checkVersion(s *kvs.Stream, seen string) error {
	if s.Version == seen {
		return nil
	}
	return kvs.Errorf(kvs.VersionMismatch,
		"The stream has another version than %s. Read the current version with DescribeStream and try again.", seen)
}

// change stores what f makes of the stream and shows it to the sessions. Nothing is
// changed when f fails. f may be called twice (see [db.DB.Write]).
func (c *Catalog) change(ctx context.Context, id kvs.StreamID, f func(*kvs.Stream) error) error {
	return c.changeRow(ctx, id, func(_ *sql.Tx, r *row) error { return f(&r.Stream) })
}

// changeRow is like change for what is stored beside the stream.
func (c *Catalog) changeRow(ctx context.Context, id kvs.StreamID, f func(*sql.Tx, *row) error) error {
	var r row
	err := c.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if r, err = byID(context.Background(), tx, id); err != nil {
			return err
		}
		if err := f(tx, &r); err != nil {
			return err
		}
		r.revision++
		return store(tx, r)
	})
	c.names.Changed(int64(id))
	if err != nil {
		return err
	}
	if e := c.entry(id); e != nil {
		e.show(r)
	}
	return nil
}

// store writes everything of a stream that can change.
func store(tx *sql.Tx, r row) error {
	tags, err := EncodeTags(r.Tags)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE stream SET version = $1, revision = $2, retention = $3, device = $4,
		media_type = $5, tier = $6, tags = $7, holds = $8, sessions_from = $9 WHERE id = $10`,
		r.Version, r.revision, r.Retention, r.DeviceName, r.MediaType, r.Tier, tags, r.holds, r.SessionsFrom, r.ID)
	return err
}
