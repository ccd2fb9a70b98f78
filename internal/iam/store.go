// Package iam keeps accounts and access keys: who a caller is, and the secret that proves it.
//
// Keys stand in a database, their secrets sealed with AES-256-GCM under a wrapping key
// that lies in a file of its own: neither file alone gives a secret away. A secret
// leaves the package in two ways only, from the call that made it and from Lookup for
// the check of a signature.
//
// A key belongs to a user or to its account itself, whose root it then stands for; what
// users are is the business of the directory, a package below this one with tables in
// the same database. All methods may be called from any number of goroutines; the package
// starts none (see [Store.Run]).
package iam

import (
	"cmp"
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema, for the [db.Options] of the store's database, which
// should be durable: a key that was printed must exist after a power failure.
func Migrations() fs.FS { return migrations }

// ReadCache is what the reading connections of the store's database may remember, for
// [db.Options]: with a hundred thousand users and keys a look-up then finds most pages there.
const ReadCache = 32 << 10 // KiB

// Options say what a store stands on. DB and KeyFile are needed.
type Options struct {
	DB      *db.DB           // opened with [Migrations]
	KeyFile string           // the wrapping key, mode 0600; made when the store is new
	Now     func() time.Time // nil = time.Now
	Logger  *slog.Logger     // nil = silent
}

// Store is the list of accounts and keys. Make it with [Open].
type Store struct {
	db   *db.DB
	now  func() time.Time
	log  *slog.Logger
	seal sealer

	mu    sync.RWMutex
	fixed map[string]Key // of EnsureKey
	dev   kvs.AccountID  // of EnsureKey, "" = none
	cache cache
	told  []func(kvs.AccountID) // of Watch

	used usage
}

// Open returns the store kept in the database. A new store gets a new wrapping key; for
// one that holds secrets the file they were sealed under must be there.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{db: o.DB, now: o.Now, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), fixed: map[string]Key{}}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.seal, err = openSealer(ctx, o.DB, o.KeyFile, s.log); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) millis() kvs.Millis { return kvs.MillisOf(s.now()) }
