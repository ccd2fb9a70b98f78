package server

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/backup"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/inspect"
	"github.com/millrace/millrace/internal/keep"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/server/datadir"
	"github.com/millrace/millrace/internal/server/turn"
)

// Examine looks at everything on this machine that a start with the settings would
// need, and changes nothing. It returns what would make the start fail. While a server
// runs on the data directory its lock counts as free, and so do addresses: they are its.
func Examine(c config.Config) (wrong config.Mistakes) {
	add := func(setting string, err error) {
		if err != nil {
			wrong = append(wrong, config.Mistake{Setting: setting, Text: err.Error()})
		}
	}
	add("data", datadir.Examine(c.Data, c.Dev))
	id, err := installation(c.Data)
	add("data", err)
	add("archive.warm_dir", keep.ExamineFolder(c.Data, c.Archive.WarmDir, id))
	add("data", keep.ExamineKeys(c.Data, c.Archive.WarmDir))
	if err := keep.ExamineReserve(c.Data, int64(c.Archive.Reserve)); errors.Is(err, keep.ErrNeverFits) {
		add("archive.reserve", err)
	}
	if c.TLS.ACME.CA != "" {
		_, err := os.ReadFile(c.TLS.ACME.CA)
		add("tls.acme.ca", err)
	}
	for name, file := range map[string]string{"login.oidc.ca": c.Login.OIDC.CA, "login.oidc.client_secret_file": c.Login.OIDC.ClientSecretFile} {
		if file != "" {
			_, err := os.ReadFile(file)
			add(name, err)
		}
	}
	add("signaling.ice_servers", examineICE(&c))
	add("tls.cert", examineCertificate(&c))
	keys, _ := examineKeys(&c)
	wrong = append(wrong, keys...)
	for name, file := range c.Policies.Files() {
		_, err := readPolicy(file)
		add("policies."+name, err)
	}
	seen := map[string]string{}
	for _, a := range addresses(&c) {
		if other := seen[a.addr]; other != "" && !anyPort(a.addr) {
			add(a.name, fmt.Errorf("address %s is already that of %s", a.addr, other))
			continue
		}
		seen[a.addr] = a.name
		add(a.name, examineAddress(a.addr, c.Data))
	}
	if total := totalMemory(); int64(c.Memory.Budget) > total {
		add("memory.budget", fmt.Errorf("%d MiB are more than the %d MiB this machine has", c.Memory.Budget>>20, total>>20))
	}
	return wrong
}

// installation is the identity of the one in a data directory, "" when there is none yet.
func installation(data string) (id string, err error) {
	path := filepath.Join(data, "catalog.db")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return "", nil
	}
	pool, err := db.OpenReader(path)
	if err != nil {
		return "", err
	}
	id, _, err = catalog.Identity(context.Background(), pool)
	return id, errors.Join(err, pool.Close())
}

// Concerns returns what a start with the settings would do on this machine that whoever
// wrote them may not mean.
func Concerns(c config.Config) config.Mistakes {
	_, missing := examineKeys(&c)
	return slices.Concat(diskConcerns(&c), missing, secretConcerns(&c), turnConcerns(&c))
}

// secretConcerns looks whether everybody on this machine can read a file with a secret. Its
// group may: programs share some of these files.
func secretConcerns(c *config.Config) (all config.Mistakes) {
	look := func(setting, file string) {
		if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 { // an error is told elsewhere
			all = append(all, config.Mistake{Setting: setting, Text: fmt.Sprintf("everybody on this machine can read %s, which has a secret (mode %04o): run chmod o-rwx", file, info.Mode().Perm())})
		}
	}
	look("login.oidc.client_secret_file", c.Login.OIDC.ClientSecretFile)
	for _, text := range c.Signaling.ICEServers {
		if server, err := config.ParseICEServer(text); err == nil {
			look("signaling.ice_servers", server.CredentialFile)
		}
	}
	return all
}

