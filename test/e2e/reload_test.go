package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// hangup makes the server read its settings again.
func (s *server) hangup(t *testing.T) {
	t.Helper()
	if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// settings writes a settings file of lines, with the account of the tests.
func settings(t *testing.T, path string, lines ...string) {
	t.Helper()
	text := "account: \"" + account + "\"\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// shows reports whether a TLS client that asks for a name is shown a certificate that it
// trusts, and which.
func (s *server) shows(roots *x509.CertPool, name string) (*x509.Certificate, error) {
	c, err := tls.Dial("tcp", strings.TrimPrefix(s.https, "https://"), &tls.Config{RootCAs: roots, ServerName: name})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}

// SIGHUP puts limits, certificates, the level of the log and regions into force while a
// session goes on; what needs a restart is named, and a mistake changes nothing.
func TestReloadBySIGHUP(t *testing.T) {
	config := filepath.Join(t.TempDir(), "millrace.yml")
	settings(t, config, "regions: [us-east-1]")
	s := serveWith(t, config)
	s.create(t, "garden")
	producer := s.open(t, "garden")
	producer.send(t, head(), cluster(0, 10, 100, 1), cluster(1000, 10, 100, 2))
	producer.await(t, "PERSISTED")

	elsewhere := s.caller(t)
	elsewhere.Region = "eu-west-1"
	describe := object{"StreamName": "garden"}
	if a := elsewhere.call(t, "DescribeStream", describe); a.Error == nil {
		t.Fatal("a region that was not named is served")
	}
	if _, err := s.shows(s.roots(t), "added.example"); err == nil {
		t.Fatal("the certificate has a name that was not given")
	}

	settings(t, config, "regions: [us-east-1, eu-west-1]", "tls: {names: [added.example]}", "log: {level: debug}",
		"limits: {account.streams: 1}", "memory: {budget: 1GiB}")
	s.hangup(t)
	s.out.wait(t, `settings reloaded.* waiting=1`)
	for _, line := range []string{`setting changed.* setting=regions from=us-east-1 to="us-east-1, eu-west-1"`, `setting changed.*setting=tls.names`,
		`setting changed.*setting=log.level from=info to=debug`, `level=WARN.*setting needs a restart.*setting=memory.budget`} {
		s.out.wait(t, line)
	}
	if a := elsewhere.call(t, "DescribeStream", describe); a.Error != nil {
		t.Errorf("the new region: %v", a.Error)
	}
	if _, err := s.shows(s.roots(t), "added.example"); err != nil {
		t.Errorf("new connections: %v", err)
	}
	if a := s.caller(t).call(t, "CreateStream", object{"StreamName": "second"}); a.Error == nil || a.Error.Name != "AccountStreamLimitExceededException" {
		t.Errorf("beyond the new limit: %v", a.Error)
	}
	producer.send(t, cluster(2000, 10, 100, 3))
	producer.await(t, "PERSISTED") // the open session goes on

	// A mistake keeps all that is in force, and is told with its line.
	settings(t, config, "regions: [us-east-1]", "htpp: :1", "log: {level: loud}")
	s.hangup(t)
	s.out.wait(t, `level=ERROR.*settings not reloaded.*millrace.yml:3: htpp: .*did you mean http\?.*millrace.yml:4: log.level`)
	if a := elsewhere.call(t, "DescribeStream", describe); a.Error != nil {
		t.Errorf("after a mistake the region is gone: %v", a.Error)
	}
	failed := func() bool { return s.memoryFigures(t, s.client(t))["millrace_reload_failed"] == 1 }
	if !failed() {
		t.Error("the measurement does not show the mistake")
	}
	settings(t, config, "tls: {cert: /missing/cert.pem, key: /missing/key.pem}")
	s.hangup(t)
	s.out.wait(t, `settings not reloaded.*tls.cert: .*no such file`)
	if _, err := s.shows(s.roots(t), "added.example"); err != nil {
		t.Errorf("after a mistake: %v", err)
	}

	// What is no longer said is as at the start.
	settings(t, config)
	s.hangup(t)
	s.out.wait(t, `setting changed.*setting=regions from="us-east-1, eu-west-1" to=us-east-1`)
	s.create(t, "second") // the limit is gone, too
	if failed() {
		t.Error("the measurement shows a failure that is over")
	}
	eventually(t, "the region is refused", func() error {
		if a := elsewhere.call(t, "DescribeStream", describe); a.Error == nil {
			return fmt.Errorf("it is served")
		}
		return nil
	})
	s.stop(t)
}

// A flag wins over the file, also when the file changes later.
func TestFlagsWinAtReload(t *testing.T) {
	config := filepath.Join(t.TempDir(), "millrace.yml")
	settings(t, config, "log: {level: info}")
	s := serveWith(t, config, "--log-level", "warn")
	settings(t, config, "log: {level: debug}", "clock: 6m")
	s.hangup(t)
	s.create(t, "garden")
	settings(t, config, "shutdown: 11s")
	s.hangup(t)
	s.out.wait(t, `level=WARN.*setting needs a restart.*setting=shutdown from=10s to=11s`)
	if text := s.out.text(); strings.Contains(text, "level=INFO") || strings.Contains(text, "level=DEBUG") {
		t.Errorf("the flag lost:\n%s", text)
	}
}

// Every mistake is told at once, with its line, before anything is touched.
func TestConfigCheckAndShow(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "millrace.yml")
	settings(t, config, "htpp: :1", "tls: {cert: /missing.pem, key: /missing.key}", "limits: {PutMedia.sesions: 3}", "data: "+config)
	out, stderr, err := try(t, environment("MILLRACE_HTPPS=:1"), nil, program(t), "config", "check", "--config", config)
	if err == nil || strings.Count(out, "\n") != 5 || !strings.Contains(stderr, "5 settings") {
		t.Errorf("%v\n%s%s", err, out, stderr)
	}
	for _, want := range []string{config + ":2: htpp: ", "did you mean http?", config + ":3: tls.cert: ", config + ":4: limits.PutMedia.sesions: ",
		"did you mean PutMedia.sessions?", config + ":5: data: ", "MILLRACE_HTPPS: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	settings(t, config, "data: "+filepath.Join(dir, "data"), "tls: {acme: {key_id: one, mac_key: c2VjcmV0LW9uZQ}}")
	run(t, environment(), program(t), "config", "check", "--config", config, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0")
	shown := run(t, environment("MILLRACE_METRICS=127.0.0.1:9"), program(t), "config", "show", "--config", config, "--profile", "aws")
	for _, want := range []string{"# environment MILLRACE_METRICS", "# flag --profile", "# file " + config + ":2", "# default", "mac_key: "} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "c2VjcmV0LW9uZQ") {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("looking at settings made the data directory")
	}
}
