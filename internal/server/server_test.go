package server

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStartAndStopAgainAndAgain(t *testing.T) {
	dir := t.TempDir()
	before := goleak.IgnoreCurrent()
	var roots []*iam.RootKey
	for i := range 6 {
		p := newPlant(t, func(c *config.Config) { c.Data = dir })
		if i == 0 {
			p.create("yard", 24)
		}
		var out wire.ListStreamsOutput
		p.ask("ListStreams", &wire.ListStreamsInput{}, &out)
		if len(out.StreamInfoList) != 1 {
			t.Errorf("start %d: %d streams", i, len(out.StreamInfoList))
		}
		if k := p.RootKey(); k != nil {
			roots = append(roots, k)
		}
		p.HTTP.CloseIdleConnections()
		if err := p.stop(); err != nil {
			t.Errorf("start %d: %v", i, err)
		}
		if strings.Contains(p.log.String(), "level=ERROR") || len(roots) > 0 && strings.Contains(p.log.String(), roots[0].Secret) {
			t.Errorf("log: %s", p.log.String())
		}
	}
	goleak.VerifyNone(t, before)
	if len(roots) != 1 {
		t.Errorf("%d root keys were made", len(roots))
	}
	// The root key works in later runs.
	p := newPlant(t, func(c *config.Config) { c.Data = dir })
	p.Credentials = sigv4.Credentials{AccessKey: roots[0].ID, Secret: roots[0].Secret}
	p.ask("ListStreams", &wire.ListStreamsInput{}, nil)
}