// fewPorts is the shortest range of relay ports that nobody is asked about: the allocations of
// one channel by the default limit.
const fewPorts = 100

// turnConcerns looks whether the relay has ports for more than a few clients, and an address
// that others reach, and whether the certificate has the names that clients are told. One of our
// own has them.
func turnConcerns(c *config.Config) (all config.Mistakes) {
	if first, last, err := c.Turn.Ports(); len(c.Turn.Listen) > 0 && err == nil && int(last)-int(first)+1 < fewPorts {
		n := int(last) - int(first) + 1
		all = append(all, config.Mistake{Setting: "turn.relay_ports", Text: fmt.Sprintf("of these %d ports %d can be lent at once, and a call takes two or more: others are refused with 508", n, (n+1)/2)})
	}
	if text := turn.Inland(&c.Turn); text != "" && !c.Dev {
		all = append(all, config.Mistake{Setting: "turn.advertise", Text: text})
	}
	covers := func(string) bool { return true }
	if domains := c.TLS.ACME.Domains; len(domains) > 0 {
		covers = func(host string) bool {
			return slices.Contains(domains, host) || slices.Contains(signalingNames(c), host)
		}
	} else if pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key); c.TLS.Cert != "" && err == nil { // an error is told elsewhere
		covers = func(host string) bool { return pair.Leaf.VerifyHostname(host) == nil }
	}
	if text := turn.Uncovered(&c.Turn, c.Signaling.Domain, covers); text != "" {
		all = append(all, config.Mistake{Setting: "turn.host", Text: text})
	}
	return all
}

// diskConcerns are those about disks.
func diskConcerns(c *config.Config) (all config.Mistakes) {
	for _, text := range keep.ExamineFree(c.Data, c.Archive.WarmDir, freeDisk(c)) {
		all = append(all, config.Mistake{Setting: "archive.free_disk", Text: text})
	}
	if err := keep.ExamineReserve(c.Data, int64(c.Archive.Reserve)); err != nil && !errors.Is(err, keep.ErrNeverFits) {
		all = append(all, config.Mistake{Setting: "archive.reserve", Text: err.Error()})
	}
	return all
}

// freeDisk is what the settings want to stay free.
func freeDisk(c *config.Config) archive.FreeDisk {
	return archive.FreeDisk{Bytes: c.Archive.FreeDisk.Bytes(), Percent: c.Archive.FreeDisk.Percent()}
}

func anyPort(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	return err == nil && port == "0"
}

// examineAddress takes an address for a moment. data is the data directory whose server
// may have it.
func examineAddress(addr, data string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && datadir.Running(data):
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("address %s is in use by another program, as no server runs on %s: give another address, or the --data of the server that has this one", addr, data)
	case err != nil:
		return addressError(addr, err)
	}
	return l.Close()
}

// addressError says why an address cannot be listened on.
func addressError(addr string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("address %s: this user may not listen on a port below 1024; take a higher one, or grant CAP_NET_BIND_SERVICE", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("address %s is not one of this machine", addr)
	}
	return err
}

