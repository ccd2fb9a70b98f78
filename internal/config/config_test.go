package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/spelling"
)

func TestFileShowsEveryDefault(t *testing.T) {
	const path = "../../millrace.yml"
	got := Config{}
	r, err := got.read(path)
	if err != nil || len(r.mistakes) > 0 {
		t.Fatal(err, r.mistakes)
	}
	for _, s := range got.settings() {
		if r.lines[s.name] == 0 {
			t.Errorf("millrace.yml does not show %s", s.name)
		}
	}
	want := Default()
	want.TLS.Names, want.TLS.ACME.Domains = []string{}, []string{}
	want.Limits, want.TrustedProxies = map[string]string{}, []string{}
	want.Keys = Keys{Files: map[string]string{}, Disabled: []string{}}
	want.Login.OIDC.Roles = []string{}
	want.Signaling.ICEServers = []string{}
	want.Turn.Listen, want.Turn.Advertise, want.Turn.AllowPeers = []string{}, []string{}, []string{}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("millrace.yml differs from the defaults (-default +file):\n%s", d)
	}
}

func TestPrecedence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	write(t, path, "http: :1\nhttps: :2\nmetrics: :4\naccount: 000000000012 # stays text\nget_media:\n  idle: 7s\nmemory: {budget: 1GiB}\nregions: eu-west-1\nlimits:\n  PutMedia.sessions: 2\n  PutMedia.session-age: none\n  fragment.overlap: off\ntls:\n  # nothing\n")
	got, err := Load(Sources{File: path,
		Environ: []string{"MILLRACE_HTTPS=:3", "MILLRACE_METRICS=:5", "MILLRACE_TLS_NAMES=a, b", "MILLRACE_MEMORY_BUDGET=300MB", "PATH=/"},
		Flags:   map[string]string{"metrics": ":6", "log.level": "warn"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.HTTP, want.HTTPS, want.Metrics = ":1", ":3", ":6"
	want.Account, want.Regions = "000000000012", []string{"eu-west-1"}
	want.GetMedia.Idle = 7 * time.Second
	want.TLS.Names = []string{"a", "b"}
	want.Memory.Budget = 300_000_000
	want.Limits = map[string]string{"PutMedia.sessions": "2", "PutMedia.session-age": "none", "fragment.overlap": "off"}
	want.Log.Level = "warn"
	if d := cmp.Diff(want, got.Config); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]Origin{
		"http":           {Kind: "file", Where: path + ":1"},
		"get_media.idle": {Kind: "file", Where: path + ":6"},
		"https":          {Kind: "environment", Where: "MILLRACE_HTTPS"},
		"metrics":        {Kind: "flag", Where: "--metrics"},
		"log.level":      {Kind: "flag", Where: "--log-level"},
		"data":           {Kind: "default"},
	} {
		o := got.origin(name)
		o.line = 0
		if o != want {
			t.Errorf("%s came from %+v, want %+v", name, o, want)
		}
	}
}

// All mistakes of all sources are named at once, each with its place.
func TestMistakesAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	write(t, path, `htpp: :1
memory:
  budget: lots
  bugdet: 1
cert: a.pem
get_media: fast
regions:
  - [a]
https: 8443
shutdown:
clock: &c 5m
profile: gcp
log: {level: loud}
colour: blue
archive: {expire_every: -1s}
limits:
  PutMedia.sesions: 2
  PutMedia.idle: soon
`)
	_, err := Load(Sources{File: path, Environ: []string{"MILLRACE_HTPPS=:1", "MILLRACE_CLOCK=soon"}, Flags: map[string]string{"metrics": "9090"}})
	want := `P:1: htpp: there is no such setting; did you mean http?
P:3: memory.budget: size "lots": write a number of bytes, or one with KiB, MiB, GiB, KB, MB or GB
P:4: memory.bugdet: there is no such setting; did you mean memory.budget?
P:5: cert: there is no such setting; did you mean tls.cert?
P:6: get_media: write settings as NAME: VALUE
P:8: regions: takes one value, not several
P:9: https: address "8443": missing port in address; write HOST:PORT or :PORT
P:10: shutdown: has no value; write "" for none, or remove the line
P:11: clock: write the value plainly: anchors, aliases and tags are not read here
P:12: profile: unknown profile "gcp": use "open" or "aws"
P:13: log.level: "loud": use debug, info, warn or error
P:14: colour: there is no such setting
P:15: archive.expire_every: -1s is too short
P:17: limits.PutMedia.sesions: there is no limit named "PutMedia.sesions": did you mean PutMedia.sessions?
P:18: limits.PutMedia.idle: PutMedia.idle is "soon": write a duration such as 45m or 30s, or none
MILLRACE_HTPPS: this variable is no setting; unset it or correct its name; did you mean MILLRACE_HTTPS?
MILLRACE_CLOCK: clock: "soon" is not a duration; write one such as 30s, 5m or 1h30m
--metrics: metrics: address "9090": missing port in address; write HOST:PORT or :PORT`
	if err == nil {
		t.Fatal("no mistake was found")
	}
	if d := cmp.Diff(want, strings.ReplaceAll(err.Error(), path, "P")); d != "" {
		t.Error(d)
	}
}

