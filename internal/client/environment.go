package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/sigv4"
)

// defaultHTTP sends the requests of clients that bring no http.Client.
var defaultHTTP = NewHTTP(nil)

// NewHTTP returns an http.Client fit for this package: HTTP/1.1 only, because
// PutMedia talks in both directions at once on one connection; no redirects, because
// a signature is good for one host; no time limit, because streams have none. roots
// nil = the system's certificates.
func NewHTTP(roots *x509.CertPool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			Protocols:             protocols,
			TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: time.Minute,
			IdleConnTimeout:       90 * time.Second,
			DisableCompression:    true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// FromEnv returns a client made of the usual AWS variables: AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION,
// AWS_ENDPOINT_URL_KINESIS_VIDEO or AWS_ENDPOINT_URL, and AWS_CA_BUNDLE, a PEM file
// that is trusted beside the system's certificates. The error names every variable
// that is missing, see [UnsetError].
func FromEnv() (*Client, error) {
	c := &Client{
		Endpoint: first("AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_ENDPOINT_URL"),
		Region:   first("AWS_REGION", "AWS_DEFAULT_REGION"),
		Credentials: sigv4.Credentials{
			AccessKey:    os.Getenv("AWS_ACCESS_KEY_ID"),
			Secret:       os.Getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
		},
	}
	if err := c.complete(); err != nil {
		return nil, err
	}
	roots, err := Roots(os.Getenv("AWS_CA_BUNDLE"))
	if err != nil {
		return nil, err
	}
	c.HTTP = NewHTTP(roots)
	return c, nil
}

// OrEnv returns c, or what [FromEnv] returns when c has no Endpoint; the UserAgent stays.
func (c *Client) OrEnv() (*Client, error) {
	if c.Endpoint != "" {
		return c, nil
	}
	e, err := FromEnv()
	if err != nil {
		return nil, err
	}
	e.UserAgent = c.UserAgent
	return e, nil
}

func first(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// UnsetError says which variables are missing in the environment.
type UnsetError struct{ Names []string }

// Error names the variables.
func (e *UnsetError) Error() string {
	return "set the environment variables " + strings.Join(e.Names, ", ")
}

// complete says which variables are missing or wrong.
func (c *Client) complete() error {
	var missing []string
	for _, v := range []struct{ name, value string }{
		{"AWS_ENDPOINT_URL", c.Endpoint},
		{"AWS_DEFAULT_REGION", c.Region},
		{"AWS_ACCESS_KEY_ID", c.Credentials.AccessKey},
		{"AWS_SECRET_ACCESS_KEY", c.Credentials.Secret},
	} {
		if v.value == "" {
			missing = append(missing, v.name)
		}
	}
	if len(missing) > 0 {
		return &UnsetError{Names: missing}
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("AWS_ENDPOINT_URL is %q: want a URL like https://127.0.0.1:8443", c.Endpoint)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("AWS_ENDPOINT_URL is %q: the endpoint must have no path; want %s://%s", c.Endpoint, u.Scheme, u.Host)
	}
	return nil
}

// Roots returns the system's certificates and those of a PEM file; nil without one.
func Roots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without certificates still has this file's
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("AWS_CA_BUNDLE: " + file + " holds no PEM certificate")
	}
	return roots, nil
}
