package temporary

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
)

// errInvalid says nothing of why: a token that was made up, one of another server or of
// another key, and one that was revoked look the same.
var errInvalid = kvs.Errorf(kvs.Denied, "The security token included in the request is invalid.")

// errExpired has the words that clients know, which renew their credentials on it.
var errExpired = kvs.Errorf(kvs.Expired, "The security token included in the request is expired")

// Identify returns the principal that an access key stands for, stored or temporary, and
// the secret that its requests are signed with; found is false when the key, or the key
// with this session token, is none that may be used. Credentials that have expired are an
// error of kind Expired.
func (i *Issuer) Identify(ctx context.Context, accessKey, sessionToken string) (p kvs.Principal, secret string, found bool, err error) {
	if sessionToken == "" {
		return i.stored(ctx, accessKey)
	}
	p, secret, err = i.Open(ctx, accessKey, sessionToken)
	if kvs.KindOf(err) == kvs.Denied {
		return kvs.Principal{}, "", false, nil
	}
	return p, secret, err == nil, err
}

// stored looks a key of the store up. A disabled key is as good as none.
func (i *Issuer) stored(ctx context.Context, accessKey string) (kvs.Principal, string, bool, error) {
	key, err := i.o.Keys.Lookup(ctx, accessKey)
	if err != nil {
		if kvs.KindOf(err) == kvs.NotFound {
			err = nil
		}
		return kvs.Principal{}, "", false, err
	}
	if !key.Active {
		return kvs.Principal{}, "", false, nil
	}
	i.o.Keys.Used(accessKey)
	return key.Principal, key.Secret, true, nil
}

// Open returns the principal that a session token stands for, and the secret of its access
// key. The error is of kind Expired, Denied when the token is not that of the key or may not
// be used any more, or says what could not be looked up.
func (i *Issuer) Open(ctx context.Context, accessKey, token string) (p kvs.Principal, secret string, err error) {
	b, err := i.o.Unseal(token)
	if err != nil {
		if kvs.KindOf(err) == kvs.Expired {
			return p, "", errExpired
		}
		return p, "", errInvalid
	}
	c, err := parse(b)
	if err != nil || c.accessKey() != accessKey {
		return p, "", errInvalid
	}
	if kvs.MillisOf(i.o.Now()) >= c.expires {
		return p, "", errExpired
	}
	if p, err = i.principal(ctx, &c); err == nil {
		err = i.o.Directory.Valid(ctx, p)
	}
	switch kvs.KindOf(err) {
	case kvs.NotFound, kvs.Denied:
		err = errInvalid
	}
	if err != nil {
		return kvs.Principal{}, "", err
	}
	return p, i.secret(b), nil
}

// principal looks up whom the content stands for.
func (i *Issuer) principal(ctx context.Context, c *content) (p kvs.Principal, err error) {
	if c.Kind == kvs.RolePrincipal {
		p, err = i.role(ctx, c)
	} else {
		p, err = i.parent(ctx, c)
	}
	p.AccessKey, p.Issued, p.Expires = c.accessKey(), c.issued, c.expires
	p.Tags, p.SessionPolicies = c.Tags, c.SessionPolicies
	p.Thing, p.Certificate, p.ThingType = c.Thing, c.Certificate, c.ThingType
	return p, err
}

// Still reports whether a principal that was identified may go on: its access key, its role
// or user are still there, and nothing was revoked. That its credentials have expired
// meanwhile does not matter (identity page, section 5).
func (i *Issuer) Still(ctx context.Context, p *kvs.Principal) (bool, error) {
	err := i.still(ctx, p)
	switch kvs.KindOf(err) {
	case kvs.NotFound, kvs.Denied:
		return false, nil
	}
	return err == nil, err
}

func (i *Issuer) still(ctx context.Context, p *kvs.Principal) error {
	if p.Temporary() {
		c := content{Grant: Grant{Account: p.Account, Kind: p.Kind, ID: p.ID, Session: p.Session, Parent: p.Parent, SessionPolicies: p.SessionPolicies}}
		if _, err := i.principal(ctx, &c); err != nil {
			return err
		}
		return i.o.Directory.Valid(ctx, *p)
	}
	key, err := i.o.Keys.Lookup(ctx, p.AccessKey)
	if err == nil && (!key.Active || key.Principal.ID != p.ID) {
		return errInvalid
	}
	return err
}

// role is the principal of a session of a role, under the name that the role has now.
func (i *Issuer) role(ctx context.Context, c *content) (kvs.Principal, error) {
	p := kvs.Principal{Account: c.Account, Kind: kvs.RolePrincipal, ID: c.ID, Session: c.Session, SessionPolicies: c.SessionPolicies}
	var err error
	p.Name, p.Path, err = i.o.Directory.Named(ctx, p)
	p.ARN = "arn:aws:sts::" + string(c.Account) + ":assumed-role/" + p.Name + "/" + c.Session
	return p, err
}

// parent is the principal of the access key that the credentials were made with, if that is
// still good and still the same one's.
func (i *Issuer) parent(ctx context.Context, c *content) (kvs.Principal, error) {
	key, err := i.o.Keys.Lookup(ctx, c.Parent)
	if err != nil {
		return kvs.Principal{}, err
	}
	p := key.Principal
	same := p.Account == c.Account && p.Kind == c.Kind && (p.Kind == kvs.RootPrincipal || p.ID == c.ID)
	if !key.Active || !same {
		return kvs.Principal{}, errInvalid
	}
	p.Parent = c.Parent
	return p, nil
}