func TestFilesThatAreNoSettings(t *testing.T) {
	for text, want := range map[string]string{
		"http: :1\nhttp: :2\n":           `P:2: mapping key "http" already defined at [1:1]`,
		"a: [":                           "P:1: ",
		"tls:\n  names: []\n\tcert: c\n": "P:3: begins with a tab: YAML is indented with spaces",
		"tls:\n\tcert: c\n":              "P:2: begins with a tab: YAML is indented with spaces",
		"clock: -5m\n":                   "P:1: clock: -5m is too short",
		"- a\n- b\n":                     "P:1: write settings as NAME: VALUE",
		"just words":                     "P:1: write settings as NAME: VALUE",
		"http: :1\n---\nhttps: :2\n":     "P:3: a second document begins here",
		"":                               "",
		"# nothing\n":                    "",
		"---\n":                          "",
	} {
		path := filepath.Join(t.TempDir(), "c.yml")
		write(t, path, text)
		_, err := Load(Sources{File: path})
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(strings.ReplaceAll(err.Error(), path, "P"), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, err := Load(Sources{File: filepath.Join(t.TempDir(), "none.yml")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Whatever a file holds, reading it ends with settings or mistakes.
func FuzzFile(f *testing.F) {
	f.Add("http: :1\ntls: {names: [a, b]}\n")
	f.Add("? a\n: b\n")
	f.Add("<<: *a\n")
	f.Add("limits:\n  a: 1\n")
	f.Add("http: !!int 5\nlog: |\n  x\n")
	path := filepath.Join(f.TempDir(), "c.yml")
	f.Fuzz(func(t *testing.T, text string) {
		write(t, path, text)
		if _, err := Load(Sources{File: path}); err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("a mistake without words")
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"http", "https", "metrics", "regions", "tls"}
	for word, want := range map[string]string{"htpp": "http", "HTTPs": "https", "metric": "metrics", "region": "regions", "tsl": "tls", "x": "", "colour": "", "": ""} {
		if got := spelling.Nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"PutMedia.idle?":  func(c *Config) { c.Limits = map[string]string{"putmedia.idel": "3s"} },
		"duration such":   func(c *Config) { c.Limits = map[string]string{"PutMedia.idle": "soon"} },
		"1ms to 87600h":   func(c *Config) { c.GetMedia.Idle = 1 }, // it is a limit as well
		"profile":         func(c *Config) { c.Profile = "gcp" },
		"nowhere":         func(c *Config) { c.HTTP, c.HTTPS = "", "" },
		"region":          func(c *Config) { c.Regions = nil },
		"tls.key":         func(c *Config) { c.TLS.Cert = "x.pem" },
		"memory.budget":   func(c *Config) { c.Memory.Budget = 1 },
		"twelve digits":   func(c *Config) { c.Account = "12" },
		"HOST:PORT":       func(c *Config) { c.HTTP = "8080" },
		"data: is empty":  func(c *Config) { c.Data = "" },
		"scheme and host": func(c *Config) { c.Endpoint = "video.example.com" },
		"endpoint":        func(c *Config) { c.Endpoint = "https://video.example.com/path" },
		"xn--mnchen-3ya":  func(c *Config) { c.TLS.Names = []string{"ok.example", "münchen.example"} },
		"without port":    func(c *Config) { c.TLS.Names = []string{"video.example:8443"} },
		"such as video":   func(c *Config) { c.TLS.ACME.Domains = []string{"*.example.com"} },
		"tls.cert is set": func(c *Config) {
			c.TLS = TLS{Cert: "a", Key: "b", ACME: ACME{Domains: []string{"a.example.com"}, Challenge: TLSALPN01, Directory: "https://a.example"}}
		},
		"use http-01":    func(c *Config) { c.TLS.ACME.Challenge = "dns-01" },
		"https URL":      func(c *Config) { c.TLS.ACME.Directory = "http://a.example" },
		"key_id and":     func(c *Config) { c.TLS.ACME.KeyID = "1" },
		"plain address":  func(c *Config) { c.TLS.ACME.Email = "me" },
		"calls port 80":  func(c *Config) { c.TLS.ACME.Domains, c.TLS.ACME.HTTP = []string{"a.example.com"}, "" },
		"too short":      func(c *Config) { c.Clock = -1 },
		"0 to 65535":     func(c *Config) { c.Metrics = ":99999" },
		"the whole path": func(c *Config) { c.Archive.WarmDir = "warm" },
		"in each other":  func(c *Config) { c.Archive.WarmDir = filepath.Join(os.TempDir(), "x"); c.Data = os.TempDir() },
		"at least 1MiB":  func(c *Config) { c.Archive.SegmentBytes = 1 },
		"are cut once":   func(c *Config) { c.Playback.Cache = 1 },
		"half for clips": func(c *Config) { c.Playback.Memory = 1 },
		`"-1" is not`:    func(c *Config) { c.Play = ":-1" },
		"use text or":    func(c *Config) { c.Log.Format = "xml" },
		"use debug":      func(c *Config) { c.Log.Level = "loud" },
		"loopback":       func(c *Config) { c.ForDev(); c.HTTP = ":8080" },
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
	for text, want := range map[string]Size{"0": 0, "1": 1, "256MiB": 256 << 20, "2 GB": 2e9, "3KB": 3000, "500kB": 5e5, "1mb": 1e6, "4mib": 4 << 20, "7B": 7} {
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

// Whoever forgets the unit of free_disk would have no room that stays free.
func TestRoomNeedsAUnit(t *testing.T) {
	for text, good := range map[string]bool{"0": true, "5": false, "20": false, "5%": true, "20GB": true, "999kB": false, "91%": false} {
		var r Room
		if err := r.UnmarshalText([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}
