package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/keep"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/rekey"
	"github.com/millrace/millrace/internal/server/datadir"
)

// Identities are the accounts, keys, users, groups, roles and policies of a data directory,
// opened for the command line by [OpenIdentities].
type Identities struct {
	Keys      *iam.Store
	Directory *directory.Directory

	data   *datadir.Dir
	rows   *db.DB
	unlock func() error
}

// OpenIdentities opens who may call the server of a data directory. It works beside a
// running server, which notices changes within seconds; with offline true it fails while
// one runs.
func OpenIdentities(ctx context.Context, root string, offline bool) (i *Identities, err error) {
	i = &Identities{data: &datadir.Dir{Root: root}, unlock: func() error { return nil }}
	if _, err := os.Stat(i.data.Path("keys.db")); err != nil {
		return nil, fmt.Errorf("%s holds no keys: it is not a data directory, or its server was never started (%w)", root, err)
	}
	if offline {
		f, err := datadir.Lock(i.data.Path(datadir.LockFile))
		if err != nil {
			return nil, err
		}
		i.unlock = f.Close
	}
	defer func() {
		if err != nil {
			i, err = nil, errors.Join(err, i.Close())
		}
	}()
	if err := rekey.Finished(root); err != nil {
		return i, err
	}
	if i.rows, err = db.Open(ctx, db.Options{Path: i.data.Path("keys.db"), Durable: true, Migrations: iam.Migrations()}); err != nil {
		return i, err
	}
	if i.Keys, err = iam.Open(ctx, iam.Options{DB: i.rows, KeyFile: i.data.Path(KeyFile)}); err != nil {
		return i, err
	}
	i.Directory = directory.Open(directory.Options{DB: i.rows, Keys: i.Keys})
	return i, nil
}

// Close closes them.
func (i *Identities) Close() error {
	var err error
	if i.rows != nil {
		err = i.rows.Close()
	}
	return errors.Join(err, i.unlock())
}

// DeleteAccount removes an account that has no streams or channels, with all that belongs to it.
func (i *Identities) DeleteAccount(ctx context.Context, account kvs.AccountID) error {
	return i.streams(ctx, "", func(c *catalog.Catalog) error { return i.Keys.DeleteAccount(ctx, account, c) })
}

// Stream returns the stream of that name, NotFound if the account has none in the region.
func (i *Identities) Stream(ctx context.Context, account kvs.AccountID, region, name string) (s kvs.Stream, err error) {
	err = i.streams(ctx, region, func(c *catalog.Catalog) error {
		s, err = c.ByName(ctx, account, name)
		return err
	})
	return s, err
}

// Channel returns the signaling channel of that name, NotFound if the account has none in the
// region.
func (i *Identities) Channel(ctx context.Context, account kvs.AccountID, region, name string) (ch kvs.Channel, err error) {
	err = i.streams(ctx, region, func(c *catalog.Catalog) error {
		ch, err = channels.Open(channels.Options{Catalog: c}).ByName(ctx, account, name)
		return err
	})
	return ch, err
}

