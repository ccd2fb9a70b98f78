package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFileShowsEveryDefault(t *testing.T) {
	const path = "../../millrace.yml"
	got := Config{}
	if err := got.File(path); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.TLS.Names = []string{}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("millrace.yml differs from the defaults (-default +file):\n%s", d)
	}
}

func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	write(t, path, "http: :1\nhttps: :2\nget_media:\n  idle: 7s\nmemory:\n  budget: 1GiB\n")
	c := Default()
	if err := c.File(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Environment([]string{"MILLRACE_HTTPS=:3", "MILLRACE_TLS_NAMES=a, b", "MILLRACE_MEMORY_BUDGET=300MB", "PATH=/"}); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.HTTP, want.HTTPS = ":1", ":3"
	want.GetMedia.Idle = 7 * time.Second
	want.TLS.Names = []string{"a", "b"}
	want.Memory.Budget = 300_000_000
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		file, env string
		want      string
	}{
		"unknown key":      {file: "htpp: :1", want: "htpp"},
		"unknown variable": {env: "MILLRACE_HTPP=:1", want: "MILLRACE_HTPP"},
		"bad size":         {file: "memory:\n  budget: lots", want: "lots"},
		"bad duration":     {env: "MILLRACE_CLOCK=soon", want: "MILLRACE_CLOCK"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.yml")
			write(t, path, c.file)
			cfg := Default()
			err := cfg.File(path)
			if err == nil {
				err = cfg.Environment([]string{c.env})
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error naming %q", err, c.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"profile":         func(c *Config) { c.Profile = "gcp" },
		"nowhere":         func(c *Config) { c.HTTP, c.HTTPS = "", "" },
		"region":          func(c *Config) { c.Regions = nil },
		"tls.key":         func(c *Config) { c.TLS.Cert = "x.pem" },
		"memory.budget":   func(c *Config) { c.Memory.Budget = 1 },
		"twelve digits":   func(c *Config) { c.Account = "12" },
		"HOST:PORT":       func(c *Config) { c.HTTP = "8080" },
		"data is empty":   func(c *Config) { c.Data = "" },
		"scheme and host": func(c *Config) { c.Endpoint = "video.example.com" },
		"endpoint":        func(c *Config) { c.Endpoint = "https://video.example.com/path" },
		"loopback":        func(c *Config) { c.ForDev(); c.HTTP = ":8080" },
	} {
		c := Default()
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "1": 1, "256MiB": 256 << 20, "2 GB": 2e9, "3KB": 3000, "7B": 7} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q is %d (%v), want %d", text, s, err, want)
		}
		back, _ := s.MarshalText()
		var again Size
		if err := again.UnmarshalText(back); err != nil || again != s {
			t.Errorf("%d is written as %q, read as %d (%v)", s, back, again, err)
		}
	}
	for _, text := range []string{"", "-1", "1XB", "MiB", "99999999999TiB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %d", text, s)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
