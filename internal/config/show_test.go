package config

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is shown can be read again, and means the same.
func TestShownSettingsAreSettings(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yml")
	write(t, path, "http: \"\"\nregions: [eu-west-1, any]\naccount: 000000000012\nmemory:\n  budget: 1GiB\ntls:\n  names: [\"*.example.com\", \"::1\"]\n  acme: {key_id: k, mac_key: c2VjcmV0LXdvcmQ}\ndata: \"a # b\"\n")
	l, err := Load(Sources{File: path, Environ: []string{"MILLRACE_METRICS=[::1]:9090"}, Flags: map[string]string{"log.level": "debug"}})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := l.WriteYAML(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# default", "# file " + path + ":2", "# environment MILLRACE_METRICS", "# flag --log-level", "\ntls:\n", "clock: 5m "} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	again := filepath.Join(dir, "again.yml")
	write(t, again, text.String())
	back, err := Load(Sources{File: again})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text.String())
	}
	if strings.Contains(text.String(), "c2VjcmV0LXdvcmQ") || !strings.Contains(text.String(), "key_id: k ") {
		t.Errorf("a secret is shown:\n%s", text.String())
	}
	want := l.Config
	want.TLS.ACME.MACKey = masked
	for _, c := range []*Config{&want, &back.Config} { // no entries: nil or empty
		if len(c.TLS.ACME.Domains) == 0 {
			c.TLS.ACME.Domains = nil
		}
		if len(c.Keys.Disabled) == 0 {
			c.Keys.Disabled = nil
		}
		if len(c.Login.OIDC.Roles) == 0 {
			c.Login.OIDC.Roles = nil
		}
		if len(c.Signaling.ICEServers) == 0 {
			c.Signaling.ICEServers = nil
		}
		for _, list := range []*[]string{&c.Turn.Listen, &c.Turn.Advertise, &c.Turn.AllowPeers} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		if len(c.TrustedProxies) == 0 {
			c.TrustedProxies = nil
		}
	}
	if d := cmp.Diff(want, back.Config); d != "" {
		t.Error(d)
	}
	var b bytes.Buffer
	if err := l.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var all map[string]struct {
		Value any
		From  string
	}
	if err := json.Unmarshal(b.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if e := all["log.level"]; e.Value != "debug" || e.From != "flag --log-level" {
		t.Errorf("log.level is %+v", e)
	}
}

// Entries of a mapping are merged one by one, and each shows its own origin.
func TestLimitsOfTheEnvironmentAreMerged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	write(t, path, "limits:\n  PutMedia.sessions: 2\n  PutMedia.session-age: 45m\n")
	l, err := Load(Sources{File: path, Environ: []string{"MILLRACE_LIMITS=PutMedia.session-age=none, GetMedia.sessions=4"}})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"PutMedia.sessions": "2", "PutMedia.session-age": "none", "GetMedia.sessions": "4"}, l.Limits); d != "" {
		t.Error(d)
	}
	var text bytes.Buffer
	if err := l.WriteYAML(&text); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"PutMedia.sessions": "file " + path + ":2", "PutMedia.session-age": "environment MILLRACE_LIMITS", "GetMedia.sessions": "environment MILLRACE_LIMITS"} {
		if got := l.from("limits." + name); got != from {
			t.Errorf("%s is from %s, want %s", name, got, from)
		}
		if !strings.Contains(text.String(), "# "+from+"\n") {
			t.Errorf("%s is not in\n%s", from, text.String())
		}
	}
	for value, want := range map[string]string{
		"PutMedia.sesions=2":                       "MILLRACE_LIMITS: limits.PutMedia.sesions: there is no limit",
		"PutMedia.sessions":                        `MILLRACE_LIMITS: limits: "PutMedia.sessions": write NAME=VALUE`,
		"PutMedia.sessions=2, PutMedia.sessions=3": "MILLRACE_LIMITS: limits: PutMedia.sessions stands there twice",
	} {
		if _, err := Load(Sources{File: path, Environ: []string{"MILLRACE_LIMITS=" + value}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", value, err, want)
		}
	}
	empty, err := Load(Sources{File: path, Environ: []string{"MILLRACE_LIMITS="}})
	if err != nil || len(empty.Limits) != 2 || empty.from("limits.PutMedia.sessions") != "file "+path+":2" {
		t.Errorf("an empty variable: %v, %v", empty.Limits, err)
	}
}
