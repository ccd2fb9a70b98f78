package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// endpointLife is how long a data endpoint is used before it is asked for again
// (wire-media section 1.7: about every 45 minutes, and on failure).
const endpointLife = 45 * time.Minute

// endpoints remembers answers of GetDataEndpoint.
type endpoints struct {
	mu    sync.Mutex // over known
	known map[endpointKey]endpoint
}

type endpointKey struct{ api, stream string }

type endpoint struct {
	url   string
	until time.Time
}

// DataEndpoint returns the endpoint for an API of the data plane, one of the
// wire.APIName values, and a stream, given by name or ARN. Answers are remembered for
// 45 minutes; when a call to the endpoint fails, Forget it and ask again.
func (c *Client) DataEndpoint(ctx context.Context, api, stream string) (string, error) {
	key := endpointKey{api, stream}
	if url, ok := c.endpoints.get(key, c.now()); ok {
		return url, nil
	}
	in := &wire.GetDataEndpointInput{APIName: &api}
	if strings.HasPrefix(stream, "arn:") {
		in.StreamARN = &stream
	} else {
		in.StreamName = &stream
	}
	var out wire.GetDataEndpointOutput
	if err := c.Call(ctx, wire.GetDataEndpoint, in, &out); err != nil {
		return "", err
	}
	if wire.Value(out.DataEndpoint) == "" {
		return "", errors.New("GetDataEndpoint: the answer names no endpoint")
	}
	c.endpoints.put(key, endpoint{*out.DataEndpoint, c.now().Add(endpointLife)})
	return *out.DataEndpoint, nil
}

// Forget drops what DataEndpoint remembers for an API and a stream.
func (c *Client) Forget(api, stream string) {
	c.endpoints.mu.Lock()
	defer c.endpoints.mu.Unlock()
	delete(c.endpoints.known, endpointKey{api, stream})
}

func (e *endpoints) get(key endpointKey, now time.Time) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	found, ok := e.known[key]
	if !ok || !now.Before(found.until) {
		delete(e.known, key)
		return "", false
	}
	return found.url, true
}

func (e *endpoints) put(key endpointKey, value endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil {
		e.known = map[endpointKey]endpoint{}
	}
	e.known[key] = value
}
