package api

import (
	"context"
	"net/http"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// identify verifies the signature and sets the principal.
func (f *Front) identify(ctx context.Context, c *Call) (err error) {
	var body sigv4.BodyHash
	if c.Operation.Input != nil {
		body = sigv4.Body(c.body)
	}
	c.Principal, err = f.principal(ctx, c.Request, body)
	return err
}

// principal is who signed r. body is nil when the body streams.
func (f *Front) principal(ctx context.Context, r *http.Request, body sigv4.BodyHash) (kvs.Principal, error) {
	auth, err := sigv4.Parse(r)
	if err != nil {
		return kvs.Principal{}, err
	}
	rules := f.o.Rules()
	if err := rules.Check(auth); err != nil {
		return kvs.Principal{}, err
	}
	// There are no temporary credentials yet, so no session token is one of ours.
	if auth.SessionToken != "" {
		return kvs.Principal{}, sigv4.UnknownKey()
	}
	p, secret, found, err := f.o.Keys.Secret(ctx, auth.AccessKey)
	if err != nil {
		return p, &kvs.Error{Kind: kvs.Internal, Message: "access key lookup", Cause: err}
	}
	if !found {
		return kvs.Principal{}, sigv4.UnknownKey()
	}
	return p, auth.Verify(secret, body)
}

// Signed serves h to principals that may take the action. It is for what is no
// operation of the service models, such as metrics.
func (f *Front) Signed(a kvs.Action, h http.Handler) http.Handler {
	op := &wire.Operation{Name: a.Operation()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := newCall(w, r, f.o.Now())
		setCommonHeaders(c)
		c.Operation = op
		p, err := f.principal(r.Context(), r, nil)
		if err == nil {
			c.Principal = p
			err = f.o.Authorizer.Authorize(r.Context(), p, a, "*")
		}
		if err != nil {
			c.fail(err)
		} else {
			h.ServeHTTP(w, r)
		}
		f.record(c)
	})
}
