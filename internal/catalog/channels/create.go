package channels

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"regexp"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// namePattern is the rule of channel names (control sheet, section 2). The list relies on
// it: all bytes of a name are smaller than 0x7f.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,256}$`)

// New is what the creator of a channel says about it.
type New struct {
	Account kvs.AccountID
	Name    string
	TTL     time.Duration // of messages, whole seconds; 0 = [DefaultTTL]
	Tags    map[string]string
}

// Create makes a channel, which is active at once. Of callers that create the same name at
// the same time one wins; the others get InUse. It fails with TooManyChannels when the
// account has its fill, with TooManyTags above 50 tags.
func (c *Channels) Create(ctx context.Context, n New) (kvs.Channel, error) {
	if n.TTL == 0 {
		n.TTL = DefaultTTL
	}
	if !namePattern.MatchString(n.Name) {
		return kvs.Channel{}, kvs.Errorf(kvs.InvalidArgument, "The channel name must have 1 to 256 of the characters a-z, A-Z, 0-9, _, . and -.")
	}
	if err := errors.Join(checkTTL(n.TTL), c.checkTags(n.Account, 0, len(n.Tags))); err != nil {
		return kvs.Channel{}, err
	}
	ch := kvs.Channel{Account: n.Account, Region: c.catalog.Region(), Name: n.Name, Version: catalog.NewVersion(), TTL: n.TTL, Tags: maps.Clone(n.Tags)}
	now := c.catalog.Now()
	err := c.catalog.DB().Write(ctx, func(tx *sql.Tx) (err error) {
		if err := c.checkRoom(tx, ch); err != nil {
			return err
		}
		if ch.Created, err = creationTime(tx, ch, now); err != nil {
			return err
		}
		ch.ID, err = insert(tx, ch)
		return err
	})
	if db.IsConflict(err) { // only where several processes write
		err = errExists(ch.Name)
	}
	if err != nil {
		return kvs.Channel{}, err
	}
	return ch, nil
}

func checkTTL(ttl time.Duration) error {
	if ttl >= MinTTL && ttl <= MaxTTL && ttl%time.Second == 0 {
		return nil
	}
	return kvs.Errorf(kvs.InvalidArgument, "Messages would live for %s; MessageTtlSeconds must be from 5 to 120.", ttl)
}

const ofAccount = "SELECT COUNT(*) FROM channel WHERE account = $1 AND region = $2"

// checkRoom fails when the name is taken or the account has as many channels as it may.
func (c *Channels) checkRoom(tx *sql.Tx, ch kvs.Channel) error {
	var n int
	err := tx.QueryRow(ofAccount+" AND name = $3", ch.Account, ch.Region, ch.Name).Scan(&n)
	if err != nil {
		return err
	}
	if n > 0 {
		return errExists(ch.Name)
	}
	limit := c.maxChannels(ch.Account)
	if limit <= 0 {
		return nil
	}
	err = tx.QueryRow(ofAccount, ch.Account, ch.Region).Scan(&n)
	if err == nil && n >= limit {
		err = kvs.Errorf(kvs.TooManyChannels, "The account has %d signaling channels, the most it may have. Delete one that is not needed.", n)
	}
	return err
}

// creationTime is now, or the millisecond after the creation of the last channel that had
// this name: the time is part of the ARN, and an ARN never means two channels.
func creationTime(tx *sql.Tx, ch kvs.Channel, now kvs.Millis) (kvs.Millis, error) {
	var last kvs.Millis
	err := tx.QueryRow("SELECT created FROM deleted_channel WHERE account = $1 AND region = $2 AND name = $3",
		ch.Account, ch.Region, ch.Name).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return now, nil
	}
	return max(now, last+1), err
}

// insert stores a new channel under a new id.
func insert(tx *sql.Tx, ch kvs.Channel) (kvs.ChannelID, error) {
	id, err := catalog.NextID(tx, "stream")
	if err != nil {
		return 0, err
	}
	tags, err := catalog.EncodeTags(ch.Tags)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec("INSERT INTO channel ("+columns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL)",
		id, ch.Account, ch.Region, ch.Name, ch.Created, ch.Version, int64(ch.TTL/time.Second), tags)
	return kvs.ChannelID(id), err
}

func errExists(name string) error {
	return kvs.Errorf(kvs.InUse, "The channel %s already exists.", name)
}

// checkTags fails when a channel, or a new one of the account when id is 0, may not have n
// tags.
func (c *Channels) checkTags(a kvs.AccountID, id kvs.ChannelID, n int) error {
	if most := min(c.maxTags(a, id), maxTags); n > most {
		return kvs.Errorf(kvs.TooManyTags, "The channel would have %d tags; it may have at most %d.", n, most)
	}
	return nil
}