func TestStopBeforeAnythingWasServed(t *testing.T) {
	for range 5 {
		c := config.Default()
		c.Data, c.HTTP, c.HTTPS = t.TempDir(), "127.0.0.1:0", ""
		ctx, cancel := context.WithCancel(t.Context())
		s, err := New(ctx, c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestStartsThatFail(t *testing.T) {
	used := newPlant(t, nil)
	for _, c := range []struct {
		name    string
		prepare func(*config.Config)
		says    string
	}{
		{"a directory in use", func(c *config.Config) { c.Data = used.config.Data }, "in use by another millrace"},
		{"an address in use", func(c *config.Config) { c.HTTP = strings.TrimPrefix(used.URL("http"), "http://") }, "is in use by another program"},
		{"a newer format", func(c *config.Config) { file(t, c.Data, "format", "millrace 99\n") }, "has format 99, this program knows 1"},
		{"another program's", func(c *config.Config) { file(t, c.Data, "format", "postgres\n") }, "not a data directory of millrace"},
		{"no format", func(c *config.Config) { file(t, c.Data, "catalog.db", "") }, "no file named format"},
		{"a file", func(c *config.Config) { c.Data = filepath.Join(c.Data, "f"); file(t, filepath.Dir(c.Data), "f", "") }, "data directory"},
		{"a foreign directory", func(c *config.Config) { file(t, c.Data, "photos.txt", "") }, "is not empty (it holds photos.txt)"},
		{"a damaged secret", func(c *config.Config) {
			file(t, c.Data, "format", "millrace 1\n")
			file(t, c.Data, "token-key", "short")
		}, "is damaged"},
		{"an unknown profile", func(c *config.Config) { c.Profile = "fast" }, "fast"},
		{"no certificate", func(c *config.Config) { c.TLS.Cert, c.TLS.Key = "nothing.pem", "nothing.pem" }, "tls.cert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := config.Default()
			s.Data, s.HTTP, s.HTTPS = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
			c.prepare(&s)
			_, err := New(t.Context(), s, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if c.name == "an address in use" { // nothing is held by a start that failed
				s.HTTP = "127.0.0.1:0"
				p, err := New(t.Context(), s, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if p.RootKey() == nil {
					t.Error("the failed start made the root key, and nobody saw it")
				}
				if err := p.shut(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func file(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKeysOfTheCommandLine(t *testing.T) {
	p := newPlant(t, nil)
	if _, err := OpenIdentities(t.Context(), p.config.Data, true); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("offline beside a running server: %v", err)
	}
	known, err := OpenIdentities(t.Context(), p.config.Data, false)
	if err != nil {
		t.Fatal(err)
	}
	k, err := known.Keys.Create(t.Context(), iam.NewKey{})
	if err != nil {
		t.Fatal(err)
	}
	if err := known.Close(); err != nil {
		t.Error(err)
	}
	p.Credentials = sigv4.Credentials{AccessKey: k.ID, Secret: k.Secret}
	p.ask("ListStreams", &wire.ListStreamsInput{}, nil) // a running server knows it at once
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	known, err = OpenIdentities(t.Context(), p.config.Data, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := known.Keys.ResetRoot(t.Context()); err != nil {
		t.Error(err)
	}
	// The known key of development servers is in no file.
	if all, err := known.Keys.List(t.Context(), ""); len(all) != 2 || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
	if err := known.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenIdentities(t.Context(), t.TempDir(), false); err == nil || !strings.Contains(err.Error(), "holds no keys") {
		t.Errorf("a directory without server: %v", err)
	}
}

// A directory of a development server keeps no way in when it is served to others.
func TestDevKeysDoNotStay(t *testing.T) {
	dir := t.TempDir()
	dev := newPlant(t, func(c *config.Config) {
		c.Data = dir
		c.ForDev()
		c.HTTP, c.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
	})
	dev.ask("ListStreams", &wire.ListStreamsInput{}, nil)
	if err := dev.stop(); err != nil {
		t.Error(err)
	}
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS = dir, "127.0.0.1:0", ""
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	cl := client.Client{Endpoint: s.URL("http"), Region: "us-east-1", Credentials: dev.Credentials}
	err = cl.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil)
	if err == nil || !strings.Contains(err.Error(), "security token included in the request is invalid") {
		t.Errorf("got %v", err)
	}
	if s.RootKey() == nil {
		t.Error("no root key was made")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The built-in camera is a producer like any other.
func TestTheCameraFilms(t *testing.T) {
	p := newPlant(t, func(c *config.Config) {
		c.ForDev()
		c.HTTP, c.HTTPS = "127.0.0.1:0", "127.0.0.1:0"
	})
	for end := time.After(patience); ; {
		err := p.Call(t.Context(), wire.ByName("DescribeStream"), &wire.DescribeStreamInput{StreamName: new(config.DevStream)}, nil)
		if err == nil {
			break
		}
		select {
		case <-end:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	v := p.get(config.DevStream, "EARLIEST")
	var last string
	for range 2 {
		n, err := v.next("CONTINUATION_TOKEN")
		if err != nil || n <= last {
			t.Fatalf("%s after %s: %v", n, last, err)
		}
		last = n
	}
	if got := p.list(config.DevStream); len(got) == 0 {
		t.Error("nothing is stored")
	}
}

// What is routed is what the list of served operations says.
func TestServedOperations(t *testing.T) {
	p := newPlant(t, nil)
	for i := range wire.Operations {
		op := &wire.Operations[i]
		if op.Served != p.front.Serves(op) {
			t.Errorf("%s: listed as served %v, routed %v", op.Name, op.Served, p.front.Serves(op))
		}
	}
}

func TestPages(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Metrics = "127.0.0.1:0" })
	get := func(url string, sign bool) (int, string) {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sign {
			if err := (sigv4.Signer{Credentials: p.Credentials, Region: "us-east-1", Service: "kinesisvideo"}).Sign(r, ""); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := p.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		b, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(b)
	}
	if code, text := get(p.URL("http")+"/healthz", false); code != 200 || text != "ok\n" {
		t.Errorf("healthz: %d %q", code, text)
	}
	if code, text := get(p.URL("https")+"/metrics", false); code != 403 || strings.Contains(text, "millrace_") {
		t.Errorf("metrics for everybody: %d", code)
	}
	metrics := "http" + strings.TrimPrefix(p.URL("metrics"), "metrics") + "/metrics"
	for url, sign := range map[string]bool{p.URL("https") + "/metrics": true, metrics: false} {
		code, text := get(url, sign)
		for _, name := range []string{"millrace_requests_total", "millrace_memory_budget_bytes", "millrace_archive_queue 0", "millrace_put_sessions 0", "go_goroutines"} {
			if code != 200 || !strings.Contains(text, name) {
				t.Errorf("%s: %d without %s", url, code, name)
			}
		}
	}
	for path, want := range map[string]int{"healthz": 200, "readyz": 200, "listStreams": 404, "": 404} {
		if code, _ := get(strings.TrimSuffix(metrics, "metrics")+path, false); code != want {
			t.Errorf("the metrics listener answers %d for /%s, want %d", code, path, want)
		}
	}
}

func TestOnlyHTTP1IsOffered(t *testing.T) {
	p := newPlant(t, nil)
	addr := p.URL("https")[len("https://"):]
	for _, c := range []struct {
		offer []string
		want  string
		fails bool
	}{{[]string{"h2", "http/1.1"}, "http/1.1", false}, {nil, "", false}, {[]string{"h2"}, "", true}} {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: c.offer})
		if (err != nil) != c.fails {
			t.Errorf("%v: %v", c.offer, err)
		}
		if err != nil {
			continue
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != c.want || conn.ConnectionState().Version < tls.VersionTLS12 {
			t.Errorf("%v: %q", c.offer, got)
		}
		_ = conn.Close()
	}
}
