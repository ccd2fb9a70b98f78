package api

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/sigv4"
)

// identify verifies the signature and sets the principal.
func (f *Front) identify(ctx context.Context, c *Call) error {
	auth, err := sigv4.Parse(c.Request)
	if err != nil {
		return err
	}
	rules := f.o.Rules()
	if err := rules.Check(auth); err != nil {
		return err
	}
	// There are no temporary credentials yet, so no session token is one of ours.
	if auth.SessionToken != "" {
		return sigv4.UnknownKey()
	}
	p, secret, found, err := f.o.Keys.Secret(ctx, auth.AccessKey)
	if err != nil {
		return &kvs.Error{Kind: kvs.Internal, Message: "access key lookup", Cause: err}
	}
	if !found {
		return sigv4.UnknownKey()
	}
	var body sigv4.BodyHash
	if c.Operation.Input != nil {
		body = sigv4.Body(c.body)
	}
	if err := auth.Verify(secret, body); err != nil {
		return err
	}
	c.Principal = p
	return nil
}
