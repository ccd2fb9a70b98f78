package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/notify"
	"github.com/millrace/millrace/internal/server"
)

// serveCmd runs the server.
type serveCmd struct {
	settingFlags
	emulateFlags
}

// Help shows examples.
func (serveCmd) Help() string {
	return `Examples:
  millrace serve --dev
      Try it out on this machine; the block it prints says how to go on.
  millrace serve --data /var/lib/millrace
      Serve the network. The first start prints the root key, once.
  millrace serve --config /etc/millrace.yml --profile aws
      Settings from a file, with the limits of the original service.
  millrace serve --dev --no-demo --clock 2030-01-01T00:00:00Z@60
      A server for tests: docs/guide/ci.md says more.
Every setting can also be a variable: MILLRACE_TLS_CERT is tls.cert of the file.`
}

// Run serves until a signal ends it.
func (s *serveCmd) Run(ctx context.Context, std stdio) error {
	settings, err := config.Load(s.sources())
	if err != nil {
		return &usageError{"serve", wrongSettings(err)}
	}
	c := settings.Config
	if err := s.apply(&c, s.Data); err != nil {
		return &usageError{"serve", err.Error()}
	}
	if c.Dev && s.Data == nil {
		dir, err := os.MkdirTemp("", "millrace-dev-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		c.Data = dir
	}
	c.Log.Var = new(slog.LevelVar)
	log, err := newLogger(std.err, c.Log)
	if err != nil {
		return &usageError{"serve", err.Error()}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before the start: it must not end the process
	defer signal.Stop(hangup)
	srv, err := server.New(ctx, c, log)
	if err != nil {
		if in := inTheWay(c.Data); in != "" {
			return fmt.Errorf("%w; %s", err, in)
		}
		return usable(c.Data, err)
	}
	announce(std.out, c, srv)
	noteStart(log, c)
	ctx, cancel := context.WithCancel(ctx)
	var reloading sync.WaitGroup
	manager := notify.FromEnv(os.Getenv, os.Getpid())
	reloading.Go(func() { s.reload(ctx, hangup, c.Data, srv, manager, log) })
	defer reloading.Wait()
	defer cancel()
	return supervise(ctx, srv, manager, log)
}

// reload reads the settings again at each signal, from the same sources as at the
// start, until ctx ends.
func (s *serveCmd) reload(ctx context.Context, hangup <-chan os.Signal, data string, srv *server.Server, manager *notify.Manager, log *slog.Logger) {
	tell := telling(log)
	for {
		select {
		case <-hangup:
		case <-ctx.Done():
			return
		}
		tell(manager.Reloading())
		next, err := config.Load(s.sources())
		if s.Data == nil && next.Dev {
			next.Data = data
		}
		if err == nil {
			err = srv.Reload(ctx, next.Config)
		} else {
			srv.ReloadFailed()
		}
		if err != nil {
			log.Error("settings not reloaded: those before stay in force", "error", err)
		}
		tell(manager.Ready())
	}
}

// wrongSettings says what is wrong with the settings, each mistake on a line of its own.
func wrongSettings(err error) string {
	if wrong, ok := errors.AsType[config.Mistakes](err); ok && len(wrong) > 1 {
		return fmt.Sprintf("%d settings are wrong:\n%v", len(wrong), wrong)
	}
	return err.Error()
}

// newLogger makes the logger that the settings ask for.
func newLogger(w io.Writer, l config.Log) (*slog.Logger, error) {
	level, err := l.ParseLevel()
	if err != nil {
		return nil, err
	}
	l.Var.Set(level)
	o := &slog.HandlerOptions{Level: l.Var}
	switch l.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		o.ReplaceAttr = inSeconds
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("log.format: %q: use text or json", l.Format)
}

// inSeconds writes durations as numbers of seconds; slog would write nanoseconds.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key, a.Value.Duration().Seconds())
	}
	return a
}

// noteStart logs which program serves what.
func noteStart(log *slog.Logger, c config.Config) {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		data = c.Data
	}
	log.Info("starting", "version", version(), "data", data, "profile", c.Profile, "dev", c.Dev)
}

// announce prints where the server is and, at the first start, the root key.
func announce(w io.Writer, c config.Config, srv *server.Server) {
	data, err := filepath.Abs(c.Data)
	if err != nil {
		data = c.Data
	}
	if c.Dev {
		announceDev(w, c, srv, os.Args[0], data)
		return
	}
	fmt.Fprintf(w, "Millrace serves %s\n", join(srv.URL("https"), srv.URL("http")))
	if c.HTTPS != "" && c.TLS.Cert == "" {
		fmt.Fprintf(w, "CA for clients: %s\n", filepath.Join(data, "ca.pem"))
	}
	if k := srv.RootKey(); k != nil {
		announceRoot(w, data, k)
	}
}
