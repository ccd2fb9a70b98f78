package iam

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

const (
	// maxAge is how long a key may be served from memory. Changes made through this
	// store show at once; those another process makes, after this time.
	maxAge = 10 * time.Second
	// maxCached bounds the memory of the cache, about 300 bytes a key.
	maxCached = 10_000
)

// cache holds keys that were looked up. Unknown ids are never in it, so nobody fills it
// by guessing; asking for one costs an index look-up, about 30 µs, less than the TLS
// handshake or the HTTP request around it.
type cache struct {
	keys    map[string]cached
	changes uint64 // counts invalidations
}

type cached struct {
	key   Key
	until time.Time
}

// Lookup returns the key with the given id; NotFound if there is none. A disabled key
// is returned with Active false.
//
// An unknown id takes some 30 microseconds longer than a cached one. That gives nothing
// away: the answers differ in words already, as those of the real service do, and ids
// have 80 random bits.
func (s *Store) Lookup(ctx context.Context, id string) (Key, error) {
	if !validID(id) {
		return Key{}, unknownKey()
	}
	now := s.now()
	s.mu.RLock()
	key, ok := s.fixed[id]
	c, hit := s.cache.keys[id]
	changes := s.cache.changes
	s.mu.RUnlock()
	switch {
	case ok:
		return key, nil
	case hit && now.Before(c.until):
		return c.key, nil
	}
	key, err := s.read(ctx, id)
	if err != nil {
		if kvs.KindOf(err) == kvs.NotFound && hit {
			s.forget(id)
		}
		return Key{}, err
	}
	s.remember(id, cached{key, now.Add(maxAge)}, changes)
	return key, nil
}

// read gets a key from the database.
func (s *Store) read(ctx context.Context, id string) (Key, error) {
	var account kvs.AccountID
	var sealed []byte
	var root bool
	k := Key{}
	err := s.db.Read().QueryRowContext(ctx, "SELECT account, root, secret, active FROM access_key WHERE id = $1", id).Scan(&account, &root, &sealed, &k.Active)
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, unknownKey()
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up access key: %w", err)
	}
	if k.Secret, err = s.seal.open(id, sealed); err != nil {
		return Key{}, &kvs.Error{Kind: kvs.Internal, Message: "the sealed secret of access key " + id + " is damaged; delete the key", Cause: err}
	}
	k.Principal = principal(account, id, root)
	return k, nil
}

// remember caches a key unless something changed since the count changes was taken:
// then what was read may be old.
func (s *Store) remember(id string, c cached, changes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache.changes != changes {
		return
	}
	if s.cache.keys == nil {
		s.cache.keys = map[string]cached{}
	}
	if _, ok := s.cache.keys[id]; !ok && len(s.cache.keys) >= maxCached {
		for other := range s.cache.keys { // any one: the order of a map is random
			delete(s.cache.keys, other)
			break
		}
	}
	s.cache.keys[id] = c
}

// forget drops a key from the cache.
func (s *Store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cache.keys, id)
	s.cache.changes++
}

func (s *Store) forgetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.cache.keys)
	s.cache.changes++
}

// EnsureKey makes a key with a given id and secret known to this store, for the fixed
// keys of --dev, each as good as a root key. It is kept in memory only: a secret everybody knows must not open a
// data directory that is served to others later.
func (s *Store) EnsureKey(_ context.Context, account kvs.AccountID, id, secret string) error {
	if err := checkAccount(account); err != nil {
		return err
	}
	if !validID(id) || secret == "" {
		return kvs.Errorf(kvs.InvalidArgument, "an access key id must have 16 to 128 letters, digits or underscores, and a secret")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fixed[id] = Key{Principal: principal(account, id, true), Secret: secret, Active: true}
	return nil
}
