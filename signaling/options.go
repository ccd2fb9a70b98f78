package signaling

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/sigv4"
)

// Options say which channel is joined, where, and as whom.
type Options struct {
	Channel string // name or ARN

	// Endpoint is the URL of the control plane. Empty, it is AWS_ENDPOINT_URL_KINESIS_VIDEO
	// or AWS_ENDPOINT_URL, and without them that of the original service in Region.
	Endpoint string
	// Region to sign for; empty, AWS_REGION or AWS_DEFAULT_REGION.
	Region string
	// Credentials returns those to sign with. It is called anew for each attempt to
	// connect. nil = AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
	Credentials func(ctx context.Context) (sigv4.Credentials, error)

	// ClientID is a viewer's name in the channel: 1 to 256 of [a-zA-Z0-9_.-], not beginning
	// with AWS_. A viewer with the same name is replaced. Empty, it is drawn.
	ClientID string

	// HTTP makes all requests, also the one that becomes the connection. nil = HTTP/1.1,
	// the system's certificates and those of AWS_CA_BUNDLE.
	HTTP *http.Client
	// Logger says when connections begin and why they end; nil = nobody wants to know.
	Logger    *slog.Logger
	UserAgent string // "" = "millrace"

	// Connected is called each time the Peer has connected, by the goroutine of Run;
	// nil = nobody listens.
	Connected func()
}

// complete fills in what was left out.
func (o *Options) complete(viewer bool) error {
	o.Region = cmp.Or(o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	o.Endpoint = cmp.Or(o.Endpoint, os.Getenv("AWS_ENDPOINT_URL_KINESIS_VIDEO"), os.Getenv("AWS_ENDPOINT_URL"))
	switch {
	case o.Channel == "":
		return errors.New("signaling: no channel was named")
	case o.Region == "":
		return errors.New("signaling: no region was given; AWS_REGION is not set either")
	case o.Endpoint == "":
		o.Endpoint = serviceEndpoint(o.Region)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Credentials == nil {
		if _, err := fromEnvironment(context.Background()); err != nil {
			return err
		}
		o.Credentials = fromEnvironment
	}
	if viewer {
		o.ClientID = cmp.Or(o.ClientID, "viewer-"+strings.ToLower(rand.Text()[:12]))
		if !clientID.MatchString(o.ClientID) || strings.HasPrefix(strings.ToUpper(o.ClientID), "AWS_") {
			return fmt.Errorf("signaling: a client id is 1 to 256 of [a-zA-Z0-9_.-] and does not begin with AWS_: %.300q", o.ClientID)
		}
	}
	return o.completeHTTP()
}

func (o *Options) completeHTTP() error {
	if o.HTTP != nil {
		return nil
	}
	roots, err := client.Roots(os.Getenv("AWS_CA_BUNDLE"))
	if err == nil {
		o.HTTP = client.NewHTTP(roots)
	}
	return err
}

// serviceEndpoint is where the original service is.
func serviceEndpoint(region string) string {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return "https://kinesisvideo." + region + "." + domain
}

func fromEnvironment(context.Context) (sigv4.Credentials, error) {
	c := sigv4.Credentials{AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"),
		SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if c.AccessKey == "" || c.Secret == "" {
		return c, &client.UnsetError{Names: []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}}
	}
	return c, nil
}