// streams opens the catalog of a region and calls f.
func (i *Identities) streams(ctx context.Context, region string, f func(*catalog.Catalog) error) (err error) {
	rows, err := db.Open(ctx, db.Options{Path: i.data.Path("catalog.db"), Durable: true, Migrations: catalog.Migrations()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	c, err := catalog.Open(ctx, catalog.Options{DB: rows, Region: region})
	if err != nil {
		return err
	}
	return f(c)
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

// openRing opens the data keys that media are sealed with.
func (s *Server) openRing(context.Context) (err error) {
	wrapping, err := provider(s.data, &s.config)
	if err != nil {
		return err
	}
	s.wrapping, _ = wrapping.(*keyring.Local)
	if s.wrapping != nil {
		s.tellMissingKeys(&s.config)
	}
	if err := disk.MakeDir(s.data.Path("archive")); err != nil {
		return err
	}
	if err := keep.ExamineKeys(s.data.Root, s.config.Archive.WarmDir); err != nil {
		return err
	}
	s.ring, err = keyring.Open(keyring.Options{
		Path: s.data.Path(keysPath), Provider: wrapping, Timeout: s.config.Keys.Timeout, Owner: owners{s.catalog}.of,
		Observer: keyObserver{s.metrics}, Now: s.config.Now, Logger: s.log,
	})
	return err
}

// tellMissingKeys says which key files of the settings are not there.
func (s *Server) tellMissingKeys(c *config.Config) {
	_, missing := examineKeys(c)
	for _, m := range missing {
		s.log.Error("a wrapping key is missing", "setting", m.Setting, "error", m.Text)
	}
}

// provider is who wraps data keys: the one that a test brings, or key files.
func provider(d *datadir.Dir, c *config.Config) (keyring.Provider, error) {
	if c.Keys.Provider != nil {
		return c.Keys.Provider, nil
	}
	return openWrapping(d, c)
}

// keysPath is the file of wrapped data keys in the data directory.
const keysPath = "archive/keys"

// openWrapping reads the wrapping keys: the data directory's own and those of the settings.
func openWrapping(d *datadir.Dir, c *config.Config) (*keyring.Local, error) {
	own, err := keyfile.Read(d.Path(KeyFile))
	if err != nil {
		return nil, err
	}
	others, err := readKeys(c)
	if err != nil {
		return nil, err
	}
	return keyring.NewLocal(own, others)
}

// readKey reads a key file of the settings.
func readKey(file string) ([]byte, error) {
	secret, err := keyfile.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no key file %s: put back its copy; until then its streams answer 4506. A new one (millrace key-file make) reads nothing that was sealed under the old (%w)", file, fs.ErrNotExist)
	}
	return secret, err
}

// readKeys reads the key files of the settings. Those that are missing are left out: their
// streams alone are refused.
func readKeys(c *config.Config) (map[string]keyring.LocalKey, error) {
	keys := map[string]keyring.LocalKey{}
	for id, file := range c.Keys.Files {
		secret, err := readKey(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("keys.files.%s: %w", id, err)
		}
		keys[id] = keyring.LocalKey{Secret: secret, Disabled: slices.Contains(c.Keys.Disabled, id)}
	}
	return keys, nil
}

// Rotate replaces the key file of a data directory that no server uses, and seals
// everything under the new one. keep is given the text of the old file first; an error
// ends the rotation before it began.
func Rotate(ctx context.Context, root string, keep func(old []byte) error, log *slog.Logger) (err error) {
	d := &datadir.Dir{Root: root}
	for _, name := range []string{"catalog.db", "keys.db"} {
		if _, err := os.Stat(d.Path(name)); err != nil {
			return fmt.Errorf("%s is not a data directory, or its server was never started (%w)", root, err)
		}
	}
	held, err := datadir.Lock(d.Path(datadir.LockFile))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	text, err := os.ReadFile(d.Path(KeyFile))
	if err == nil {
		err = keep(text)
	}
	if err != nil {
		return err
	}
	streams, err := db.Open(ctx, db.Options{Path: d.Path("catalog.db"), Durable: true, Migrations: catalog.Migrations()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, streams.Close()) }()
	c, err := catalog.Open(ctx, catalog.Options{DB: streams})
	if err != nil {
		return err
	}
	keys, err := db.Open(ctx, db.Options{Path: d.Path("keys.db"), Durable: true, Migrations: iam.Migrations()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	return rekey.Run(ctx, rekey.Options{Dir: root, Keys: keys, Owner: owners{c}.of, Logger: log})
}

// finishRotation goes on with a rotation that was interrupted.
func (s *Server) finishRotation(ctx context.Context, keys *db.DB) error {
	pending, err := rekey.Pending(s.data.Root)
	if !pending {
		return err
	}
	s.log.Warn("a rotation of the key file was interrupted; it goes on now")
	return rekey.Run(ctx, rekey.Options{Dir: s.data.Root, Keys: keys, Owner: owners{s.catalog}.of, Logger: s.log})
}

// owners tells the ring whose keys a stream's are.
type owners struct{ catalog *catalog.Catalog }

func (o owners) of(ctx context.Context, id kvs.StreamID) (keyring.Owner, error) {
	e, err := o.catalog.Open(ctx, id)
	if err != nil {
		return keyring.Owner{}, err
	}
	s := e.Stream()
	return keyring.Owner{Account: s.Account, KeyID: s.KmsKeyID}, nil
}

// name returns what operators call a stream, "" when it is gone.
func (o owners) name(ctx context.Context, id kvs.StreamID) string {
	e, err := o.catalog.Open(ctx, id)
	if err != nil {
		return ""
	}
	return e.Stream().Name
}

// keyObserver turns what the ring does into measurements.
type keyObserver struct{ m *metrics.Set }

func (o keyObserver) Made()            { o.m.DataKeys.Inc() }
func (o keyObserver) Damaged(keys int) { o.m.DamagedRecords.Add(float64(keys)) }
func (o keyObserver) Refused(f keyring.Failure) {
	o.m.KeyErrors.WithLabelValues(f.Name()).Inc()
}
