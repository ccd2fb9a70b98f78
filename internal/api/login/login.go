// Package login lets browsers in: it turns an access key, or the word of an OpenID Connect
// provider, into a session that a cookie carries (docs/design/identity.md, section 7).
//
// A [Door] answers below [Path] and recognises its cookies on calls of the API
// ([Door.Login]). It keeps no sessions: the cookie holds a session token of the
// installation, and a mark that only this door can make, because a session token by itself
// proves nothing. A page that makes calls shows that it is ours by a header of its own and
// by its Origin. All methods may be called from any number of goroutines; the package starts
// none.
package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Path begins the paths of the door.
const Path = "/login/"

// Identifier finds who an access key stands for, and its secret. found is false when nobody
// has it, when it is disabled, or when the session token is not its.
type Identifier interface {
	Identify(ctx context.Context, accessKey, sessionToken string) (p kvs.Principal, secret string, found bool, err error)
}

// Sessions makes and ends the sessions that cookies carry.
type Sessions interface {
	// Begin makes a session of a principal that lasts so long at most. It is not asked for
	// temporary credentials.
	Begin(ctx context.Context, p kvs.Principal, life time.Duration) (Session, error)
	// Resume returns who a session stands for now. It fails with a kind that callers may see
	// when it has ended, for whatever reason.
	Resume(ctx context.Context, id, token string) (kvs.Principal, error)
	// End makes the session's token good for nothing.
	End(ctx context.Context, p kvs.Principal) error
}

// Session is what a cookie carries.
type Session struct {
	ID, Token string // the access key id of temporary credentials and their session token
	Expires   time.Time
}

// Roles finds the role that members of a group get.
type Roles interface {
	// Role returns the principal of a session of the role with that name; NotFound when there
	// is no such role.
	Role(ctx context.Context, arn, session string) (kvs.Principal, error)
}

// Options are what a Door is made of. Keys, Sessions and Secret are needed; Roles, Seal
// and Unseal for a provider.
type Options struct {
	Keys     Identifier
	Sessions Sessions
	Roles    Roles
	Secret   []byte        // 32 bytes that nobody else knows
	Life     time.Duration // of a session, at most
	OIDC     OIDC

	// Seal and Unseal make and open texts that only this installation can, for logins alone.
	Seal   func(content []byte) (string, error)
	Unseal func(text string) ([]byte, error)

	// Endpoint is the URL that browsers know the server by, beside the one by which they come;
	// "" = none.
	Endpoint string
	// Client is the address that a request came from; nil = the other end of the connection.
	Client func(*http.Request) netip.Addr
	// Secure reports whether nobody can have read a request on its way; nil = TLS, or this
	// machine.
	Secure func(*http.Request) bool
	// Trusted is told of requests of somebody who is known; nil = nobody asks.
	Trusted func(ctx context.Context)

	Now    func() time.Time // nil = time.Now
	Logger *slog.Logger     // nil = silent
}

// Door is where browsers come in. Make it with [New].
type Door struct {
	o        Options
	failures failures
	provider *provider // nil = none
	paths    map[string]path
}

// path is what the door does at one path.
type path struct {
	method string
	serve  func(ctx context.Context, a *answer, r *http.Request) error
}

// New makes a Door. It asks no provider: that comes with the first login.
func New(o Options) (*Door, error) {
	if o.Client == nil {
		o.Client = peer
	}
	if o.Secure == nil {
		o.Secure = func(r *http.Request) bool { return r.TLS != nil || peer(r).IsLoopback() }
	}
	if o.Trusted == nil {
		o.Trusted = func(context.Context) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Door{o: o, failures: failures{now: o.Now}}
	d.paths = map[string]path{
		Path + "key":     {http.MethodPost, d.byKey},
		Path + "session": {http.MethodGet, d.session},
		Path + "logout":  {http.MethodPost, d.logout},
	}
	if o.OIDC.Issuer != "" {
		var err error
		if d.provider, err = newProvider(o.OIDC, o.Now); err != nil {
			return nil, err
		}
		d.paths[oidcPath] = path{http.MethodGet, d.toProvider}
		d.paths[callbackPath] = path{http.MethodGet, d.fromProvider}
	}
	return d, nil
}

// ServeHTTP answers requests below [Path].
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &answer{w: w, page: r.URL.EscapedPath() == callbackPath || r.URL.EscapedPath() == oidcPath}
	protect(w.Header())
	defer d.caught(a, r)
	if err := d.serve(a, r); err != nil {
		d.complain(a, r, err)
	}
}

func (d *Door) serve(a *answer, r *http.Request) error {
	p, ok := d.paths[r.URL.EscapedPath()]
	switch {
	case !ok:
		return refuse(http.StatusNotFound, "There is nothing at this path.")
	case r.Method != p.method:
		a.w.Header().Set("Allow", p.method)
		return refuse(http.StatusMethodNotAllowed, "This path takes %s.", p.method)
	case !d.o.Secure(r):
		return refuse(http.StatusForbidden, "Log in over https: whoever is on the way could read what is sent over http.")
	}
	return p.serve(r.Context(), a, r)
}

// complain answers with what went wrong, and logs what the operator must see.
func (d *Door) complain(a *answer, r *http.Request, err error) {
	no, ok := errors.AsType[*refusal](err)
	if !ok {
		no = &refusal{status: http.StatusInternalServerError, text: "Internal failure."}
	}
	level := slog.LevelInfo
	if no.status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	attrs := []slog.Attr{slog.String("path", knownPath(d, r)), slog.Int("status", no.status), slog.String("client", d.o.Client(r).String())}
	if cause := errors.Unwrap(err); cause != nil {
		attrs = append(attrs, slog.String("error", cause.Error()))
	} else {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	d.o.Logger.LogAttrs(r.Context(), level, "no login", attrs...)
	a.refuse(no)
}

// knownPath keeps what strangers make up out of the log.
func knownPath(d *Door, r *http.Request) string {
	if path := r.URL.EscapedPath(); d.paths[path].serve != nil {
		return path
	}
	return "unknown"
}

// caught turns a mistake of ours into an answer and a log line. Deferred.
func (d *Door) caught(a *answer, r *http.Request) {
	if cause := recover(); cause != nil {
		d.o.Logger.ErrorContext(r.Context(), "panic", "path", knownPath(d, r), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		a.refuse(&refusal{status: http.StatusInternalServerError, text: "Internal failure."})
	}
}

// peer is the other end of the connection.
func peer(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
