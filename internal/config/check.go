package config

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/certs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/spelling"
)

// Check returns all settings that cannot work, as [Mistakes], and what would.
func (c *Config) Check() error { return c.check().err() }

func (c *Config) check() (wrong Mistakes) {
	add := func(name string, err error) {
		if err != nil {
			wrong = append(wrong, Mistake{Setting: name, Text: err.Error()})
		}
	}
	add("profile", c.Profile.Check())
	for _, name := range slices.Sorted(maps.Keys(c.Limits)) {
		add("limits."+name, quota.Check(name, c.Limits[name]))
	}
	add("", c.checkListeners())
	if len(c.Regions) == 0 {
		add("regions", errors.New("name at least one, such as us-east-1"))
	}
	if c.Data == "" {
		add("data", errors.New("is empty: name a directory"))
	}
	add("endpoint", checkEndpoint(c.Endpoint))
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		add("tls.cert", errors.New("tls.cert and tls.key belong together: give both or none"))
	}
	for _, name := range c.TLS.Names {
		if err := certs.CheckName(name); err != nil {
			add("tls.names", fmt.Errorf("%q: %w", name, err))
		}
	}
	wrong = append(wrong, c.TLS.checkACME(c.HTTPS+c.Play+strings.Join(c.Turn.Listen, ""))...)
	wrong = append(wrong, c.Keys.check()...)
	wrong = append(wrong, c.Login.check()...)
	wrong = append(wrong, c.Signaling.check(len(c.Turn.Listen))...)
	wrong = append(wrong, c.Turn.check(c.Dev)...)
	wrong = append(wrong, c.checkPolicies()...)
	for _, text := range c.TrustedProxies {
		_, err := parseProxy(text)
		add("trusted_proxies", err)
	}
	if b := int64(c.Memory.Budget); b != 0 && b < 128<<20 {
		add("memory.budget", fmt.Errorf("%d bytes are too few: a fragment may have 50 MB, give at least 128MiB", b))
	}
	if c.Account != "" && !isAccount(c.Account) {
		add("account", fmt.Errorf("%q: an account is a number of twelve digits", c.Account))
	}
	add("archive.warm_dir", checkWarmDir(c.Archive.WarmDir, c.Data))
	for _, a := range []struct{ name, addr string }{{"http", c.HTTP}, {"https", c.HTTPS}, {"metrics", c.Metrics}, {"play", c.Play}} {
		add(a.name, checkAddr(a.addr, c.Dev))
	}
	_, err := c.Log.ParseLevel()
	add("log.level", err)
	if c.Log.Format != "text" && c.Log.Format != "json" {
		add("log.format", fmt.Errorf("%q: use text or json", c.Log.Format))
	}
	return append(wrong, c.checkDurations()...)
}

