package api

import (
	"context"
	"net/http"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// identify verifies the signature and sets the principal. The body is read only for
// somebody whose key is known: strangers cost a head, not a megabyte.
func (f *Front) identify(ctx context.Context, c *Call) error {
	who, err := f.claim(ctx, c.Request, f.o.Rules())
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
	c.Principal = who.principal
	f.o.Trusted(ctx)
	return nil
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
	// There are no temporary credentials yet, so no session token is one of ours.
	if who.auth.SessionToken != "" {
		return who, sigv4.UnknownKey()
	}
	var found bool
	who.principal, who.secret, found, err = f.o.Keys.Secret(ctx, who.auth.AccessKey)
	if err != nil {
		return who, &kvs.Error{Kind: kvs.Internal, Message: "access key lookup", Cause: err}
	}
	if !found {
		return who, sigv4.UnknownKey()
	}
	return who, nil
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
			err = f.o.Authorizer.Authorize(r.Context(), c.Principal, a, "*")
		}
		if err != nil {
			c.fail(err)
			return
		}
		h.ServeHTTP(w, r)
	})
}
