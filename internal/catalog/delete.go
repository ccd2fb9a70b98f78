package catalog

import (
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// Delete removes a stream at once: its name is free, its sessions see Gone. With a
// version other than "" it fails with VersionMismatch unless that is the current one, with
// InUse while the stream has a hold, or a channel stores to it.
// The id stays in [Catalog.Deleted] until the archive says that the media are gone.
func (c *Catalog) Delete(ctx context.Context, id kvs.StreamID, version string) error {
	err := c.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := byID(context.Background(), tx, id)
		if err != nil {
			return err
		}
		if version != "" {
			if err := checkVersion(&r.Stream, version); err != nil {
				return err
			}
		}
		if r.Held {
			return kvs.Errorf(kvs.InUse, "The stream %s is on hold: millrace hold list %s shows which holds keep it from being deleted.", r.Name, r.Name)
		}
		if err := checkUnmapped(tx, r.Stream); err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO deleted (id, account, region, name, created, purged) VALUES ($1, $2, $3, $4, $5, 0)",
			r.ID, r.Account, r.Region, r.Name, r.Created)
		if err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM stream WHERE id = $1", id)
		return err
	})
	c.names.Changed(int64(id))
	if err == nil {
		c.forget(id)
	}
	return err
}

// checkUnmapped fails when a channel stores to the stream.
func checkUnmapped(tx *sql.Tx, s kvs.Stream) error {
	var channel string
	err := tx.QueryRow("SELECT name FROM channel WHERE storage = $1", s.ID).Scan(&channel)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = kvs.Errorf(kvs.InUse, "The signaling channel %s stores to the stream %s: turn that off with UpdateMediaStorageConfiguration, or delete the channel, before the stream.", channel, s.Name)
	}
	return err
}

// Deleted returns the ids of deleted streams that may still have media.
func (c *Catalog) Deleted(ctx context.Context) ([]kvs.StreamID, error) {
	rows, err := c.db.Read().QueryContext(ctx, "SELECT id FROM deleted WHERE purged = 0 ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []kvs.StreamID
	for rows.Next() {
		var id kvs.StreamID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// Purged notes that a deleted stream has no media any more. Of the purged streams that
// had one name only the latest is remembered, for the sake of [creationTime].
func (c *Catalog) Purged(ctx context.Context, id kvs.StreamID) error {
	return c.db.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.Exec("UPDATE deleted SET purged = 1 WHERE id = $1", id); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM deleted WHERE purged = 1 AND EXISTS (
			SELECT 1 FROM deleted AS later WHERE later.account = deleted.account AND later.region = deleted.region
			AND later.name = deleted.name AND later.id > deleted.id)
			AND (account, region, name) IN (SELECT account, region, name FROM deleted WHERE id = $1)`, id)
		return err
	})
}
