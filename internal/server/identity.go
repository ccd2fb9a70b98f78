package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/identity"
	"github.com/millrace/millrace/internal/api/login"
	"github.com/millrace/millrace/internal/api/token"
	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/temporary"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/seal"
)

// The purposes of tokens about callers.
var (
	stsPurpose      = seal.Purpose{Name: "sts"}
	decisionPurpose = seal.Purpose{Name: "decision"}
	loginPurpose    = seal.Purpose{Name: "login"}
)

// openIdentity opens what knows callers and what they may do.
func (s *Server) openIdentity(context.Context) error {
	root, err := s.data.Secret("token-key")
	if err != nil {
		return err
	}
	s.directory = directory.Open(directory.Options{DB: s.keyRows, Keys: s.keys, Now: s.config.Now, Real: s.config.Real, Logger: s.log})
	s.issuer = temporary.New(temporary.Options{
		Seal:   func(content []byte) (string, error) { return s.seal.Seal(stsPurpose, content) },
		Unseal: s.unsealSTS, Room: stsPurpose.Room(), Key: derived(root, "secrets of temporary credentials"),
		Keys: s.keys, Directory: s.directory, Now: s.config.Now,
	})
	if err := s.usePolicies(&s.config); err != nil {
		return err
	}
	s.authority = authority.New(authority.Options{
		Directory: s.directory, Tags: s.directory.PrincipalTags, Home: s.isHome, Listener: s.listenerPolicy,
		Seal: func(decision []byte) (string, error) { return s.seal.Seal(decisionPurpose, decision) },
	})
	return s.openLogin(derived(root, "logins"))
}

// openLogin opens the door for browsers where the settings want one.
func (s *Server) openLogin(secret []byte) (err error) {
	c := &s.config.Login
	if !c.On() {
		return nil
	}
	oidc := login.OIDC{Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, ClientSecret: c.OIDC.ClientSecret, ClientSecretFile: c.OIDC.ClientSecretFile,
		Redirect: c.OIDC.Redirect, Scopes: c.OIDC.Scopes, GroupsClaim: c.OIDC.GroupsClaim, CA: c.OIDC.CA}
	for _, text := range c.OIDC.Roles {
		r, err := config.ParseRoleOfGroup(text)
		if err != nil {
			return fmt.Errorf("login.oidc.roles: %w", err)
		}
		oidc.Roles = append(oidc.Roles, login.Group{Name: r.Group, Role: r.ARN})
	}
	s.login, err = login.New(login.Options{
		Keys: s.issuer, Sessions: logins{s.issuer, s.directory}, Roles: logins{s.issuer, s.directory}, Secret: secret, Life: c.Life, OIDC: oidc,
		Seal:     func(content []byte) (string, error) { return s.seal.Seal(loginPurpose, content) },
		Unseal:   func(text string) ([]byte, error) { return s.seal.Open(loginPurpose, text) },
		Endpoint: s.config.Endpoint, Client: func(r *http.Request) netip.Addr { return s.front.Source(r) }, Secure: s.unread, Trusted: trusted,
		Now: s.config.Real, Logger: s.log,
	})
	return err
}

// unread reports whether nobody can have read a request on its way: it came over TLS, to us
// or to a proxy that says so, or it never left this machine.
func (s *Server) unread(r *http.Request) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if r.TLS != nil || err != nil {
		return r.TLS != nil
	}
	peer := at.Addr().Unmap()
	trusted := slices.ContainsFunc(s.proxies(), func(p netip.Prefix) bool { return p.Contains(peer) })
	return peer.IsLoopback() || trusted && r.Header.Get("X-Forwarded-Proto") == "https"
}

// logins makes sessions of browsers from temporary credentials.
type logins struct {
	*temporary.Issuer
	directory *directory.Directory
}

// Begin implements [login.Sessions].
func (l logins) Begin(ctx context.Context, p kvs.Principal, life time.Duration) (login.Session, error) {
	g := temporary.Grant{Account: p.Account, Kind: p.Kind, Session: p.Session, Life: life}
	if p.Kind != kvs.RootPrincipal {
		g.ID = p.ID
	}
	if p.Kind != kvs.RolePrincipal {
		g.Parent = p.AccessKey
	}
	c, err := l.Mint(ctx, g)
	return login.Session{ID: c.AccessKeyID, Token: c.Token, Expires: c.Expires.Time()}, err
}

