// Package config parses the settings of the server into plain structs.
//
// Settings come, in rising precedence, from the defaults ([Default]), a YAML file,
// variables named MILLRACE_... and flags; [Load] puts them together, remembers where each
// came from, and finds all mistakes at once. millrace.yml in the project's root shows
// every setting with its default. Only the command and the server read these structs.
package config

import (
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/quota"
)

// Config is every setting of the server.
type Config struct {
	Data     string        `yaml:"data"`     // directory of everything the server keeps
	HTTP     string        `yaml:"http"`     // address of the plain listener, "" = none
	HTTPS    string        `yaml:"https"`    // address of the TLS listener, "" = none
	Metrics  string        `yaml:"metrics"`  // address that serves metrics without a signature, "" = none
	Play     string        `yaml:"play"`     // address that serves playback over TLS with HTTP/2, "" = none
	Endpoint string        `yaml:"endpoint"` // what GetDataEndpoint answers, "" = found from the call
	Profile  quota.Profile `yaml:"profile"`  // open or aws
	// Limits are values of limits for the whole server by their names; the profile fills
	// in the others.
	Limits   map[string]string `yaml:"limits"`
	Regions  []string          `yaml:"regions"` // regions that signatures may name; the first is in ARNs
	Account  string            `yaml:"account"` // account made at the first start, "" = a random number
	Policies Policies          `yaml:"policies"`
	// TrustedProxies are addresses and networks whose X-Forwarded-For is believed.
	TrustedProxies []string      `yaml:"trusted_proxies"`
	TLS            TLS           `yaml:"tls"`
	Log            Log           `yaml:"log"`
	Memory         Memory        `yaml:"memory"`
	Archive        Archive       `yaml:"archive"`
	Keys           Keys          `yaml:"keys"`
	GetMedia       GetMedia      `yaml:"get_media"`
	Playback       Playback      `yaml:"playback"`
	Login          Login         `yaml:"login"`
	Signaling      Signaling     `yaml:"signaling"`
	Turn           Turn          `yaml:"turn"`
	Shutdown       time.Duration `yaml:"shutdown"` // how long sessions may take to end
	Clock          time.Duration `yaml:"clock"`    // allowed distance of a signature's time

	Dev bool `yaml:"-"` // loopback only, fixed keys, a demo stream; a flag, never a setting

	Emulate Emulate `yaml:"-"` // extras of a development server; flags, never settings

	Now  func() time.Time `yaml:"-"` // the server's clock, nil = time.Now; for tests, never a setting
	Real func() time.Time `yaml:"-"` // the clock of callers' signatures and of certificates, nil = Now
}

// TLS says which certificate the server shows.
type TLS struct {
	Cert  string   `yaml:"cert"`  // PEM file, "" = one signed by a CA made in the data directory
	Key   string   `yaml:"key"`   // PEM file
	Names []string `yaml:"names"` // further names and addresses of the server's own certificate
	ACME  ACME     `yaml:"acme"`
}

// ACME says who issues a certificate for our domains (RFC 8555).
type ACME struct {
	Domains   []string `yaml:"domains"`               // names of the certificate; none = no ACME
	Email     string   `yaml:"email"`                 // contact, "" = none
	Directory string   `yaml:"directory"`             // URL of the authority's directory
	CA        string   `yaml:"ca"`                    // PEM file that the authority is trusted by, "" = the system's
	Challenge string   `yaml:"challenge"`             // http-01 or tls-alpn-01
	HTTP      string   `yaml:"http"`                  // address that answers http-01
	KeyID     string   `yaml:"key_id"`                // external account binding, "" = none
	MACKey    string   `yaml:"mac_key" secret:"true"` // its key, base64url
}

// Emulate are the extras of a development server for tests.
type Emulate struct {
	Clock  *clock.Clock // the server's clock, nil = the real one
	NoDemo bool         // no demo stream
	Faults *fault.Plan  // what goes wrong, nil = nothing
}

// The kinds of proof that a domain is ours.
const (
	HTTP01    = "http-01"
	TLSALPN01 = "tls-alpn-01"
)

// Log says what is written to standard error.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // text or json

	Var *slog.LevelVar `yaml:"-"` // the logger's level, for a reload to change; nil = it cannot
}

// Memory bounds what media may take.
type Memory struct {
	Budget Size `yaml:"budget"` // 0 = a quarter of the machine's memory
}

// Archive says how fragments are stored.
type Archive struct {
	SegmentBytes Size          `yaml:"segment_bytes"` // a segment file is closed at this size
	ExpireEvery  time.Duration `yaml:"expire_every"`  // time between two looks for expired fragments
	ScrubRate    Size          `yaml:"scrub_rate"`    // bytes of stored media read again in a second, 0 = none
	Reserve      Size          `yaml:"reserve"`       // room that is given back when the disk is full
	WarmDir      string        `yaml:"warm_dir"`      // folder for streams of the tier WARM, "" = none
	FreeDisk     Room          `yaml:"free_disk"`     // how much of the disk stays free
}

// GetMedia says how consumers are served.
type GetMedia struct {
	Idle         time.Duration `yaml:"idle"`          // end of an answer without media, 0 = never
	WriteTimeout time.Duration `yaml:"write_timeout"` // a consumer that takes nothing this long is cut
}

// Playback says how players are served.
type Playback struct {
	Cache  Size `yaml:"cache"`  // memory for segments that were cut
	Memory Size `yaml:"memory"` // what answers to players and clips may hold together; 0 = a quarter of memory.budget
}

// Default returns the settings of a server that nobody configured.
func Default() Config {
	return Config{
		Data: "millrace-data", HTTP: "127.0.0.1:8080", HTTPS: ":8443", Profile: quota.Open, Regions: []string{"us-east-1"},
		TLS:      TLS{ACME: ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory", Challenge: HTTP01, HTTP: ":80"}},
		Log:      Log{Level: "info", Format: "text"},
		Archive:  Archive{SegmentBytes: 256 << 20, ExpireEvery: time.Minute, ScrubRate: 8 << 20, Reserve: 64 << 20, FreeDisk: "0"},
		GetMedia: GetMedia{Idle: 3 * time.Second, WriteTimeout: 2 * time.Minute},
		Playback: Playback{Cache: 64 << 20},
		Login:    Login{Life: MaxLogin, OIDC: OIDC{Scopes: []string{"profile", "email"}, GroupsClaim: "groups"}},
		Turn:     Turn{RelayPorts: "49152-65535"},
		Shutdown: 10 * time.Second,
		Clock:    5 * time.Minute,
	}
}

// ForDev changes the settings to those of a development server: loopback only, known
// account, any data directory that was not asked for being a temporary one's job.
func (c *Config) ForDev() {
	c.Dev = true
	c.HTTP, c.HTTPS = "127.0.0.1:8080", "127.0.0.1:8443"
	c.Account = DevAccount
	c.Archive.ExpireEvery = time.Second // the clock may run fast
	c.Archive.Reserve = 0               // nobody counts on the media
	c.Regions = []string{"us-east-1"}
	// Servers that run beside each other each have a relay.
	c.Turn.Listen, c.Turn.Advertise = []string{"127.0.0.1:0"}, []string{"127.0.0.1"}
	c.Turn.AllowPeers = []string{"127.0.0.0/8", "::1"}
}

// The fixed identity of a development server.
const (
	DevAccount   = "000000000000"
	DevAccessKey = "AKIAMILLRACEDEV00000"
	DevSecret    = "millrace-dev-secret"
	DevStream    = "demo"
	DevChannel   = "demo"
)
