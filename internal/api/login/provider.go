package login

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	askTimeout        = 10 * time.Second // of one request to the provider
	tries             = 2                // of a discovery
	pauseBetween      = 300 * time.Millisecond
	pauseAfterFailure = 5 * time.Second // before the provider is asked again
	rediscover        = 24 * time.Hour
	skew              = time.Minute // that its clock may be off
)

// OIDC names the provider that knows the users. Issuer and ClientID are needed.
type OIDC struct {
	Issuer           string
	ClientID         string
	ClientSecret     string
	ClientSecretFile string   // in place of ClientSecret; read at each login
	Redirect         string   // URL of our callback, "" = found from the call
	Scopes           []string // beside openid
	GroupsClaim      string   // member of the id token that lists groups
	Roles            []Group  // the first one counts that the user is in
	CA               string   // PEM file, "" = the system's
}

// Group says which role the members of a group get.
type Group struct{ Name, Role string } // Role is an ARN

// role is the role for somebody in the groups, "" when there is none.
func (o OIDC) role(groups []string) string {
	for _, g := range o.Roles {
		if slices.Contains(groups, g.Name) {
			return g.Role
		}
	}
	return ""
}

// provider is the provider as we know it. It is asked at the first login, and again after a
// day or when it could not be reached.
type provider struct {
	o    OIDC
	http *http.Client
	now  func() time.Time

	turn   chan struct{} // holds one token: who has it may use the fields below
	found  *oidc.Provider
	at     time.Time // of the discovery
	failed time.Time // when it could not be reached, zero = it could
	err    error
}

func newProvider(o OIDC, now func() time.Time) (*provider, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.MaxIdleConns, transport.IdleConnTimeout = 2, 10*time.Second
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("login.oidc.ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("login.oidc.ca: %s holds no certificate", o.CA)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	p := &provider{o: o, now: now, http: &http.Client{Transport: transport, Timeout: askTimeout}, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p, nil
}

// discover returns what the provider says of itself. Requests wait for the one that asks; after
// a failure nobody asks for some seconds.
func (p *provider) discover(ctx context.Context) (*oidc.Provider, error) {
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	now := p.now()
	if p.found != nil && now.Sub(p.at) < rediscover {
		return p.found, nil
	}
	if !p.failed.IsZero() && now.Sub(p.failed) < pauseAfterFailure {
		return p.found, p.lastError()
	}
	// Who asked first may go away; the others still want to know.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	found, err := p.ask(ctx)
	if err != nil {
		p.failed, p.err = now, err
		return p.found, p.lastError()
	}
	p.found, p.at, p.failed = found, now, time.Time{}
	return found, nil
}

// lastError is why the provider cannot be used. What it said a day ago is still good.
func (p *provider) lastError() error {
	if p.found != nil {
		return nil
	}
	return p.err
}

func (p *provider) ask(ctx context.Context) (found *oidc.Provider, err error) {
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(pauseBetween):
			case <-ctx.Done():
				return nil, err
			}
		}
		if found, err = oidc.NewProvider(oidc.ClientContext(ctx, p.http), p.o.Issuer); err == nil {
			return found, nil
		}
	}
	return nil, err
}

// client is us, as the provider knows us.
func (p *provider) client(found *oidc.Provider, callback, secret string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.o.ClientID, ClientSecret: secret, Endpoint: found.Endpoint(),
		RedirectURL: callback, Scopes: append([]string{oidc.ScopeOpenID}, p.o.Scopes...)}
}

// secret is the one we share with the provider, "" = none.
func (p *provider) secret() (string, error) {
	if p.o.ClientSecretFile == "" {
		return p.o.ClientSecret, nil
	}
	b, err := os.ReadFile(p.o.ClientSecretFile)
	if err != nil {
		return "", fmt.Errorf("login.oidc.client_secret_file: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// user is who the provider says has logged in.
type user struct {
	name   string // of the session
	hint   string // for the next try
	groups []string
}

// user exchanges the code of a callback for what the provider says of the user.
func (p *provider) user(ctx context.Context, query url.Values, callback string, f flow) (u user, err error) {
	// Who says it: an answer of another provider must not pass for one of ours (RFC 9207).
	if iss, ok := query["iss"]; ok && (len(iss) != 1 || iss[0] != p.o.Issuer) {
		return u, refuse(http.StatusForbidden, "This answer comes from another provider.")
	}
	found, err := p.discover(ctx)
	if err != nil {
		return u, unreachable(err)
	}
	secret, err := p.secret()
	if err != nil {
		return u, err
	}
	ctx = oidc.ClientContext(ctx, p.http)
	tokens, err := p.client(found, callback, secret).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(f.verifier()))
	if no, ok := errors.AsType[*oauth2.RetrieveError](err); ok && no.Response.StatusCode < http.StatusInternalServerError {
		// The body of its answer may hold more than the log should.
		return u, refuse(http.StatusForbidden, "The provider does not know this login any more: begin again.").
			because(fmt.Errorf("the provider refused the code: status %d, %s", no.Response.StatusCode, quoted(no.ErrorCode)))
	}
	if err != nil {
		return u, unreachable(errors.New("the provider gave no token for the code"))
	}
	text, _ := tokens.Extra("id_token").(string)
	token, err := found.Verifier(&oidc.Config{ClientID: p.o.ClientID, Now: func() time.Time { return p.now().Add(-skew) }}).Verify(ctx, text)
	if err != nil {
		return u, refuse(http.StatusForbidden, "The provider's word on who you are is not good.").because(err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(f.nonce())) != 1 {
		return u, refuse(http.StatusForbidden, "The provider's word on who you are belongs to another login.")
	}
	return p.read(token)
}

// read takes from an id token what we use of it.
func (p *provider) read(token *oidc.IDToken) (u user, err error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return u, refuse(http.StatusForbidden, "The provider's word on who you are cannot be read.").because(err)
	}
	// A token for several parties names the one that it was made for.
	if azp, _ := claims["azp"].(string); len(token.Audience) > 1 && azp != p.o.ClientID {
		return u, refuse(http.StatusForbidden, "The provider's word on who you are was meant for another program.")
	}
	email, _ := claims["email"].(string)
	if verified, _ := claims["email_verified"].(bool); !verified { // anybody can claim one
		email = ""
	}
	u.name, u.hint = sessionName(cmp.Or(email, token.Subject)), email
	switch list := claims[p.o.GroupsClaim].(type) {
	case string:
		u.groups = []string{list}
	case []any:
		for _, g := range list {
			if name, ok := g.(string); ok {
				u.groups = append(u.groups, name)
			}
		}
	}
	return u, nil
}

// sessionName makes the name of a role's session of a text: 2 to 64 of the characters that
// such names have.
func sessionName(text string) string {
	name := strings.Map(func(c rune) rune {
		if c < 128 && (strings.ContainsRune("+=,.@-_", c) || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z') {
			return c
		}
		return '-'
	}, text)
	if len(name) > 64 {
		name = name[:64]
	}
	for len(name) < 2 {
		name += "-"
	}
	return name
}
