// Package channels knows the signaling channels: their names, settings, tags and versions, and which stream each stores to.
//
// They are rows of the catalog's database, beside the streams; a change is durable when its
// method returns. Look-ups by name and ARN are answered from memory. All methods may be
// called from any number of goroutines; the package has none of its own.
package channels

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// The limits of a channel's settings (control sheet, section 2; limits sheet, section 6).
const (
	MinTTL     = 5 * time.Second
	MaxTTL     = 120 * time.Second
	DefaultTTL = 60 * time.Second
	maxTags    = 50
)

// Options say what the channels stand on. Catalog is needed.
type Options struct {
	Catalog *catalog.Catalog

	// MaxChannels is the number of channels an account may have; nil or 0 = unlimited.
	MaxChannels func(kvs.AccountID) int
	// MaxTags is the number of tags a channel may have, of a new one that of its account
	// (id 0); nil = 50, and never more.
	MaxTags func(a kvs.AccountID, id kvs.ChannelID) int
	// MaxStoring is the number of channels of an account that may store to a stream; nil
	// or 0 = unlimited.
	MaxStoring func(kvs.AccountID) int
}

// Channels is the list of all channels. Make it with [Open].
type Channels struct {
	catalog     *catalog.Catalog
	maxChannels func(kvs.AccountID) int
	maxTags     func(kvs.AccountID, kvs.ChannelID) int
	maxStoring  func(kvs.AccountID) int
	names       catalog.Names[kvs.Channel]
}

// Open returns the channels of a catalog.
func Open(o Options) *Channels {
	c := &Channels{catalog: o.Catalog, maxChannels: o.MaxChannels, maxTags: o.MaxTags, maxStoring: o.MaxStoring}
	unlimited := func(kvs.AccountID) int { return 0 }
	if c.maxChannels == nil {
		c.maxChannels = unlimited
	}
	if c.maxStoring == nil {
		c.maxStoring = unlimited
	}
	if c.maxTags == nil {
		c.maxTags = func(kvs.AccountID, kvs.ChannelID) int { return maxTags }
	}
	return c
}

// ByID returns the channel of that id, of any account, NotFound if there is none.
func (c *Channels) ByID(ctx context.Context, id kvs.ChannelID) (kvs.Channel, error) {
	return byID(ctx, c.catalog.DB().Read(), id)
}

const named = "SELECT " + columns + " FROM channel WHERE account = $1 AND region = $2 AND name = $3"

// ByName returns the channel of that name, NotFound if there is none.
func (c *Channels) ByName(ctx context.Context, account kvs.AccountID, name string) (kvs.Channel, error) {
	ch, ok, changes := c.names.Find(account, name)
	if ok {
		return ch, nil
	}
	ch, err := scan(c.catalog.DB().Read().QueryRowContext(ctx, named, account, c.catalog.Region(), name))
	if err != nil {
		return kvs.Channel{}, err
	}
	c.names.Remember(account, name, int64(ch.ID), ch, changes)
	return ch, nil
}

// ByARN returns the channel with exactly that ARN, NotFound if there is none. The ARN of a
// deleted channel does not find a new one of the same name, and an account does not find
// the channels of another.
func (c *Channels) ByARN(ctx context.Context, account kvs.AccountID, arn kvs.ARN) (kvs.Channel, error) {
	ch, err := c.ByName(ctx, account, arn.Name)
	if err != nil {
		return kvs.Channel{}, err
	}
	if ch.ARN() != arn {
		return kvs.Channel{}, errNotFound()
	}
	return ch, nil
}

// columns is what scan reads, in its order.
const columns = "id, account, region, name, created, version, ttl, tags, storage"

// scan reads the columns of one channel from a *sql.Row or *sql.Rows.
func scan(s interface{ Scan(...any) error }) (kvs.Channel, error) {
	var ch kvs.Channel
	var tags string
	var seconds int64
	var storage sql.NullInt64
	err := s.Scan(&ch.ID, &ch.Account, &ch.Region, &ch.Name, &ch.Created, &ch.Version, &seconds, &tags, &storage)
	if errors.Is(err, sql.ErrNoRows) {
		return ch, errNotFound()
	}
	if err == nil {
		ch.Tags, err = catalog.DecodeTags(tags)
	}
	ch.TTL, ch.Storage = time.Duration(seconds)*time.Second, kvs.StreamID(storage.Int64)
	return ch, err
}

// querier is a *sql.DB or *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func byID(ctx context.Context, q querier, id kvs.ChannelID) (kvs.Channel, error) {
	return scan(q.QueryRowContext(ctx, "SELECT "+columns+" FROM channel WHERE id = $1", id))
}

// errNotFound is what callers of the service know for a channel that is not there.
func errNotFound() error {
	return kvs.Errorf(kvs.NotFound, "The requested channel is not found or not active.")
}
