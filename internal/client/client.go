// Package client calls one operation of a Kinesis Video server: sign, send, decode.
//
// It is what the commands of this program and the packages producer and consumer
// stand on. A [Client] speaks to one endpoint; data-plane calls go to another one that
// the server names ([Client.DataEndpoint], [Client.At]). Requests are HTTP/1.1, never
// follow redirects and are not repeated: whether a call may be made again is for the
// caller to decide, by the [Error].
//
// A Client may be used from any number of goroutines once its fields are set.
package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// signingName is the service in the credential scope of all five services
// (wire-media section 2).
const signingName = "kinesisvideo"

// maxAnswer bounds the JSON answers that are read into memory. The largest are pages
// of images.
const maxAnswer = 256 << 20

// Client calls the operations of the server at Endpoint.
type Client struct {
	Endpoint    string            // URL; a path in it comes before that of the operation
	Credentials sigv4.Credentials // who calls
	Region      string            // for the credential scope
	HTTP        *http.Client      // nil = the system's certificates; without Timeout, since streams are endless
	UserAgent   string            // "" = "millrace"
	Now         func() time.Time  // nil = time.Now

	endpoints endpoints
	patience  time.Duration // see Upload; 0 = a second
}

// At returns a client for another endpoint with everything else the same.
func (c *Client) At(endpoint string) *Client {
	return &Client{Endpoint: endpoint, Credentials: c.Credentials, Region: c.Region, HTTP: c.HTTP,
		UserAgent: c.UserAgent, Now: c.Now, patience: c.patience}
}

// Call calls an operation whose answer is JSON and decodes the answer into out, which
// may be nil. It does not check in, so that the server's own checks can be seen. What
// the server refuses is an *[Error].
func (c *Client) Call(ctx context.Context, op *wire.Operation, in wire.Input, out wire.Shape) error {
	resp, err := c.Stream(ctx, op, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", op.Name, err)
	}
	if e := unknownOperation(op, resp, body); e != nil {
		return e
	}
	if out == nil {
		return nil
	}
	if err := wire.Decode(body, out); err != nil {
		return fmt.Errorf("%s: the answer: %w", op.Name, err)
	}
	return nil
}

// Stream calls an operation and returns its answer with the body unread, which the
// caller closes. What the server refuses is an *[Error].
func (c *Client) Stream(ctx context.Context, op *wire.Operation, in wire.Input) (*http.Response, error) {
	return c.StreamWith(ctx, op, in, func(*http.Request) {})
}

// StreamWith is [Client.Stream] with what edit adds to the request before it is signed:
// query parameters of our own, or a Range. The answer may be 206 Partial Content.
func (c *Client) StreamWith(ctx context.Context, op *wire.Operation, in wire.Input, edit func(*http.Request)) (*http.Response, error) {
	body, err := wire.Encode(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.Name, err)
	}
	req, err := c.request(ctx, op, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	edit(req)
	return c.do(op, req, sigv4.PayloadHash(body))
}

// request makes an unsigned request for an operation.
func (c *Client) request(ctx context.Context, op *wire.Operation, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, op.Method, strings.TrimRight(c.Endpoint, "/")+op.Path, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.Name, err)
	}
	req.Header.Set("User-Agent", "millrace")
	if c.UserAgent != "" {
		req.Header.Set("User-Agent", c.UserAgent)
	}
	return req, nil
}

// do signs and sends a request. An answer other than 200 and 206 becomes an *Error.
func (c *Client) do(op *wire.Operation, req *http.Request, payloadHash string) (*http.Response, error) {
	signer := sigv4.Signer{Credentials: c.Credentials, Region: c.Region, Service: signingName, Now: c.Now}
	if err := signer.Sign(req, payloadHash); err != nil {
		return nil, fmt.Errorf("%s: %w", op.Name, err)
	}
	sender := c.HTTP
	if sender == nil {
		sender = defaultHTTP
	}
	resp, err := sender.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.Name, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(op, resp)
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
