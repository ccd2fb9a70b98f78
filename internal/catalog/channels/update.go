package channels

import (
	"context"
	"database/sql"
	"maps"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// Update sets how long messages live. version must be the current one, else
// VersionMismatch; the channel gets a new version.
func (c *Channels) Update(ctx context.Context, id kvs.ChannelID, version string, ttl time.Duration) error {
	if err := checkTTL(ttl); err != nil {
		return err
	}
	return c.change(ctx, id, func(_ *sql.Tx, ch *kvs.Channel) error {
		if err := checkVersion(ch, version); err != nil {
			return err
		}
		ch.TTL, ch.Version = ttl, catalog.NewVersion()
		return nil
	})
}

// Delete removes a channel at once, with its mapping to a stream: its name is free. With a
// version other than "" it fails with VersionMismatch unless that is the current one.
func (c *Channels) Delete(ctx context.Context, id kvs.ChannelID, version string) error {
	err := c.catalog.DB().Write(ctx, func(tx *sql.Tx) error {
		ch, err := byID(context.Background(), tx, id)
		if err != nil {
			return err
		}
		if version != "" {
			if err := checkVersion(&ch, version); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`INSERT INTO deleted_channel (account, region, name, created) VALUES ($1, $2, $3, $4)
			ON CONFLICT (account, region, name) DO UPDATE SET created = excluded.created`, ch.Account, ch.Region, ch.Name, ch.Created)
		if err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM channel WHERE id = $1", id)
		return err
	})
	c.names.Changed(int64(id))
	return err
}

// Tag adds tags; the value of an existing key is replaced. More tags in the end than the
// channel may have are TooManyTags, and nothing is added. Tags have no part in the version,
// because the calls that change them do not carry one.
func (c *Channels) Tag(ctx context.Context, id kvs.ChannelID, tags map[string]string) error {
	return c.change(ctx, id, func(_ *sql.Tx, ch *kvs.Channel) error {
		all := make(map[string]string, len(ch.Tags)+len(tags)) // the old map may be in use
		maps.Copy(all, ch.Tags)
		maps.Copy(all, tags)
		ch.Tags = all
		return c.checkTags(ch.Account, id, len(all))
	})
}

// Untag removes the tags with these keys; unknown keys are ignored.
func (c *Channels) Untag(ctx context.Context, id kvs.ChannelID, keys []string) error {
	return c.change(ctx, id, func(_ *sql.Tx, ch *kvs.Channel) error {
		ch.Tags = maps.Clone(ch.Tags)
		for _, k := range keys {
			delete(ch.Tags, k)
		}
		return nil
	})
}

// ListTags returns a page of tags and the token of the next page, "" at the end. A token
// that was not given for this channel is an InvalidArgument.
func (c *Channels) ListTags(ctx context.Context, id kvs.ChannelID, token string) (tags map[string]string, next string, err error) {
	ch, err := c.ByID(ctx, id)
	if err != nil {
		return nil, "", err
	}
	return c.catalog.TagsPage(int64(id), ch.Tags, token)
}

func checkVersion(ch *kvs.Channel, seen string) error {
	if ch.Version == seen {
		return nil
	}
	return kvs.Errorf(kvs.VersionMismatch,
		"The channel has another version than %s. Read the current version with DescribeSignalingChannel and try again.", seen)
}

// change stores what f makes of the channel. Nothing is changed when f fails. f may be
// called twice (see [db.DB.Write]).
func (c *Channels) change(ctx context.Context, id kvs.ChannelID, f func(*sql.Tx, *kvs.Channel) error) error {
	err := c.catalog.DB().Write(ctx, func(tx *sql.Tx) error {
		ch, err := byID(context.Background(), tx, id)
		if err != nil {
			return err
		}
		if err := f(tx, &ch); err != nil {
			return err
		}
		return store(tx, ch)
	})
	c.names.Changed(int64(id))
	return err
}

// store writes everything of a channel that can change.
func store(tx *sql.Tx, ch kvs.Channel) error {
	tags, err := catalog.EncodeTags(ch.Tags)
	if err != nil {
		return err
	}
	storage := sql.NullInt64{Int64: int64(ch.Storage), Valid: ch.Storage != 0}
	_, err = tx.Exec("UPDATE channel SET version = $1, ttl = $2, tags = $3, storage = $4 WHERE id = $5",
		ch.Version, int64(ch.TTL/time.Second), tags, storage, ch.ID)
	return err
}
