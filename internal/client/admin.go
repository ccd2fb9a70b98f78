package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// Admin calls an operation of our own, such as ListLimits, at the configured endpoint.
// in is written and out read by encoding/json; nil stands for an empty object and for
// an answer nobody wants. What the server refuses is an *[Error]; so is the answer of a
// server that has no such operation.
func (c *Client) Admin(ctx context.Context, operation string, in, out any) error {
	if in == nil {
		in = struct{}{}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	op := &wire.Operation{Name: operation, Method: http.MethodPost, Path: "/millrace/" + operation}
	req, err := c.request(ctx, op, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.do(op, req, sigv4.PayloadHash(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", operation, err)
	}
	if e := unknownOperation(op, resp, answer); e != nil {
		return e
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: the answer: %w", operation, err)
	}
	return nil
}