// examineCertificate reads the certificate's files and looks whether clients would take
// it for the endpoint they are told.
func examineCertificate(c *config.Config) error {
	if !shown(c) || c.TLS.Cert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.Cert, c.TLS.Key)
	if err != nil {
		return fmt.Errorf("tls.cert and tls.key: %w", err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		return fmt.Errorf("%s expired on %s", c.TLS.Cert, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	if u, err := url.Parse(c.Endpoint); err == nil && u.Scheme == "https" {
		if err := pair.Leaf.VerifyHostname(u.Hostname()); err != nil {
			return fmt.Errorf("%s does not fit the endpoint %s: %w", c.TLS.Cert, c.Endpoint, err)
		}
	}
	for _, name := range signalingNames(c) {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			return fmt.Errorf("%s does not fit signaling.domain: %w", c.TLS.Cert, err)
		}
	}
	return nil
}

// examineICE looks whether the credentials of ICE servers can be read.
func examineICE(c *config.Config) error {
	for _, text := range c.Signaling.ICEServers {
		server, err := config.ParseICEServer(text)
		if err != nil {
			return nil // the settings say so themselves
		}
		if _, err := server.Secret(); err != nil {
			return err
		}
	}
	return nil
}

// examineKeys looks whether the key files of the settings can be read. A server goes on
// without those that are missing.
func examineKeys(c *config.Config) (wrong, missing config.Mistakes) {
	for _, id := range slices.Sorted(maps.Keys(c.Keys.Files)) {
		_, err := readKey(c.Keys.Files[id])
		if err == nil {
			continue
		}
		m := config.Mistake{Setting: "keys.files." + id, Text: err.Error()}
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, m)
		} else {
			wrong = append(wrong, m)
		}
	}
	return wrong, missing
}

// Inspection says how the archive of a data directory is checked.
type Inspection struct {
	Deep     bool                   // read media, too
	Repair   bool                   // mend what can be mended without loss
	Keys     string                 // with Repair, a file of data keys to put among those there are
	Without  bool                   // with Repair, go on without data keys that are lost
	Progress func(inspect.Progress) // nil = nobody looks
}

