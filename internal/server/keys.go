package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
)

// OpenKeys opens the keys of a data directory for the command line. It works beside a
// running server, which notices changes within seconds; with offline true it fails
// while one runs. The returned function closes them.
func OpenKeys(ctx context.Context, root string, offline bool) (*iam.Store, func() error, error) {
	d := &dataDir{root: root}
	if _, err := os.Stat(d.path("keys.db")); err != nil {
		return nil, nil, fmt.Errorf("%s holds no keys: it is not a data directory, or its server was never started (%w)", root, err)
	}
	unlock := func() error { return nil }
	if offline {
		f, err := lock(d.path(lockFile))
		if err != nil {
			return nil, nil, err
		}
		unlock = f.Close
	}
	rows, err := db.Open(ctx, db.Options{Path: d.path("keys.db"), Durable: true, Migrations: iam.Migrations()})
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	done := func() error { return errors.Join(rows.Close(), unlock()) }
	store, err := iam.Open(ctx, iam.Options{DB: rows, KeyFile: d.path(KeyFile)})
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return store, done, nil
}

// Init makes the data directory of a server that is to start later: CA, stores, account
// and root key, which it returns because it is never shown again. It fails if the
// directory has an account already.
func Init(ctx context.Context, c config.Config, log *slog.Logger) (key *iam.RootKey, err error) {
	setClocks(&c)
	s := &Server{config: c, log: log, close: func() {}}
	defer func() { err = errors.Join(err, s.shut()) }()
	for _, step := range []func(context.Context) error{s.openData, s.openCertificates, s.openLimits, s.openStores, s.openAccount} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if s.root == nil {
		return nil, fmt.Errorf("%s has an account and its root key already: millrace key create makes a further key, millrace key reset-root replaces a lost root key", c.Data)
	}
	return s.root, nil
}

// RootKey is the key made at the first start, nil at every later one.
func (s *Server) RootKey() *iam.RootKey { return s.root }
