package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api/media"
)

// listener is one address the server answers on.
type listener struct {
	name string
	net  net.Listener
	http *http.Server
}

// listen binds all addresses, so that a busy one is an error of the start.
func (s *Server) listen(context.Context) error {
	if s.config.HTTP != "" {
		if err := s.bind("http", s.config.HTTP, s.handler(), nil); err != nil {
			return err
		}
	}
	if s.config.HTTPS != "" {
		if err := s.bind("https", s.config.HTTPS, s.handler(), s.certs.config()); err != nil {
			return err
		}
	}
	if s.config.Metrics != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.metrics.Handler())
		return s.bind("metrics", s.config.Metrics, mux, nil)
	}
	return nil
}

func (s *Server) bind(name, addr string, h http.Handler, t *tls.Config) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	l = &strangers{Listener: l, max: s.limits.Strangers}
	if t != nil {
		l = tls.NewListener(l, t)
	}
	s.listeners = append(s.listeners, listener{name, l, &http.Server{
		Handler: h,
		// The head of a request is small and comes at once; media have deadlines of
		// their own.
		ReadHeaderTimeout: 15 * time.Second,
		IdleTimeout:       2 * time.Minute,
		WriteTimeout:      time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.Background() },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return remember(media.ConnContext(ctx, c), c)
		},
	}})
	return nil
}

func (l listener) serve() error {
	if err := l.http.Serve(l.net); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return nil
}

// URL is the base URL of a listener ("http" or "https"), "" if there is none. A
// listener on all addresses is named by localhost.
func (s *Server) URL(name string) string {
	for _, l := range s.listeners {
		if l.name != name {
			continue
		}
		host, port, err := net.SplitHostPort(l.net.Addr().String())
		if err != nil {
			return ""
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = "localhost"
		}
		return name + "://" + net.JoinHostPort(host, port)
	}
	return ""
}
