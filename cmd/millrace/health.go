package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
)

// healthCmd asks a server how it is, for the checks of containers and scripts.
type healthCmd struct {
	dataFlags
	URL     string        `name:"url" placeholder:"URL" help:"Base URL of the server (default: the server of this machine, as millrace serve is configured)."`
	CA      string        `name:"ca" type:"existingfile" placeholder:"FILE" help:"PEM file with certificates to trust for --url."`
	Ready   bool          `help:"Ask whether it can take work (/readyz) instead of whether it runs (/healthz)."`
	Timeout time.Duration `default:"5s" help:"How long the answer may take. Default ${default}."`
}

// Help shows examples.
func (healthCmd) Help() string {
	return `The exit code is 0 when the server is well, 1 otherwise. It needs no key.

Examples:
  millrace health --config /etc/millrace/millrace.yml
  millrace health --ready --url https://video.example.com:8443 --ca ca.pem`
}

// Run asks once.
func (h *healthCmd) Run(ctx context.Context, std stdio) error {
	base, transport, err := h.server()
	if err != nil {
		return err
	}
	path := "/healthz"
	if h.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	text, err := ask(ctx, transport, base+path)
	if text != "" {
		fmt.Fprintln(std.out, text)
	}
	if h.URL == "" && text == "" {
		scheme, _, _ := strings.Cut(base, ":")
		err = h.whence(scheme, err)
	}
	return err
}

// server is where to ask, and how to get there.
func (h *healthCmd) server() (string, *http.Client, error) {
	if h.URL != "" {
		roots, err := client.Roots(h.CA)
		if err != nil {
			return "", nil, err
		}
		return strings.TrimRight(h.URL, "/"), client.NewHTTP(roots), nil
	}
	c, err := h.settings()
	if err != nil {
		return "", nil, err
	}
	base := nearby(c)
	if base == "" {
		return "", nil, &usageError{"health", "no listener of this server has a fixed port: name it with --url"}
	}
	return base, local(), nil
}

// nearby is the base URL under which this machine reaches its own server.
func nearby(c config.Config) string {
	for _, l := range [][2]string{{"http", c.HTTP}, {"https", c.HTTPS}} {
		host, port, err := net.SplitHostPort(l[1])
		if err != nil || port == "0" {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return l[0] + "://" + net.JoinHostPort(host, port)
	}
	return ""
}

// local is a client for the server of this machine. It asks for the health without a
// secret, so the name in the certificate, which may be any, does not matter.
func local() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// ask returns what the server says about itself; an error if that is not good.
func ask(ctx context.Context, h *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := h.Do(r)
	if err != nil {
		return "", fmt.Errorf("the server does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	text := strings.TrimSpace(string(b))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, cmp.Or(resp.Status, "without a status"))
	}
	return text, err
}
