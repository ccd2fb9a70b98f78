package iam

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/iam/naming"
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

// lookup is the one statement of a look-up that memory does not answer.
const lookup = `SELECT k.account, k.owner, k.root, k.secret, k.active, a.home, a.disabled, COALESCE(e.name, ''), COALESCE(e.path, '')
	FROM access_key k JOIN account a ON a.id = k.account LEFT JOIN entity e ON e.id = k.owner AND e.account = k.account
	WHERE k.id = $1`

// read gets a key from the database. A key of a disabled account is as good as disabled.
func (s *Store) read(ctx context.Context, id string) (Key, error) {
	var user string
	var sealed []byte
	var root, home, disabled bool
	k, n := Key{}, naming.Name{Kind: naming.User}
	err := s.db.Read().QueryRowContext(ctx, lookup, id).Scan(&n.Account, &user, &root, &sealed, &k.Active, &home, &disabled, &n.Name, &n.Path)
	if errors.Is(err, sql.ErrNoRows) {
		return Key{}, unknownKey()
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up access key: %w", err)
	}
	if k.Secret, err = s.seal.open(id, sealed); err != nil {
		return Key{}, &kvs.Error{Kind: kvs.Internal, Message: "the sealed secret of access key " + id + " is damaged; delete the key", Cause: err}
	}
	k.Active = k.Active && !disabled
	switch {
	case user == "":
		k.Principal = rootPrincipal(n.Account, id)
		k.Principal.Root = root
	case n.Name == "":
		return Key{}, unknownKey() // of a user that is gone
	default:
		k.Principal = userPrincipal(n, user, id)
	}
	k.Principal.Home = home || s.isDev(n.Account)
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

// Forget drops all keys from memory. It is for the directory, which changes the names and
// paths that principals have.
func (s *Store) Forget() { s.forgetAll() }

// EnsureKey makes a key with a given id and secret known to this store, for the fixed
// keys of --dev, each as good as the root key of the installation. It is kept in memory
// only: a secret everybody knows must not open a data directory that is served to others
// later. The account is made if it is not there, so that it can have users.
func (s *Store) EnsureKey(ctx context.Context, account kvs.AccountID, id, secret string) error {
	if err := checkAccount(account); err != nil {
		return err
	}
	if !validID(id) || secret == "" {
		return kvs.Errorf(kvs.InvalidArgument, "an access key id must have 16 to 128 letters, digits or underscores, and a secret")
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO account (id, home, created) VALUES ($1, 0, $2) ON CONFLICT (id) DO NOTHING", string(account), int64(s.millis()))
		return err
	})
	if err != nil {
		return err
	}
	p := rootPrincipal(account, id)
	p.Root, p.Home = true, true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dev = account
	s.fixed[id] = Key{Principal: p, Secret: secret, Active: true}
	return nil
}

// isDev reports whether the account is the one of --dev, which counts as home.
func (s *Store) isDev(account kvs.AccountID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.dev != "" && s.dev == account
}
