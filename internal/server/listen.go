package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/media"
	"github.com/millrace/millrace/internal/certs"
	"github.com/millrace/millrace/internal/config"
)

// listener is one address the server answers on.
type listener struct {
	name string
	net  net.Listener
	http *http.Server
}

// bindAll takes all addresses before anything is made, so that a busy one costs
// nothing.
func (s *Server) bindAll(context.Context) error {
	s.bound = map[string]net.Listener{}
	for _, a := range addresses(&s.config) {
		l, err := net.Listen("tcp", a.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: address %s is in use by another program: give another one, %s", a.name, a.addr, a.how())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, addressError(a.addr, err))
		}
		s.bound[a.name] = l
	}
	return nil
}

// address is one that the settings name.
type address struct{ name, addr string }

// how says how to give another one.
func (a address) how() string {
	if strings.Contains(a.name, ".") {
		return "as " + a.name + " of the settings"
	}
	return "with --" + a.name
}

// addresses are those to listen on. The plain listener answers authorities as well.
func addresses(c *config.Config) []address {
	list := []address{{"http", c.HTTP}, {"https", c.HTTPS}, {"metrics", c.Metrics}, {"play", c.Play}}
	if a := c.TLS.ACME; len(a.Domains) > 0 && a.Challenge == config.HTTP01 && a.HTTP != c.HTTP {
		list = append(list, address{"tls.acme.http", a.HTTP})
	}
	return slices.DeleteFunc(list, func(a address) bool { return a.addr == "" })
}

// listen gives the bound addresses their handlers.
func (s *Server) listen(context.Context) error {
	for name, l := range s.bound {
		var h http.Handler
		l = &strangers{Listener: l, max: s.maxStrangers}
		switch name {
		case "metrics":
			mux := http.NewServeMux()
			mux.Handle("GET /metrics", s.metrics.Handler())
			mux.HandleFunc("GET /healthz", healthz)
			mux.HandleFunc("GET /readyz", s.readyz)
			h = mux
		case "tls.acme.http":
			mux := http.NewServeMux()
			mux.Handle(certs.ChallengePath, s.certs)
			h = mux
		case "play":
			l = tls.NewListener(l, withHTTP2(s.certs.Config()))
			h = s.playHandler()
		case "https":
			l = tls.NewListener(l, s.certs.Config())
			h = s.Handler()
		default:
			h = s.Handler()
		}
		s.listeners = append(s.listeners, listener{name, l, s.newHTTP(name, h)})
	}
	return nil
}

// withHTTP2 offers HTTP/2 to clients that know it. Players load many small files at once;
// media calls, which need whole connections, never come to such a listener.
func withHTTP2(c *tls.Config) *tls.Config {
	c.NextProtos = append([]string{"h2"}, c.NextProtos...)
	return c
}

// newHTTP makes the server of one listener.
func (s *Server) newHTTP(name string, h http.Handler) *http.Server {
	return &http.Server{
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
			return remember(media.ConnContext(api.OnListener(ctx, name), c), c)
		},
	}
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

// strangers is a listener that bounds the connections nobody has signed anything on
// yet. At the bound a new one takes the place of the oldest, so that connections which
// do nothing cannot keep others out.
type strangers struct {
	net.Listener
	max func() int // 0 = any number

	mu    sync.Mutex
	conns []*stranger // oldest first; known ones are left out lazily
	count int
}

// stranger is a connection that may become known.
type stranger struct {
	net.Conn
	l     *strangers
	known atomic.Bool
}

// Accept waits for the next connection.
func (l *strangers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &stranger{Conn: c, l: l}
	for _, old := range l.enter(s) {
		_ = old.Conn.Close()
	}
	return s, nil
}

// enter counts s and returns the connections that must go.
func (l *strangers) enter(s *stranger) (out []*stranger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, s)
	l.count++
	most := l.max()
	for most > 0 && l.count > most {
		old := l.conns[0]
		l.conns = l.conns[1:]
		if old.leave() {
			out = append(out, old)
		}
	}
	if len(l.conns) > 2*max(l.count, 16) {
		l.conns = l.unknown()
	}
	return out
}

// unknown returns the connections still counted. Callers hold l.mu.
func (l *strangers) unknown() []*stranger {
	kept := make([]*stranger, 0, l.count)
	for _, s := range l.conns {
		if !s.known.Load() {
			kept = append(kept, s)
		}
	}
	return kept
}

// leave ends the counting of s, once. Callers hold l.mu.
func (s *stranger) leave() bool {
	if s.known.Swap(true) {
		return false
	}
	s.l.count--
	return true
}

// trust says that a request on the connection was signed.
func (s *stranger) trust() {
	if s.known.Load() {
		return
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.leave()
}

// Close closes the connection.
func (s *stranger) Close() error {
	s.trust()
	return s.Conn.Close()
}

type strangerKey struct{}

// remember keeps the connection where [trusted] finds it.
func remember(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = t.NetConn()
	}
	if s, ok := c.(*stranger); ok {
		return context.WithValue(ctx, strangerKey{}, s)
	}
	return ctx
}

// trusted says that the request of ctx was signed by somebody we know.
func trusted(ctx context.Context) {
	if s, ok := ctx.Value(strangerKey{}).(*stranger); ok {
		s.trust()
	}
}
