// Package server builds everything, starts it, and stops it in reverse.
//
// [New] opens the data directory and its stores and starts nothing but their writers;
// [Server.Run] listens until its context ends, lets open sessions finish and closes
// the stores. Only the command uses this package.
package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/login"
	"github.com/millrace/millrace/internal/api/signaling"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/catalog/channels"
	"github.com/millrace/millrace/internal/certs"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/hub"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/temporary"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/inspect"
	"github.com/millrace/millrace/internal/keep"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/playback/cut"
	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
	"github.com/millrace/millrace/internal/rekey"
	"github.com/millrace/millrace/internal/seal"
	"github.com/millrace/millrace/internal/server/datadir"
	"github.com/millrace/millrace/internal/server/turn"
	"github.com/millrace/millrace/internal/sessions"
)

// KeyFile is the file of the data directory that secrets and media are sealed under:
// losing it loses them.
const KeyFile = rekey.Current

// RootKeyFile is where a first start leaves the root key when its output is kept by others.
const RootKeyFile = "root-key"

// Server is one running installation.
type Server struct {
	config       config.Config                 // of the start
	settings     atomic.Pointer[config.Config] // in force, replaced by Reload
	reloading    sync.Mutex
	reloadFailed atomic.Bool // the last one
	log          *slog.Logger
	metrics      *metrics.Set

	data      *datadir.Dir
	rows      []*db.DB // closed in reverse
	book      *quota.Book
	catalog   *catalog.Catalog
	channels  *channels.Channels
	hub       *hub.Hub
	turn      *turn.Turn // nil = no relay
	keyRows   *db.DB
	keys      *iam.Store
	directory *directory.Directory
	issuer    *temporary.Issuer
	authority *authority.Authority
	policies  atomic.Pointer[map[string]*policy.Source] // of listeners, by their names
	wrapping  *keyring.Local                            // nil when a test brings its provider
	ring      *keyring.Ring
	budget    *quota.Budget
	players   *api.Memory // what segments and lists take that are being sent
	clips     *api.Memory // what clips take
	sessions  *sessions.Registry
	live      *live.Store
	archive   *archive.Archive
	keeper    *keep.Keeper
	scrub     *inspect.Scrubber
	warm      *keep.Folder // nil = none
	ingest    *ingest.Ingest
	rejected  *rejection.Book
	player    *playback.Player
	board     *playback.Board
	cutter    *cut.Cutter
	seal      *seal.Store
	play      http.Handler // what is behind session URLs
	certs     *certs.Store
	front     *api.Front
	addresses signaling.Addresses
	sockets   *api.Sockets
	login     *login.Door             // nil = browsers cannot log in
	bound     map[string]net.Listener // by name
	listeners []listener

	closing context.Context // done when sessions should end
	close   context.CancelFunc
	purge   chan kvs.StreamID
	root    *iam.RootKey
	started time.Time

	appends   appends
	readiness readiness
}

// setClocks fills in the clocks that the settings do not name.
func setClocks(c *config.Config) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Real == nil {
		c.Real = c.Now
	}
	if c.Dev && c.Emulate.Clock == nil {
		c.Emulate.Clock = clock.New(c.Now)
	}
	if c.Emulate.Clock != nil {
		c.Now = c.Emulate.Clock.Now
	}
}

// New opens the data directory and binds the addresses. Close it with Run.
func New(ctx context.Context, c config.Config, log *slog.Logger) (*Server, error) {
	setClocks(&c)
	s := &Server{config: c, log: log, metrics: metrics.New(), purge: make(chan kvs.StreamID, 1024), started: c.Now()}
	s.settings.Store(&c)
	s.closing, s.close = context.WithCancel(context.Background())
	for _, step := range []func(context.Context) error{s.openData, s.bindAll, s.openCertificates, s.openLimits, s.openStores, s.openSignaling, s.openRejections, s.openRing, s.openSeal, s.openIdentity, s.openTurn, s.openMedia, s.openFront, s.listen, s.openAccount} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.shut())
		}
	}
	return s, nil
}

func (s *Server) openData(context.Context) (err error) {
	s.data, err = datadir.Open(s.config.Data, s.config.Dev)
	return err
}

// openStores opens what must not be lost: streams and keys.
func (s *Server) openStores(ctx context.Context) error {
	if err := s.openCatalog(ctx); err != nil {
		return err
	}
	rows, err := s.openRows(ctx, db.Options{Path: s.data.Path("keys.db"), Durable: true, ReadCache: iam.ReadCache, Migrations: iam.Migrations()})
	if err != nil {
		return err
	}
	if err := s.finishRotation(ctx, rows); err != nil {
		return err
	}
	s.keyRows = rows
	s.keys, err = iam.Open(ctx, iam.Options{DB: rows, KeyFile: s.data.Path(KeyFile), Now: s.config.Real, Logger: s.log})
	return err
}

