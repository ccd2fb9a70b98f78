package consumer

import (
	"context"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// Start says which fragment comes first. The zero value is Now.
type Start struct {
	kind   string // one of the wire.StartSelectorType values
	number string
	at     time.Time
}

// Now begins with the fragment that is arriving, else with the newest stored one.
func Now() Start { return Start{} }

// Earliest begins with the oldest fragment there is.
func Earliest() Start { return Start{kind: wire.StartSelectorTypeEarliest} }

// After begins behind the fragment with a number.
func After(number string) Start {
	return Start{kind: wire.StartSelectorTypeFragmentNumber, number: number}
}

// AtServerTime begins with the fragment that contains a time on the server's clock, else
// with the next.
func AtServerTime(t time.Time) Start {
	return Start{kind: wire.StartSelectorTypeServerTimestamp, at: t}
}

// AtProducerTime begins with the fragment that contains a time on the producer's clock,
// else with the next.
func AtProducerTime(t time.Time) Start {
	return Start{kind: wire.StartSelectorTypeProducerTimestamp, at: t}
}

// Resume begins behind the fragment that carried a continuation token.
func Resume(token string) Start {
	return Start{kind: wire.StartSelectorTypeContinuationToken, number: token}
}

func (s Start) selector() *wire.StartSelector {
	kind := s.kind
	if kind == "" {
		kind = wire.StartSelectorTypeNow
	}
	out := &wire.StartSelector{StartSelectorType: &kind}
	switch kind {
	case wire.StartSelectorTypeFragmentNumber:
		out.AfterFragmentNumber = &s.number
	case wire.StartSelectorTypeContinuationToken:
		out.ContinuationToken = &s.number
	case wire.StartSelectorTypeServerTimestamp, wire.StartSelectorTypeProducerTimestamp:
		at := kvs.MillisOf(s.at)
		out.StartTimestamp = &at
	}
	return out
}

// before begins with the fragment of a number itself: behind the number below it.
func before(number string) (Start, bool) {
	n, ok := new(big.Int).SetString(number, 10)
	if !ok || n.Sign() <= 0 {
		return Start{}, false
	}
	return After(n.Sub(n, big.NewInt(1)).String()), true
}

// Config says what to read.
type Config struct {
	// Endpoint is the URL of the server. When it is empty it and the next three come
	// from the environment: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CA_BUNDLE.
	Endpoint    string
	Region      string
	Credentials sigv4.Credentials
	HTTP        *http.Client // nil = the system's certificates, HTTP/1.1
	UserAgent   string       // "" = "millrace"

	Stream string // name or ARN
	Start  Start  // which fragment comes first

	// Once ends the reading with the first response. The server ends one when no new
	// media has come for a while.
	Once bool

	// Received gets the bytes as they are received, before they are read; nil = nobody.
	Received io.Writer

	// OnEnd is called when a response has ended and before GetMedia is called again; why
	// is nil when it ended in good order. nil = nobody is told.
	OnEnd func(why error)
}

func (c *Config) client() (*client.Client, error) {
	cl := client.Client{Endpoint: c.Endpoint, Region: c.Region, Credentials: c.Credentials, HTTP: c.HTTP, UserAgent: c.UserAgent}
	return cl.OrEnv()
}

// call calls GetMedia.
func (c *Config) call(ctx context.Context, cl *client.Client, from Start) (*http.Response, error) {
	endpoint, err := cl.DataEndpoint(ctx, wire.APINameGetMedia, c.Stream)
	if err != nil {
		return nil, err
	}
	in := &wire.GetMediaInput{StartSelector: from.selector(), StreamName: &c.Stream}
	if strings.HasPrefix(c.Stream, "arn:") {
		in.StreamName, in.StreamARN = nil, &c.Stream
	}
	resp, err := cl.At(endpoint).Stream(ctx, wire.GetMedia, in)
	if err != nil {
		cl.Forget(wire.APINameGetMedia, c.Stream)
	}
	return resp, err
}

// temporary says whether a call that failed may work later.
func temporary(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok {
		return true // the network
	}
	return refused.Status >= http.StatusInternalServerError && refused.Status != http.StatusNotImplemented ||
		refused.Status == http.StatusTooManyRequests || strings.HasSuffix(refused.Exception, "LimitExceededException")
}
