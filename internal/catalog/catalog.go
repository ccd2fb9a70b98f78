// Package catalog knows the streams: their names, settings, tags, versions and fragment numbers.
//
// Everything is kept in a database; a change is durable when its method returns. What a
// session needs all the time (the current settings, the next fragment number, whether the
// stream still exists) is kept in memory by an [Entry], shared by all sessions of a
// stream. All methods may be called from any number of goroutines; the catalog has none
// of its own.
//
// One process owns a catalog: entries are not told of changes made by another.
package catalog

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema, for the [db.Options] of the catalog's database.
func Migrations() fs.FS { return migrations }

// Options say what a catalog stands on. DB and Region are needed.
type Options struct {
	DB     *db.DB // opened with [Migrations]
	Region string // of new streams; those of another region are out of sight
	Now    func() time.Time
	Logger *slog.Logger

	// MaxStreams is the number of streams an account may have; nil or 0 = unlimited.
	MaxStreams func(kvs.AccountID) int
	// MaxTags is the number of tags a stream may have, of a new one that of its account
	// (id 0); nil = 50, and never more.
	MaxTags func(a kvs.AccountID, id kvs.StreamID) int
}

// Catalog is the list of all streams. Make it with [Open].
type Catalog struct {
	db         *db.DB
	region     string
	now        func() time.Time
	log        *slog.Logger
	maxStreams func(kvs.AccountID) int
	maxTags    func(kvs.AccountID, kvs.StreamID) int
	tagPage    int // tags per page of ListTags
	tokens     sealer
	names      Names[kvs.Stream]

	mu      sync.RWMutex
	entries map[kvs.StreamID]*Entry
}

// Open returns the catalog kept in the database. It makes the key of page tokens when
// there is none yet.
func Open(ctx context.Context, o Options) (*Catalog, error) {
	c := &Catalog{
		db: o.DB, region: o.Region, now: o.Now, maxStreams: o.MaxStreams, maxTags: o.MaxTags, tagPage: maxTags,
		log:     cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		entries: map[kvs.StreamID]*Entry{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.maxStreams == nil {
		c.maxStreams = func(kvs.AccountID) int { return 0 }
	}
	if c.maxTags == nil {
		c.maxTags = func(kvs.AccountID, kvs.StreamID) int { return maxTags }
	}
	key, err := c.tokenKey(ctx)
	if err != nil {
		return nil, err
	}
	c.tokens = sealer{key: key}
	return c, nil
}

// DB is the catalog's database, in which its children have tables, too.
func (c *Catalog) DB() *db.DB { return c.db }

// Region is that of new streams and channels.
func (c *Catalog) Region() string { return c.region }

// Now is the time by the catalog's clock.
func (c *Catalog) Now() kvs.Millis { return kvs.MillisOf(c.now()) }

// tokenKey reads the key of page tokens. It is stored, so that a client may go on
// with its list after a restart.
func (c *Catalog) tokenKey(ctx context.Context) (key []byte, err error) {
	err = c.db.Write(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRow("SELECT value FROM meta WHERE name = 'token key'").Scan(&key)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		_, err = tx.Exec("INSERT INTO meta (name, value) VALUES ('token key', $1)", key)
		return err
	})
	return key, err
}