func (s *Server) openCatalog(ctx context.Context) error {
	rows, err := s.openRows(ctx, db.Options{Path: s.data.Path("catalog.db"), Durable: true, Migrations: catalog.Migrations()})
	if err != nil {
		return err
	}
	s.catalog, err = catalog.Open(ctx, catalog.Options{DB: rows, Region: s.config.Regions[0], Now: s.config.Now, Logger: s.log,
		MaxStreams: s.maxStreams, MaxTags: s.maxTags})
	if err == nil {
		s.channels = channels.Open(channels.Options{Catalog: s.catalog, MaxChannels: s.maxChannels, MaxTags: s.maxChannelTags, MaxStoring: s.maxStoring})
	}
	return err
}

func (s *Server) openRows(ctx context.Context, o db.Options) (*db.DB, error) {
	o.Logger = s.log
	d, err := db.Open(ctx, o)
	if err == nil {
		s.rows = append(s.rows, d)
	}
	return d, err
}

// openAccount makes the account of the first start, or the known one of a development
// server. It is the last step of a start: a root key that was made is shown once, so
// nothing may fail behind it.
func (s *Server) openAccount(ctx context.Context) (err error) {
	if s.config.Dev {
		return s.keys.EnsureKey(ctx, config.DevAccount, config.DevAccessKey, config.DevSecret)
	}
	s.root, err = s.keys.Bootstrap(ctx, kvs.AccountID(s.config.Account))
	return err
}

// reserve is the memory kept for the oldest waiting fragment: the largest there is,
// and a page for its head.
const reserve = 51 << 20

// maxListed is how many open sessions are shown; each takes half a kilobyte.
const maxListed = 20_000

// openMedia opens the rooms that media pass through.
func (s *Server) openMedia(ctx context.Context) (err error) {
	s.budget = quota.NewBudget(MemoryBudget(s.config), reserve)
	consumers := ConsumerMemory(s.config)
	s.players, s.clips = api.NewMemory(consumers/2), api.NewMemory(consumers/2)
	s.sessions = sessions.New(maxListed, s.config.Real)
	s.live = live.New(live.Options{Budget: s.budget, HostBuffer: s.hostBuffer, Now: s.config.Real, Evicted: s.evicted})
	policies := keep.NewPolicies(s.catalog, s.book)
	if err := s.openArchive(ctx, policies); err != nil {
		return err
	}
	s.scrub = s.scrubber()
	s.keeper = keep.New(keep.Options{Catalog: s.catalog, Policies: policies, Archive: erasing{s.archive, s.forgetMedia}, Logger: s.log})
	if err := s.keeper.Renew(ctx); err != nil {
		return err
	}
	if err := s.data.Serving(); err != nil {
		return err
	}
	s.ingest = ingest.New(ingest.Options{Live: s.live, Archive: s.archive, Keys: s.ring, Book: s.book, Metrics: s.metrics, Logger: s.log, Now: s.config.Real, Clock: s.config.Now, Newest: s.newest, Pressed: s.pressed, Reject: s.rejected.Add})
	s.player = playback.New(playback.Options{Archive: s.archive, Live: s.live, Keys: s.ring, Idle: s.getIdle, Now: s.config.Now, Real: s.config.Real})
	s.openPlayback()
	s.measure()
	return nil
}

func (s *Server) openArchive(ctx context.Context, policies *keep.Policies) (err error) {
	id, err := s.catalog.Identity(ctx)
	if err != nil {
		return err
	}
	if s.warm, err = keep.OpenFolder(s.data.Root, s.config.Archive.WarmDir, id); err != nil {
		return err
	}
	for _, m := range diskConcerns(&s.config) {
		s.log.Warn("a setting may do what nobody wants", "setting", m.Setting, "because", m.Text)
	}
	s.archive, err = archive.Open(ctx, archive.Options{
		Dir: s.data.Path("archive"), Keys: s.ring, Policy: policies.Policy, ExpireEvery: s.config.Archive.ExpireEvery,
		WarmDir: s.config.Archive.WarmDir, FreeDisk: freeDisk(&s.config),
		SegmentBytes: int64(s.config.Archive.SegmentBytes), Reserve: int64(s.config.Archive.Reserve), Observer: observer{s.metrics, &s.appends}, Now: s.config.Now, Logger: s.log,
	})
	return err
}

