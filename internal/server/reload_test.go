package server

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/certs"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

func TestReload(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Log.Var = new(slog.LevelVar) })
	other := p.clientOf("https")
	other.Region = "eu-west-1"
	list := func(c *client.Client) error {
		return c.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil)
	}
	if list(other) == nil {
		t.Fatal("a region that was not named is served")
	}
	next := p.config
	next.Regions = []string{"us-east-1", "eu-west-1"}
	next.Log.Level = "warn"
	next.TLS.Names = []string{"added.example"}
	next.HTTP, next.TLS.ACME.Domains = "127.0.0.1:4711", []string{"later.example.com"}
	next.Log.Format = "json"
	next.Limits = map[string]string{"PutMedia.sessions": "7"}
	if err := p.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if err := list(other); err != nil {
		t.Errorf("the new region: %v", err)
	}
	if got := p.config.Log.Var.Level(); got != slog.LevelWarn {
		t.Errorf("the level is %v", got)
	}
	if names := strings.Join(p.certs.Names(), " "); !strings.Contains(names, "added.example") || strings.Contains(names, "later") {
		t.Errorf("the certificate's names are %s", names)
	}
	for _, want := range []string{`"setting changed" setting=regions from=us-east-1 to="us-east-1, eu-west-1"`, `"setting changed" setting=log.level`,
		`"setting needs a restart" setting=http from=127.0.0.1:0 to=127.0.0.1:4711`, `"setting needs a restart" setting=log.format`,
		`"setting needs a restart" setting=tls.acme.domains`, `"settings reloaded" changed=4 waiting=3`, `"setting changed" setting=limits.PutMedia.sessions from="" to=7`} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("no %s in\n%s", want, p.log.String())
		}
	}
}

// A mistake changes nothing, whatever else is asked for.
func TestReloadIsAllOrNothing(t *testing.T) {
	p := newPlant(t, nil)
	before := *p.settings.Load()
	for says, change := range map[string]func(*config.Config){
		"profile":                func(c *config.Config) { c.Profile = "gcp" },
		"PutMedia.sessions":      func(c *config.Config) { c.Limits = map[string]string{"PutMedia.sesions": "2"} },
		"tls.cert: ":             func(c *config.Config) { c.TLS.Cert, c.TLS.Key = "/none/cert.pem", "/none/key.pem" },
		"xn--mnchen-3ya":         func(c *config.Config) { c.TLS.Names = []string{"ok.example", "münchen.example"} },
		"an account is a number": func(c *config.Config) { c.Account = "1" },
	} {
		next := p.config
		next.Regions = []string{"us-east-1", "any"}
		change(&next)
		p.reloadFailed.Store(false)
		if err := p.Reload(t.Context(), next); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error about %q", err, says)
		}
		if changes := config.Changes(&before, p.settings.Load()); changes != nil || !p.reloadFailed.Load() {
			t.Errorf("%s: changed %v", says, changes)
		}
		fresh := p.clientOf("https") // shakes hands anew
		if err := fresh.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil); err != nil {
			t.Errorf("%s: the listener: %v", says, err)
		}
	}
	p.ReloadFailed() // as when the file cannot be read
	if !p.reloadFailed.Load() {
		t.Error("settings that cannot be read are no failure")
	}
	next := p.config
	next.Regions = []string{"eu-west-1"} // the first one stands in the names of streams
	if err := p.Reload(t.Context(), next); err != nil || p.settings.Load().Regions[0] != "us-east-1" || p.reloadFailed.Load() {
		t.Errorf("%v, %v", err, p.settings.Load().Regions)
	}
}

// Limits of settings that are refused for their certificate never hold, not for a moment.
// The certificate is a pipe, so that the test knows when it is being read.
func TestRefusedLimitsNeverHold(t *testing.T) {
	p := newPlant(t, nil)
	pipe := filepath.Join(t.TempDir(), "cert.pem")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	next := p.config
	next.Limits = map[string]string{quota.Strangers.Name: "7"}
	next.TLS.Cert, next.TLS.Key = pipe, filepath.Join(next.Data, "ca.key")
	done := make(chan error, 1)
	go func() { done <- p.Reload(t.Context(), next) }()
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the other end is open
	if err != nil {
		t.Fatal(err)
	}
	held := p.maxStrangers()
	if _, err := w.WriteString("no certificate"); err != nil {
		t.Error(err)
	}
	_ = w.Close()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if after := p.maxStrangers(); held == 7 || after == 7 {
		t.Errorf("%d and then %d connections are allowed", held, after)
	}
}

// Settings are read by calls while they are replaced; the race detector looks on.
func TestReloadUnderLoad(t *testing.T) {
	p := newPlant(t, nil)
	next := p.config
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for range 20 {
				if err := p.Call(t.Context(), wire.ByName("ListStreams"), &wire.ListStreamsInput{}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		next.Regions = []string{"us-east-1", []string{"any", "eu-west-1"}[i%2]}
		if err := p.Reload(t.Context(), next); err != nil {
			t.Error(err)
		}
	}
	calls.Wait()
}

// The plain listener answers an authority; what was not asked for is not there.
func TestChallengesAreAnswered(t *testing.T) {
	p := newPlant(t, nil)
	resp, err := p.HTTP.Get(p.URL("http") + certs.ChallengePath + "nobody-asked")
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != 404 {
		t.Errorf("status %d", resp.StatusCode)
	}
}
