package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/spelling"
)

// Login says whether and how browsers log in. They may when Enabled is set or a provider is
// named (docs/design/identity.md, section 7).
type Login struct {
	Enabled Switch        `yaml:"enabled"`
	Life    time.Duration `yaml:"life"` // of a session, at most one hour
	OIDC    OIDC          `yaml:"oidc"`
}

// OIDC names the OpenID Connect provider that knows the users.
type OIDC struct {
	Issuer           string   `yaml:"issuer"`                      // URL, "" = none
	ClientID         string   `yaml:"client_id"`                   // ours, as the provider knows it
	ClientSecret     string   `yaml:"client_secret" secret:"true"` // "" = none, or in the file
	ClientSecretFile string   `yaml:"client_secret_file"`          // read at each login
	Redirect         string   `yaml:"redirect"`                    // URL of our callback, "" = found from the call
	Scopes           []string `yaml:"scopes"`                      // beside openid
	GroupsClaim      string   `yaml:"groups_claim"`                // member of the id token
	Roles            []string `yaml:"roles"`                       // GROUP=ROLE-ARN, the first that matches counts
	CA               string   `yaml:"ca"`                          // PEM file that the provider is trusted by, "" = the system's
}

// MaxLogin is the longest life of a session.
const MaxLogin = time.Hour

// CallbackPath is where providers send browsers back to.
const CallbackPath = "/login/oidc/callback"

// On reports whether browsers may log in.
func (l *Login) On() bool { return bool(l.Enabled) || l.OIDC.Issuer != "" }

// Switch is a setting that is on or off.
type Switch bool

// UnmarshalText reads true or false.
func (s *Switch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true", "on", "yes":
		*s = true
	case "false", "off", "no":
		*s = false
	default:
		return fmt.Errorf("%q: write true or false", text)
	}
	return nil
}

// MarshalText writes true or false.
func (s Switch) MarshalText() ([]byte, error) { return fmt.Append(nil, bool(s)), nil }

// RoleOfGroup is one line of login.oidc.roles: members of the group get the role.
type RoleOfGroup struct{ Group, ARN string }

// ParseRoleOfGroup reads GROUP=ROLE-ARN. The names of groups of directories have equal
// signs themselves, so it is the last one before an ARN that counts.
func ParseRoleOfGroup(text string) (RoleOfGroup, error) {
	const arn = "arn:aws:iam::"
	i := strings.LastIndex(text, "="+arn)
	if i <= 0 {
		return RoleOfGroup{}, fmt.Errorf("%q: write GROUP=ROLE-ARN, such as staff=%s123456789012:role/operator", text, arn)
	}
	r := RoleOfGroup{strings.TrimSpace(text[:i]), text[i+1:]}
	account, name, ok := strings.Cut(r.ARN[len(arn):], ":role/")
	if r.Group == "" || !ok || !isAccount(account) || name == "" || strings.HasSuffix(name, "/") {
		return RoleOfGroup{}, fmt.Errorf("%q is not the ARN of a role, such as %s123456789012:role/operator", r.ARN, arn)
	}
	return r, nil
}

// check finds what would keep browsers from logging in.
func (l *Login) check() (wrong Mistakes) {
	if l.Life > MaxLogin {
		wrong = append(wrong, Mistake{Setting: "login.life", Text: fmt.Sprintf("%s is too long: a session lasts at most %s, then the user logs in again", spelling.Duration(l.Life), spelling.Duration(MaxLogin))})
	}
	return append(wrong, l.OIDC.check()...)
}

func (o *OIDC) check() (wrong Mistakes) {
	add := func(name, format string, args ...any) {
		wrong = append(wrong, Mistake{Setting: "login.oidc." + name, Text: fmt.Sprintf(format, args...)})
	}
	if o.Issuer == "" {
		if o.ClientID != "" || o.ClientSecret != "" || o.ClientSecretFile != "" || len(o.Roles) > 0 {
			add("issuer", "is empty: name the provider's URL, or remove the other settings of login.oidc")
		}
		return wrong
	}
	if !isSafeURL(o.Issuer) {
		add("issuer", "%q: write the https URL of the provider, exactly as its tokens have it", o.Issuer)
	}
	if o.ClientID == "" {
		add("client_id", "is empty: write the id that the provider gave this server")
	}
	if o.ClientSecret != "" && o.ClientSecretFile != "" {
		add("client_secret", "client_secret_file is set, too: give one of them")
	}
	if u, err := url.Parse(o.Redirect); o.Redirect != "" && (err != nil || !isSafeURL(o.Redirect) || u.Path != CallbackPath || u.RawQuery != "") {
		add("redirect", "%q: write this server's URL as browsers see it, such as https://video.example.com%s", o.Redirect, CallbackPath)
	}
	if o.GroupsClaim == "" {
		add("groups_claim", "is empty: name the member of the id token that lists the user's groups, such as groups")
	}
	if len(o.Roles) == 0 {
		add("roles", "is empty: nobody could log in; write GROUP=ROLE-ARN for each group that may")
	}
	for _, text := range o.Roles {
		if _, err := ParseRoleOfGroup(text); err != nil {
			add("roles", "%v", err)
		}
	}
	return wrong
}

// isSafeURL reports whether what is sent to a URL cannot be read on the way. Programs on this
// machine may do without TLS.
func isSafeURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}
