package seal

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema, for the [db.Options] of the store's database, which
// should be durable: a token that was given out must open after a power failure.
func Migrations() fs.FS { return migrations }

const (
	period  = 24 * time.Hour // a key seals for so long
	kept    = 37 * time.Hour // and opens so long after its successor began
	pass    = time.Minute    // between two looks at the clock
	look    = time.Second    // between two looks for keys of others, at least
	keySize = 32
)

// Options say what a store stands on. DB and Wrapping are needed.
type Options struct {
	DB       *db.DB           // opened with [Migrations]
	Wrapping []byte           // 32 bytes that the keys are sealed under
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = silent
}

// Store is the list of sealing keys. Make it with [Open].
type Store struct {
	db         *db.DB
	now        func() time.Time
	log        *slog.Logger
	wrapping   cipher.AEAD
	keys       atomic.Pointer[ring]
	looked     atomic.Int64 // when [Store.find] last looked for keys of others
	made       time.Time
	background context.Context // of reads that no single caller waits for
}

// ring is the keys at one moment, never modified.
type ring struct {
	all    map[uint32]key
	newest key
}

type key struct {
	id   uint32
	aead cipher.AEAD
	made kvs.Millis
}

// Open returns the store kept in the database and makes its first key. Keys that the
// wrapping key does not open were sealed under another one, which somebody replaced: they
// are removed, and with them what they sealed.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{db: o.DB, now: o.Now, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), made: time.Now(),
		background: context.WithoutCancel(ctx)}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.wrapping, err = newAEAD(o.Wrapping); err != nil {
		return nil, fmt.Errorf("sealing keys: %w", err)
	}
	if err := s.Rotate(ctx); err != nil {
		return nil, fmt.Errorf("sealing keys: %w", err)
	}
	return s, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Run makes keys and removes them in time, until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	again := time.NewTicker(pass)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
		if err := s.Rotate(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sealing keys not renewed yet", "error", err)
		}
	}
}

// Rotate makes a new key if the newest is a day old, and removes those that nothing needs.
// Run calls it each minute.
func (s *Store) Rotate(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	if r := s.keys.Load(); r.newest.id != 0 && !s.due(r.newest) && len(s.spent(r)) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		r, foreign, err := s.read(tx.Query)
		if err != nil {
			return err
		}
		for _, id := range append(foreign, s.spent(r)...) {
			if _, err := tx.Exec("DELETE FROM sealing_key WHERE id = $1", id); err != nil {
				return err
			}
		}
		if r.newest.id != 0 && !s.due(r.newest) {
			return nil // another process was faster
		}
		return s.make(tx, max(r.newest.id, highest(foreign))+1)
	})
	if err != nil {
		return err
	}
	return s.load(ctx)
}

// due reports whether a key has sealed long enough.
func (s *Store) due(k key) bool { return s.now().Sub(k.made.Time()) >= period }

// spent are the keys whose successor began long enough ago.
func (s *Store) spent(r *ring) (ids []uint32) {
	for id := range r.all {
		if next, ok := r.successor(id); ok && s.now().Sub(next.made.Time()) >= kept {
			ids = append(ids, id)
		}
	}
	return ids
}

// successor is the key that was made after that of an id.
func (r *ring) successor(id uint32) (next key, ok bool) {
	for _, k := range r.all {
		if k.id > id && (!ok || k.id < next.id) {
			next, ok = k, true
		}
	}
	return next, ok
}

func highest(ids []uint32) (most uint32) {
	for _, id := range ids {
		most = max(most, id)
	}
	return most
}

// make stores a new key. An id is never used again while its key could be known.
func (s *Store) make(tx *sql.Tx, id uint32) error {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	sealed := s.wrapping.Seal(nil, nil, secret, owner(id))
	_, err := tx.Exec("INSERT INTO sealing_key (id, secret, made) VALUES ($1, $2, $3)", id, sealed, kvs.MillisOf(s.now()))
	return err
}

// owner ties a sealed secret to its row.
func owner(id uint32) []byte { return binary.BigEndian.AppendUint32([]byte("sealing key "), id) }

// load replaces the known keys by those in the database. Nothing is lost by an error.
func (s *Store) load(ctx context.Context) error {
	r, _, err := s.read(func(query string, args ...any) (*sql.Rows, error) {
		return s.db.Read().QueryContext(ctx, query, args...)
	})
	if err == nil && (r.newest.id != 0 || s.keys.Load() == nil) {
		s.keys.Store(r)
	}
	return err
}

// read returns the keys, and the ids of those that another wrapping key sealed.
func (s *Store) read(query func(string, ...any) (*sql.Rows, error)) (r *ring, foreign []uint32, err error) {
	rows, err := query("SELECT id, secret, made FROM sealing_key")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	r = &ring{all: map[uint32]key{}}
	for rows.Next() {
		var k key
		var sealed []byte
		if err := rows.Scan(&k.id, &sealed, &k.made); err != nil {
			return nil, nil, err
		}
		secret, err := s.wrapping.Open(nil, nil, sealed, owner(k.id))
		if err != nil {
			foreign = append(foreign, k.id)
			continue
		}
		if k.aead, err = newAEAD(secret); err != nil {
			return nil, nil, err
		}
		r.all[k.id] = k
		if k.id > r.newest.id {
			r.newest = k
		}
	}
	return r, foreign, rows.Err()
}

// mayLook reports whether the database may be asked again on behalf of a token: whoever
// makes up ids must not cause a query each time. Time passes by the machine's own clock.
func (s *Store) mayLook() bool {
	now := int64(time.Since(s.made)) + int64(look)
	last := s.looked.Load()
	return now-last >= int64(look) && s.looked.CompareAndSwap(last, now)
}
