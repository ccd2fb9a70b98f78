package config

import (
	"strings"
	"testing"
	"time"
)

// provider is a configuration that works.
func provider(c *Config) *OIDC {
	c.Login.OIDC.Issuer, c.Login.OIDC.ClientID = "https://login.example.com/realm", "millrace"
	c.Login.OIDC.Roles = []string{"staff=arn:aws:iam::123456789012:role/operator"}
	return &c.Login.OIDC
}

func TestLoginSettings(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"at most 1h":              func(c *Config) { c.Login.Life = 2 * time.Hour },
		"login.life: 0s is too":   func(c *Config) { c.Login.Life = 0 },
		"issuer: is empty":        func(c *Config) { provider(c).Issuer = "" },
		"issuer: \"login":         func(c *Config) { provider(c).Issuer = "login.example.com" },
		"issuer: \"http://login":  func(c *Config) { provider(c).Issuer = "http://login.example.com" },
		"client_id: is empty":     func(c *Config) { provider(c).ClientID = "" },
		"give one of them":        func(c *Config) { p := provider(c); p.ClientSecret, p.ClientSecretFile = "a", "b" },
		"/login/oidc/callback":    func(c *Config) { provider(c).Redirect = "https://video.example.com/" },
		"groups_claim: is empty":  func(c *Config) { provider(c).GroupsClaim = "" },
		"nobody could log in":     func(c *Config) { provider(c).Roles = nil },
		"write GROUP=ROLE-ARN":    func(c *Config) { provider(c).Roles = []string{"staff"} },
		"is not the ARN of a rol": func(c *Config) { provider(c).Roles = []string{"staff=arn:aws:iam::12:role/x"} },
		"not the ARN of a role,":  func(c *Config) { provider(c).Roles = []string{"staff=arn:aws:iam::123456789012:user/x"} },
	} {
		c := Default()
		provider(&c)
		if err := c.Check(); err != nil || !c.Login.On() {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %q", err, want)
		}
	}
	for _, good := range []string{"http://localhost:9000", "http://127.0.0.1:9000/x", "http://[::1]:9000"} {
		c := Default()
		provider(&c).Issuer = good
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	if c := Default(); c.Login.On() {
		t.Error("browsers may log in by default")
	}
}

// Groups of LDAP directories have equal signs, and roles may have them.
func TestRolesOfGroups(t *testing.T) {
	const arn = "arn:aws:iam::123456789012:role/path/a=b"
	got, err := ParseRoleOfGroup("cn=admins,dc=example=" + arn)
	if err != nil || got != (RoleOfGroup{"cn=admins,dc=example", arn}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSwitch(t *testing.T) {
	l, err := Load(Sources{Environ: []string{"MILLRACE_LOGIN_ENABLED=true", "MILLRACE_LOGIN_OIDC_CLIENT_SECRET=hush"}, Flags: map[string]string{"login.oidc.issuer": "https://a.example"}})
	if !l.Login.Enabled || err == nil { // the other settings of the provider are missing
		t.Errorf("%v, %v", l.Login.Enabled, err)
	}
	var text strings.Builder
	if err := l.WriteYAML(&text); err != nil || !strings.Contains(text.String(), "enabled: true") || strings.Contains(text.String(), "hush") {
		t.Errorf("%v:\n%s", err, text.String())
	}
	var s Switch
	if err := s.UnmarshalText([]byte("maybe")); err == nil {
		t.Error("maybe is taken")
	}
}