// Resume implements [login.Sessions].
func (l logins) Resume(ctx context.Context, id, token string) (kvs.Principal, error) {
	p, _, err := l.Open(ctx, id, token)
	return p, err
}

// End implements [login.Sessions].
func (l logins) End(ctx context.Context, p kvs.Principal) error {
	return l.directory.EndSession(ctx, p.AccessKey, p.Expires)
}

// Role implements [login.Roles].
func (l logins) Role(ctx context.Context, arn, session string) (kvs.Principal, error) {
	r, err := l.directory.RoleByARN(ctx, arn)
	if err != nil {
		return kvs.Principal{}, err
	}
	return kvs.Principal{Account: r.Account, Kind: kvs.RolePrincipal, ID: r.ID, Name: r.Name, Path: r.Path, Session: session,
		ARN: "arn:aws:sts::" + string(r.Account) + ":assumed-role/" + r.Name + "/" + session}, nil
}

// isHome reports whether an account is the first one.
func (s *Server) isHome(ctx context.Context, account kvs.AccountID) bool {
	home, err := s.keys.Account(ctx)
	return err == nil && account == home || s.config.Dev && account == config.DevAccount
}

// queries are the services beside those of video.
func (s *Server) queries(tokenKey []byte) []api.QueryService {
	return []api.QueryService{
		identity.Service(identity.Options{Directory: s.directory, Keys: s.keys, MarkerKey: derived(tokenKey, "markers of lists of identities")}),
		token.Service(token.Options{Credentials: s.issuer, Directory: s.directory, Account: s.accountOf, Decode: s.decode}),
	}
}

// accountOf is whose a stored access key is.
func (s *Server) accountOf(ctx context.Context, accessKey string) (kvs.AccountID, error) {
	k, err := s.keys.Lookup(ctx, accessKey)
	return k.Principal.Account, err
}

// derived is a key for one use.
func derived(key []byte, use string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(use))
	return m.Sum(nil)
}

// unsealSTS opens a session token.
func (s *Server) unsealSTS(token string) ([]byte, error) {
	b, err := s.seal.Open(stsPurpose, token)
	if errors.Is(err, seal.ErrExpired) {
		err = &kvs.Error{Kind: kvs.Expired, Message: "The security token included in the request is expired", Cause: err}
	}
	return b, err
}

// decode opens a sealed decision about a caller of the account. The error has the kind
// InvalidArgument.
func (s *Server) decode(account kvs.AccountID, message string) (string, error) {
	invalid := kvs.Errorf(kvs.InvalidArgument, "The message is none that this server gave, or it is too old.")
	b, err := s.seal.Open(decisionPurpose, message)
	if err != nil {
		return "", invalid
	}
	var d struct {
		Context struct {
			Account kvs.AccountID `json:"account"`
		} `json:"context"`
	}
	if json.Unmarshal(b, &d) != nil || d.Context.Account != account {
		return "", invalid
	}
	return string(b), nil
}

// listenerPolicy is the policy of a listener, nil if it has none.
func (s *Server) listenerPolicy(name string) *policy.Source { return (*s.policies.Load())[name] }

// usePolicies puts the policies of the listeners into force.
func (s *Server) usePolicies(c *config.Config) error {
	all, err := readPolicies(c)
	if err == nil {
		s.policies.Store(&all)
	}
	return err
}

// readPolicies reads the policies of the listeners, by their names.
func readPolicies(c *config.Config) (map[string]*policy.Source, error) {
	all := map[string]*policy.Source{}
	for name, file := range c.Policies.Files() {
		doc, err := readPolicy(file)
		if err != nil {
			return nil, fmt.Errorf("policies.%s: %w", name, err)
		}
		all[name] = &policy.Source{Name: "policy of listener " + name, Document: doc}
	}
	return all, nil
}

func readPolicy(file string) (*policy.Document, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	doc, err := policy.Parse(policy.Listener, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return doc, nil
}