func (s *Server) openCertificates(context.Context) (err error) {
	if !shown(&s.config) {
		return nil
	}
	s.certs, err = certs.Open(s.certificates(&s.config))
	return err
}

// shown reports whether anybody sees a certificate. Clients of the relay do: those in C speak
// TLS over TCP whatever they are told.
func shown(c *config.Config) bool { return c.HTTPS != "" || c.Play != "" || len(c.Turn.Listen) > 0 }

// certificates are the settings of the certificates that c asks for.
func (s *Server) certificates(c *config.Config) certs.Options {
	a, names := c.TLS.ACME, signalingNames(&s.config)
	domains := a.Domains
	if len(domains) > 0 {
		domains = slices.Concat(domains, names)
	}
	return certs.Options{
		Dir: s.data.Root, Cert: c.TLS.Cert, Key: c.TLS.Key, Names: certificateNames(c),
		ACME: certs.ACME{Domains: domains, Email: a.Email, Directory: a.Directory, CA: a.CA,
			OverTLS: a.Challenge == config.TLSALPN01, KeyID: a.KeyID, MACKey: a.MACKey},
		Now: s.config.Real, Log: s.log,
	}
}

// Run serves until ctx ends, then lets sessions finish for the configured time and
// closes everything. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	// The rooms behind the doors go on until the last session has its answers.
	rooms, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var behind errgroup.Group
	behind.Go(func() error { return s.archive.Run(rooms) })
	behind.Go(func() error { return s.ring.Run(rooms) })
	behind.Go(func() error { return s.scrub.Run(rooms) })
	behind.Go(func() error { return s.live.Run(rooms) })
	behind.Go(func() error { return s.hub.Run(rooms) })
	behind.Go(func() error { return s.turn.Run(rooms) })
	behind.Go(func() error { return s.watchMemory(rooms) })
	behind.Go(func() error { return s.keys.Run(rooms) })
	behind.Go(func() error { return s.directory.Run(rooms) })
	behind.Go(func() error { return s.seal.Run(rooms) })
	behind.Go(func() error { return s.rejected.Run(rooms) })
	behind.Go(func() error { return s.purgeDeleted(rooms) })
	behind.Go(func() error { return s.keeper.Run(rooms) })
	behind.Go(func() error { return s.purgeKeys(rooms) })
	if s.certs != nil {
		behind.Go(func() error { return s.certs.Run(rooms) })
	}

	doors, ctx := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		s.log.Info("listening", "listener", l.name, "address", l.net.Addr().String())
		doors.Go(l.serve)
	}
	if s.config.Dev && !s.config.Emulate.NoDemo {
		doors.Go(func() error { return s.runCamera(ctx) })
		doors.Go(func() error { return s.runDemoMaster(ctx) })
	}
	doors.Go(func() error {
		<-ctx.Done()
		return s.closeDoors()
	})
	err := doors.Wait()
	stop()
	return errors.Join(err, behind.Wait(), s.shut())
}

// closeDoors stops listening, asks sessions to end and waits for them, then cuts what
// is left. Calls are relayed until the rest of the time is over: their clients have been told
// to go away, and may have met again elsewhere.
func (s *Server) closeDoors() error {
	s.log.Info("stopping: open sessions end", "within", s.config.Shutdown)
	s.close()
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Shutdown)
	defer cancel()
	var g errgroup.Group
	var last []listener
	for _, l := range s.listeners {
		if l.name == "metrics" { // who watches sees the server stop
			last = append(last, l)
			continue
		}
		g.Go(func() error { return l.close(ctx) })
	}
	g.Go(func() error { return s.closeSockets(ctx) })
	errs := []error{g.Wait()}
	s.turn.Drain(ctx)
	for _, l := range last {
		errs = append(errs, l.close(ctx))
	}
	return errors.Join(errs...)
}

// close lets the calls of a listener end, and cuts them when ctx ends.
func (l listener) close(ctx context.Context) error {
	if err := l.http.Shutdown(ctx); err != nil {
		return l.http.Close()
	}
	return nil
}

// shut closes the stores in reverse order of opening.
func (s *Server) shut() error {
	var errs []error
	s.close()
	for _, l := range s.bound {
		_ = l.Close()
	}
	s.turn.Close()
	if s.archive != nil {
		errs = append(errs, s.archive.Close())
	}
	if s.ring != nil {
		errs = append(errs, s.ring.Close())
	}
	errs = append(errs, s.warm.Close())
	for i := len(s.rows) - 1; i >= 0; i-- {
		errs = append(errs, s.rows[i].Close())
	}
	if s.data != nil {
		errs = append(errs, s.data.Close())
	}
	return errors.Join(errs...)
}
