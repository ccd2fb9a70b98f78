package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// Identifier finds who signs with an access key.
type Identifier interface {
	// Identify returns the principal and the secret behind an access key and the session
	// token that came with it, "" for none. found is false when nobody has the key, it is
	// disabled, or the token does not belong to it. Besides errors of ours there is one of
	// kind Expired, for credentials that were good.
	Identify(ctx context.Context, accessKey, sessionToken string) (p kvs.Principal, secret string, found bool, err error)

	// Still reports whether somebody who was identified before would be now: the key is not
	// disabled, and user, role and session are not gone or revoked. Temporary credentials may
	// have expired meanwhile.
	Still(ctx context.Context, p *kvs.Principal) (bool, error)
}

// Logins finds the principal of a request that carries the cookie of a login instead of a
// signature. found is false when it carries none; an error says why one that it carries is
// not good.
type Logins interface {
	Login(ctx context.Context, r *http.Request) (p kvs.Principal, found bool, err error)
}

// videoService is what signatures of the five video services are scoped to.
const videoService = "kinesisvideo"

// identify verifies the signature, which must be scoped to the video services, and sets
// the principal. The body is read only for somebody whose key is known: strangers cost a
// head, not a megabyte.
func (f *Front) identify(ctx context.Context, c *Call) error {
	if done, err := f.login(ctx, c); done || err != nil {
		return err
	}
	rules := f.o.Rules()
	rules.Services = []string{videoService}
	who, err := f.claim(ctx, c.Request, rules)
	if err != nil {
		return err
	}
	var body sigv4.BodyHash
	if c.Operation.Input != nil {
		if err := c.readBody(); err != nil {
			return err
		}
		body = sigv4.Body(c.body)
	}
	return f.verify(ctx, c, who, body)
}

// verify compares the signature and sets the principal.
func (f *Front) verify(ctx context.Context, c *Call, who claim, body sigv4.BodyHash) error {
	if err := who.auth.Verify(who.secret, body); err != nil {
		return err
	}
	c.Principal, c.region = who.principal, who.auth.Region
	f.o.Trusted(ctx)
	return nil
}

// login takes the cookie of a login for a signature, where there is no signature. Media
// and whatever is no JSON call of the models or our own need one.
func (f *Front) login(ctx context.Context, c *Call) (done bool, err error) {
	if f.o.Logins == nil || isSigned(c.Request) || c.Operation.Input == nil || !takesLogins(c.Operation) {
		return false, nil
	}
	p, found, err := f.o.Logins.Login(ctx, c.Request)
	if err != nil || !found {
		return false, err
	}
	if err := c.readBody(); err != nil {
		return false, err
	}
	c.Principal = p
	f.o.Trusted(ctx)
	return true, nil
}

func takesLogins(op *wire.Operation) bool { return isOwn(op) || wire.ByName(op.Name) == op }

// isSigned reports whether a request carries a signature, good or bad.
func isSigned(r *http.Request) bool {
	return r.Header.Get("Authorization") != "" || strings.Contains(r.URL.RawQuery, "X-Amz-")
}

// claim is who a request says it is from, before its signature was verified.
type claim struct {
	auth      *sigv4.Auth
	principal kvs.Principal
	secret    string
}

// claim reads the signature's scope, time and key.
func (f *Front) claim(ctx context.Context, r *http.Request, rules sigv4.Rules) (who claim, err error) {
	if who.auth, err = sigv4.Parse(r); err != nil {
		return who, err
	}
	if err := rules.Check(who.auth); err != nil {
		return who, err
	}
	var found bool
	who.principal, who.secret, found, err = f.o.Identifier.Identify(ctx, who.auth.AccessKey, who.auth.SessionToken)
	if err != nil {
		return who, identifyError(err)
	}
	if !found {
		return who, sigv4.UnknownKey()
	}
	return who, nil
}

// identifyError lets through what the caller should know.
func identifyError(err error) error {
	if _, ok := errors.AsType[*sigv4.Error](err); ok || kvs.KindOf(err) == kvs.Expired {
		return err
	}
	return &kvs.Error{Kind: kvs.Internal, Message: "access key lookup", Cause: err}
}

// Signed serves h to principals that may take the action. It is for what is no
// operation of the service models, such as metrics.
func (f *Front) Signed(a kvs.Action, h http.Handler) http.Handler {
	op := &wire.Operation{Name: a.Operation()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := f.newCall(w, r)
		defer f.record(c)
		defer c.caught()
		setCommonHeaders(c)
		c.Operation = op
		err := f.identify(r.Context(), c)
		if err == nil {
			err = c.Authorize(r.Context(), a, "", nil)
		}
		if err != nil {
			c.fail(err)
			return
		}
		h.ServeHTTP(w, r)
	})
}
