package channels

import (
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/kvs"
)

// Map makes a channel store to a stream of its account, which it may do already. It fails
// with InUse when the channel stores to another stream or another channel to this one, with
// NoRetention when the stream keeps nothing, with LimitExceeded when the account has its fill
// of channels that store. A mapping has no part in the version, because the call that
// changes it does not carry one.
func (c *Channels) Map(ctx context.Context, id kvs.ChannelID, stream kvs.Stream) error {
	return c.change(ctx, id, func(tx *sql.Tx, ch *kvs.Channel) error {
		if ch.Storage == stream.ID {
			return nil
		}
		if err := c.checkMap(tx, ch, stream); err != nil {
			return err
		}
		ch.Storage = stream.ID
		return nil
	})
}

// Unmap makes a channel store to no stream.
func (c *Channels) Unmap(ctx context.Context, id kvs.ChannelID) error {
	return c.change(ctx, id, func(_ *sql.Tx, ch *kvs.Channel) error {
		ch.Storage = 0
		return nil
	})
}

const storing = "SELECT " + columns + " FROM channel WHERE storage = $1"

// Mapped returns the channel that stores to the stream, and false when none does.
func (c *Channels) Mapped(ctx context.Context, id kvs.StreamID) (ch kvs.Channel, found bool, err error) {
	ch, err = scan(c.catalog.DB().Read().QueryRowContext(ctx, storing, id))
	if kvs.KindOf(err) == kvs.NotFound {
		return kvs.Channel{}, false, nil
	}
	return ch, err == nil, err
}

// checkMap looks at everything as it is in the transaction: what the caller knows of the
// stream may have changed.
func (c *Channels) checkMap(tx *sql.Tx, ch *kvs.Channel, stream kvs.Stream) error {
	if ch.Storage != 0 {
		return kvs.Errorf(kvs.InUse, "The channel %s stores to another stream. Set its Status to DISABLED before another stream is given.", ch.Name)
	}
	var retention int
	err := tx.QueryRow("SELECT retention FROM stream WHERE id = $1", stream.ID).Scan(&retention)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && stream.Account != ch.Account:
		return kvs.Errorf(kvs.NotFound, "The requested stream is not found or not active.")
	case err != nil:
		return err
	case retention == 0:
		return kvs.Errorf(kvs.NoRetention, "The stream %s keeps nothing: its data retention is 0 hours. Raise it with UpdateDataRetention first.", stream.Name)
	}
	other, err := scan(tx.QueryRow(storing, stream.ID))
	switch {
	case err == nil:
		return kvs.Errorf(kvs.InUse, "The channel %s stores to the stream %s already, and a stream takes from one channel.", other.Name, stream.Name)
	case kvs.KindOf(err) != kvs.NotFound:
		return err
	}
	return c.checkStoring(tx, ch)
}

const allStoring = "SELECT COUNT(*) FROM channel WHERE account = $1 AND region = $2 AND storage > 0"

// checkStoring fails when as many channels of the account store as may.
func (c *Channels) checkStoring(tx *sql.Tx, ch *kvs.Channel) error {
	limit := c.maxStoring(ch.Account)
	if limit <= 0 {
		return nil
	}
	var n int
	err := tx.QueryRow(allStoring, ch.Account, ch.Region).Scan(&n)
	if err == nil && n >= limit {
		err = kvs.Errorf(kvs.LimitExceeded, "%d channels of the account store to streams, the most that may.", n)
	}
	return err
}