// Inspect checks the archive of the data directory that the settings name, beside its
// server as well. A repair needs a directory without one. The report is nil when nothing
// could be checked.
func Inspect(ctx context.Context, c config.Config, i Inspection) (_ *inspect.Repaired, err error) {
	setClocks(&c)
	d := &datadir.Dir{Root: c.Data}
	if _, err := os.Stat(d.Path("catalog.db")); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s holds no streams: it is not a data directory, or its server was never started (%w)", c.Data, err)
		}
		return nil, err
	}
	if err := d.ExamineFormat(); err != nil {
		return nil, err
	}
	unmoved, err := keep.Unmoved(c.Data)
	if err == nil {
		c.Archive.WarmDir, err = keep.FindFolder(c.Data, c.Archive.WarmDir)
	}
	if err != nil {
		return nil, err
	}
	alone, release, err := i.reserve(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	streams, err := db.OpenReader(d.Path("catalog.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, streams.Close()) }()
	known := &tenants{pool: streams}
	o := inspect.Options{Dir: d.Path("archive"), Warm: c.Archive.WarmDir, Unmoved: unmoved, Live: !alone, Deep: i.Deep, Progress: i.Progress, Streams: known.exist, Names: known.names}
	if i.Deep {
		wrapping, err := provider(d, &c)
		if err != nil {
			return nil, err
		}
		o.Unwrap = (&tenants{pool: streams, keys: wrapping}).unwrap
	}
	if i.Repair {
		done, err := i.mendKeys(d)
		if err != nil {
			return nil, err
		}
		r, err := inspect.Repair(ctx, inspect.RepairOptions{Options: o, Open: func(ctx context.Context) error { return reopen(ctx, d, c) }})
		if r != nil {
			r.Done = append(done, r.Done...)
		}
		return r, err
	}
	r, err := inspect.Check(ctx, o)
	if err != nil {
		return nil, err
	}
	return &inspect.Repaired{Before: r, After: r, Done: []string{}}, nil
}

// mendKeys does what is asked for with the file of data keys, and says what was done.
func (i Inspection) mendKeys(d *datadir.Dir) (done []string, err error) {
	path := d.Path(keysPath)
	switch _, err := os.Lstat(path); {
	case i.Keys != "":
		n, err := keyring.Merge(disk.System{}, path, i.Keys)
		if err != nil {
			return nil, fmt.Errorf("the data keys were left as they were: %w", err)
		}
		done = []string{fmt.Sprintf("%d data keys were taken from %s", n, i.Keys)}
	case i.Without && errors.Is(err, fs.ErrNotExist):
		if err := keyring.Make(disk.System{}, path); err != nil {
			return nil, err
		}
		done = []string{"an empty file of data keys was made: what the lost ones seal stays unreadable"}
	}
	return done, nil
}

// reserve makes sure that nobody else changes what a repair changes. A check may go on
// beside a server that serves; without one it keeps servers out.
func (i Inspection) reserve(ctx context.Context, d *datadir.Dir) (alone bool, release func() error, err error) {
	if !i.Repair {
		alone, release, err := backup.Quiet(ctx, d.Root)
		if errors.Is(err, syscall.EROFS) { // nobody can change anything
			return true, func() error { return nil }, nil
		}
		return alone, release, err
	}
	f, err := datadir.Lock(d.Path(datadir.LockFile))
	if err != nil {
		return false, nil, err
	}
	return true, f.Close, nil
}

// scrubber reads what is stored again in the background.
func (s *Server) scrubber() *inspect.Scrubber {
	return inspect.NewScrubber(inspect.ScrubOptions{Dir: s.data.Path("archive"), Warm: s.config.Archive.WarmDir, Rate: int64(s.config.Archive.ScrubRate),
		Name: owners{s.catalog}.name, Observer: scrubObserver{s.metrics}, Logger: s.log, Now: s.config.Real})
}

// tenants tells a check what the catalog says of streams. One of them is for one goroutine.
type tenants struct {
	pool  *sql.DB
	keys  keyring.Provider
	known map[kvs.StreamID]catalog.Owner // as it was when a stream was last not in it
}

func (t *tenants) exist(ctx context.Context) (map[kvs.StreamID]bool, error) {
	all, err := catalog.Owners(ctx, t.pool)
	exist := make(map[kvs.StreamID]bool, len(all))
	for id := range all {
		exist[id] = true
	}
	return exist, err
}

// names returns what operators call the streams.
func (t *tenants) names(ctx context.Context) (map[kvs.StreamID]string, error) {
	all, err := catalog.Owners(ctx, t.pool)
	names := make(map[kvs.StreamID]string, len(all))
	for id, o := range all {
		names[id] = o.Name
	}
	return names, err
}

func (t *tenants) unwrap(ctx context.Context, stream kvs.StreamID, wrapped []byte) (secret [32]byte, err error) {
	o, ok := t.known[stream]
	if !ok {
		if t.known, err = catalog.Owners(ctx, t.pool); err != nil {
			return secret, err
		}
		if o, ok = t.known[stream]; !ok {
			return secret, fmt.Errorf("stream %d is deleted", stream)
		}
	}
	if secret, err = t.keys.Unwrap(ctx, o.KeyID, keyring.Scope{Account: o.Account, Stream: stream}, wrapped); err != nil && o.KeyID != "" {
		err = fmt.Errorf("KmsKeyId %q: %w", o.KeyID, err)
	}
	return secret, err
}

// reopen opens keys and archive as a start does, and closes them. The caller holds the lock.
func reopen(ctx context.Context, d *datadir.Dir, c config.Config) (err error) {
	s := &Server{config: c, log: slog.New(slog.DiscardHandler), metrics: metrics.New(), data: d}
	defer func() {
		if s.archive != nil {
			err = errors.Join(err, s.archive.Close())
		}
		err = errors.Join(err, s.warm.Close())
		if s.ring != nil {
			err = errors.Join(err, s.ring.Close())
		}
		for _, rows := range s.rows {
			err = errors.Join(err, rows.Close())
		}
	}()
	for _, step := range []func(context.Context) error{s.openCatalog, s.openRing} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	policies := keep.NewPolicies(s.catalog, nil)
	if err := s.openArchive(ctx, policies); err != nil {
		return err
	}
	return keep.New(keep.Options{Catalog: s.catalog, Policies: policies, Archive: s.archive, Logger: s.log}).Renew(ctx)
}
