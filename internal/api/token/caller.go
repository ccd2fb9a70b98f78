package token

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam/temporary"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

// How long sessions of GetSessionToken live, in seconds. Those of the root live an hour,
// whatever is asked for.
const (
	leastSession   = 900
	usualSession   = 43_200
	longestSession = 129_600
	rootSession    = 3_600
)

// noMFA are parameters that a caller believes to make a session safer.
func noMFA(f query.Form) error {
	for _, name := range []string{"SerialNumber", "TokenCode"} {
		if f.Given(name) {
			return kvs.Errorf(kvs.Validation, "Multi-factor authentication is not supported: leave %s out.", name)
		}
	}
	return nil
}

// getSessionToken gives a user or the root credentials that end by themselves. It needs no
// permission, but an explicit Deny stops it.
func (s *service) getSessionToken(ctx context.Context, c *api.Call, f query.Form) (any, error) {
	if err := f.Check(nil, map[string]query.Rule{"DurationSeconds": {Number: true, Min: leastSession, Max: longestSession}}); err != nil {
		return nil, err
	}
	if err := noMFA(f); err != nil {
		return nil, err
	}
	p := &c.Principal
	if p.Temporary() {
		return nil, kvs.Errorf(kvs.Denied, "Cannot call GetSessionToken with session credentials")
	}
	ask := c.Question("sts:GetSessionToken")
	ask.Free = true
	if err := c.Ask(ctx, ask); err != nil {
		return nil, err
	}
	seconds := f.Int("DurationSeconds", usualSession)
	g := temporary.Grant{Account: p.Account, Kind: p.Kind, ID: p.ID, Parent: p.AccessKey}
	if p.Kind == kvs.RootPrincipal {
		g.ID, seconds = "", min(seconds, rootSession)
	}
	g.Life = time.Duration(seconds) * time.Second
	made, err := s.Credentials.Mint(ctx, g)
	if err != nil {
		return nil, err
	}
	return struct{ Credentials credentials }{s.shown(made)}, nil
}

// getCallerIdentity says who calls. Nobody can be denied that.
func (s *service) getCallerIdentity(_ context.Context, c *api.Call, _ query.Form) (any, error) {
	p := &c.Principal
	id := p.ID
	if p.Kind == kvs.RolePrincipal {
		id += ":" + p.Session
	}
	return struct {
		Arn, Account string
		UserID       string `xml:"UserId"`
	}{p.ARN, string(p.Account), id}, nil
}

// getAccessKeyInfo says whose an access key is. Keys of other accounts look like those that
// there are not.
func (s *service) getAccessKeyInfo(ctx context.Context, c *api.Call, f query.Form) (any, error) {
	if err := f.Check([]string{"AccessKeyId"}, map[string]query.Rule{"AccessKeyId": {Min: 16, Max: 128}}); err != nil {
		return nil, err
	}
	id := f.Get("AccessKeyId")
	account, err := s.Account(ctx, id)
	if err != nil && kvs.KindOf(err) != kvs.NotFound {
		return nil, err
	}
	installation := c.Principal.Root && c.Principal.Home
	if id == c.Principal.AccessKey { // temporary ones are stored nowhere, but these are known
		account, err = c.Principal.Account, nil
	}
	if err != nil || account != c.Principal.Account && !installation {
		return nil, kvs.Errorf(kvs.Validation, "There is no stored access key %.128s in this account. Which account temporary credentials belong to, only they can say: sts:GetCallerIdentity.", id)
	}
	return struct{ Account string }{string(account)}, nil
}

// decode shows why something was denied.
func (s *service) decode(_ context.Context, c *api.Call, f query.Form) (any, error) {
	if err := f.Check([]string{"EncodedMessage"}, map[string]query.Rule{"EncodedMessage": {Min: 1, Max: 10_240}}); err != nil {
		return nil, err
	}
	decoded, err := s.Decode(c.Principal.Account, f.Get("EncodedMessage"))
	if err != nil {
		return nil, err
	}
	return struct{ DecodedMessage string }{decoded}, nil
}
