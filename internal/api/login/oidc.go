package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/millrace/millrace/internal/kvs"
)

const (
	oidcPath     = Path + "oidc"
	callbackPath = Path + "oidc/callback"
)

// maxHint is how many bytes of a login hint are passed on.
const maxHint = 256

// toProvider sends the browser to the provider. Parameters: return, a path of ours to go to
// after the login; login_hint, who it probably is; again=1, the provider should ask even if
// it knows.
func (d *Door) toProvider(ctx context.Context, a *answer, r *http.Request) error {
	found, err := d.provider.discover(ctx)
	if err != nil {
		return unreachable(err)
	}
	query := r.URL.Query()
	f := newFlow(d.o.Now(), query.Get("return"))
	if err := d.setFlow(a, f); err != nil {
		return err
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.verifier()), oauth2.SetAuthURLParam("nonce", f.nonce())}
	if hint := query.Get("login_hint"); hint != "" && len(hint) <= maxHint {
		options = append(options, oauth2.SetAuthURLParam("login_hint", hint))
	}
	if query.Get("again") == "1" {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	c := d.provider.client(found, d.callback(r), "")
	a.sent = true
	http.Redirect(a.w, r, c.AuthCodeURL(f.state(), options...), http.StatusFound)
	return nil
}

// callback is the URL that the provider sends browsers back to.
func (d *Door) callback(r *http.Request) string {
	if d.o.OIDC.Redirect != "" {
		return d.o.OIDC.Redirect
	}
	if d.o.Endpoint != "" {
		return strings.TrimSuffix(d.o.Endpoint, "/") + callbackPath
	}
	u := url.URL{Scheme: "https", Host: r.Host, Path: callbackPath}
	if r.TLS == nil && isLocal(u.Hostname()) {
		u.Scheme = "http"
	}
	return u.String()
}

// fromProvider takes what the provider says of a user and begins a session of the role that
// the user's groups have.
func (d *Door) fromProvider(ctx context.Context, a *answer, r *http.Request) error {
	f, err := d.takeFlow(a, r)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.state())) != 1 {
		return refuse(http.StatusForbidden, "This answer of the provider does not belong to the login that this browser began.")
	}
	if code := query.Get("error"); code != "" {
		no := refuse(http.StatusForbidden, "The provider refused the login.").because(errors.New("the provider answered " + quoted(code)))
		no.again = true
		return no
	}
	attempt, err := d.failures.begin(d.o.Client(r))
	if err != nil {
		return err
	}
	p, err := d.vouched(ctx, r, f)
	if err != nil {
		attempt.wait(ctx)
		return err
	}
	attempt.succeeded()
	s, err := d.o.Sessions.Begin(ctx, p, d.o.Life)
	if err != nil {
		return visible(err)
	}
	d.welcome(ctx, a, r, "provider", p, s)
	a.welcome(f.back())
	return nil
}

// vouched is the principal that the provider vouches for.
func (d *Door) vouched(ctx context.Context, r *http.Request, f flow) (p kvs.Principal, err error) {
	u, err := d.provider.user(ctx, r.URL.Query(), d.callback(r), f)
	if err != nil {
		return p, err
	}
	role := d.o.OIDC.role(u.groups)
	if role == "" {
		no := refuse(http.StatusForbidden, "You are known, but none of your groups may use this server.")
		no.again, no.hint = true, u.hint
		return p, no.because(errors.New("no group of " + quoted(u.name) + " is in login.oidc.roles"))
	}
	p, err = d.o.Roles.Role(ctx, role, u.name)
	if kvs.KindOf(err) == kvs.NotFound {
		return p, refuse(http.StatusForbidden, "The role that your group has does not exist: tell the operator of this server.").
			because(errors.New(role + " of login.oidc.roles does not exist"))
	}
	return p, err
}

// unreachable says that the provider cannot be asked.
func unreachable(err error) error {
	no := refuse(http.StatusServiceUnavailable, "The provider that knows the users cannot be reached now: try again in a minute.")
	no.after = pauseAfterFailure
	return no.because(err)
}

// quoted shortens a foreign text and makes it safe for the log, which quotes it.
func quoted(text string) string {
	if len(text) > 64 {
		text = text[:64]
	}
	return strings.ToValidUTF8(text, "?")
}
