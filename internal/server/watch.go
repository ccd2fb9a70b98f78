package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/millrace/millrace/internal/api/watch"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// watchHandler serves the page of a development server that plays its streams. It calls
// the operations as everybody does, with the key that everybody knows.
func (s *Server) watchHandler() http.Handler {
	cl := &client.Client{
		Endpoint: "http://localhost", Region: s.settings.Load().Regions[0], UserAgent: "demo page", Now: s.config.Real,
		Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret},
		HTTP:        &http.Client{Transport: inside{s.front}},
	}
	if cl.Region == "any" {
		cl.Region = "us-east-1"
	}
	return watch.Handler(watch.Options{Stream: config.DevStream,
		Session: func(ctx context.Context, stream string) (string, error) { return livePath(ctx, cl, stream) },
		Streams: func(ctx context.Context) ([]string, error) { return names(ctx, cl) },
	})
}

// watchSeconds is how long a session of the page lives: as long as one can.
const watchSeconds = 43200

// livePath begins a session and returns its URL without the host, for the page is where
// it was loaded from.
func livePath(ctx context.Context, cl *client.Client, stream string) (string, error) {
	in := wire.GetHLSStreamingSessionURLInput{StreamName: &stream, PlaybackMode: new(wire.HLSPlaybackModeLive),
		DiscontinuityMode:   new(wire.HLSDiscontinuityModeOnDiscontinuity),
		HLSFragmentSelector: &wire.HLSFragmentSelector{FragmentSelectorType: new(wire.HLSFragmentSelectorTypeProducerTimestamp)},
		Expires:             new(int64(watchSeconds))}
	var out wire.GetHLSStreamingSessionURLOutput
	if err := cl.Call(ctx, wire.GetHLSStreamingSessionURL, &in, &out); err != nil {
		return "", err
	}
	u, err := url.Parse(wire.Value(out.HLSStreamingSessionURL))
	if err != nil {
		return "", err
	}
	return u.RequestURI(), nil
}

// names are those of the first streams there are.
func names(ctx context.Context, cl *client.Client) (all []string, err error) {
	var out wire.ListStreamsOutput
	if err := cl.Call(ctx, wire.ListStreams, &wire.ListStreamsInput{MaxResults: new(int64(100))}, &out); err != nil {
		return nil, err
	}
	for _, info := range out.StreamInfoList {
		all = append(all, wire.Value(info.StreamName))
	}
	return all, nil
}

// inside sends requests to a handler without a connection.
type inside struct{ h http.Handler }

// RoundTrip lets the handler answer.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	a := &answer{status: http.StatusOK, header: http.Header{}}
	r = r.Clone(r.Context())
	r.RequestURI, r.Host = r.URL.RequestURI(), r.URL.Host
	i.h.ServeHTTP(a, r)
	for name, values := range a.header { // some have names that are not canonical
		a.header[http.CanonicalHeaderKey(name)] = values
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body), Request: r,
		Proto: r.Proto, ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(a.body.Len())}, nil
}

// answer keeps what a handler writes.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