// checkACME finds what keeps an authority from issuing a certificate.
func (t *TLS) checkACME(listener string) (wrong Mistakes) {
	a := &t.ACME
	add := func(name, format string, args ...any) {
		wrong = append(wrong, Mistake{Setting: "tls.acme." + name, Text: fmt.Sprintf(format, args...)})
	}
	if len(a.Domains) > 0 && t.Cert != "" {
		add("domains", "tls.cert is set, too: either the certificate comes from files or it is issued")
	}
	if len(a.Domains) > 0 && listener == "" {
		add("domains", "https is empty: nobody would see the certificate")
	}
	for _, d := range a.Domains {
		if strings.Trim(strings.ToLower(d), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || !strings.Contains(d, ".") || net.ParseIP(d) != nil {
			add("domains", "%q: write a full host name, such as video.example.com; wildcards and addresses cannot be proved", d)
		}
	}
	if a.Challenge != HTTP01 && a.Challenge != TLSALPN01 {
		add("challenge", "%q: use %s or %s", a.Challenge, HTTP01, TLSALPN01)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		add("directory", "%q: write the https URL of the authority's directory", a.Directory)
	}
	if err := checkAddr(a.HTTP, false); err != nil {
		add("http", "%v", err)
	} else if a.HTTP == "" && a.Challenge == HTTP01 && len(a.Domains) > 0 {
		add("http", "is empty: the authority calls port 80 of each domain for %s", HTTP01)
	}
	if (a.KeyID == "") != (a.MACKey == "") {
		add("key_id", "key_id and mac_key belong together: give both or none")
	}
	if strings.ContainsAny(a.Email, " ,<>") || a.Email != "" && !strings.Contains(a.Email, "@") {
		add("email", "%q: write one plain address", a.Email)
	}
	return wrong
}

// checkDurations finds those that are negative, or nothing where something is needed.
func (c *Config) checkDurations() (wrong Mistakes) {
	zeroMeansNever := map[string]bool{"get_media.idle": true, "shutdown": true}
	for _, s := range c.settings() {
		d, ok := s.value.Interface().(time.Duration)
		if ok && (d < 0 || d == 0 && !zeroMeansNever[s.name]) {
			wrong = append(wrong, Mistake{Setting: s.name, Text: spelling.Duration(d) + " is too short"})
		}
	}
	if d := c.GetMedia.Idle; d > 0 {
		if err := quota.Check(quota.GetIdle.Name, d.String()); err != nil { // it is a limit as well
			wrong = append(wrong, Mistake{Setting: "get_media.idle", Text: err.Error()})
		}
	}
	if c.Playback.Cache < 1<<20 {
		wrong = append(wrong, Mistake{Setting: "playback.cache", Text: "give at least 1MiB: segments are cut once for all players that ask within seconds"})
	}
	if m := c.Playback.Memory; m != 0 && m < 32<<20 {
		wrong = append(wrong, Mistake{Setting: "playback.memory", Text: "give at least 32MiB: half is for players, half for clips"})
	}
	if c.Archive.SegmentBytes < 1<<20 {
		wrong = append(wrong, Mistake{Setting: "archive.segment_bytes", Text: "give at least 1MiB: each segment is a file"})
	}
	return wrong
}

// ParseLevel is the level as the logger takes it.
func (l Log) ParseLevel() (level slog.Level, err error) {
	if level.UnmarshalText([]byte(l.Level)) != nil {
		return level, fmt.Errorf("%q: use debug, info, warn or error", l.Level)
	}
	return level, nil
}

// checkWarmDir refuses a folder that is not apart from the data directory, and one that is
// another for each folder that a program is started in.
func checkWarmDir(warm, data string) error {
	if warm != "" && !filepath.IsAbs(warm) {
		return fmt.Errorf("%q depends on where the server is started: write the whole path", warm)
	}
	if warm == "" || data == "" {
		return nil
	}
	a, err := filepath.Abs(warm)
	if err != nil {
		return err
	}
	b, err := filepath.Abs(data)
	if err != nil {
		return err
	}
	if within(a, b) || within(b, a) {
		return fmt.Errorf("%q and the data directory lie in each other: name a folder elsewhere", warm)
	}
	return nil
}

// within reports whether a is b or in it.
func within(a, b string) bool {
	rel, err := filepath.Rel(b, a)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (c *Config) checkListeners() error {
	if c.HTTP == "" && c.HTTPS == "" {
		return errors.New("http and https are both empty: the server would listen nowhere")
	}
	return nil
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// checkEndpoint checks what clients are told to call. The embedded producer takes a
// host alone, so there is no path in it.
func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("%q: write scheme and host, such as https://video.example.com or https://video.example.com:8443", text)
	}
	return nil
}

// checkAddr checks a listening address. A development server has keys that everybody
// knows, so it may be reached from this machine only.
func checkAddr(addr string, dev bool) error {
	if addr == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		if wrong, ok := errors.AsType[*net.AddrError](err); ok { // would name the address again
			err = errors.New(wrong.Err)
		}
		return fmt.Errorf("address %q: %w; write HOST:PORT or :PORT", addr, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("address %q: port %q is not a number from 0 to 65535", addr, port)
	}
	ip := net.ParseIP(host)
	if dev && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("address %q: with --dev the server listens on loopback only, because its keys are public; leave --dev out to serve others", addr)
	}
	return nil
}
