package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigCheck(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yml"), filepath.Join(dir, "bad.yml")
	for path, text := range map[string]string{
		good: "http: 127.0.0.1:0\nhttps: \"\"\ndata: " + filepath.Join(dir, "data") + "\n",
		bad:  "htpp: :1\ntls:\n  cert: /missing.pem\n  key: /missing.key\ndata: " + good + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, stdout, stderr := program(t, "config", "check", "--config", good); code != exitOK || !strings.Contains(stdout, "good: a server of the user "+userName()+" would") ||
		strings.Contains(stdout, "run the check as that one") != (os.Geteuid() == 0) {
		t.Errorf("code %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr := program(t, "config", "check", "--config", bad, "--log-level", "loud")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != exitFailed || len(lines) != 4 || !strings.Contains(stderr, "these 4 settings") {
		t.Fatalf("code %d: %s%s", code, stdout, stderr)
	}
	for i, want := range []string{bad + ":1: htpp: ", bad + ":3: tls.cert: ", bad + ":5: data: ", "--log-level: log.level: "} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
	if code, _, stderr := program(t, "config", "show", "--config", bad); code != exitUsage || !strings.Contains(stderr, "did you mean http?") || !strings.Contains(stderr, "millrace config check") {
		t.Errorf("show: code %d: %s", code, stderr)
	}
	if code, _, stderr := program(t, "config", "check", "--config", bad+".not"); code != exitUsage || !strings.Contains(stderr, "there is no file") {
		t.Errorf("no file: code %d: %s", code, stderr)
	}
	if code, _, stderr := program(t, "serve", "--config", bad); code != exitUsage || !strings.Contains(stderr, "did you mean http?") {
		t.Errorf("serve: code %d: %s", code, stderr)
	}
}

func TestConfigShow(t *testing.T) {
	code, stdout, stderr := program(t, "config", "show", "--http", ":1", "--profile", "aws")
	for _, want := range []string{`http: ":1"`, "# flag --http", "profile: aws", "# default", "# default; here "} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("code %d, no %q in %s%s", code, want, stdout, stderr)
		}
	}
	if code, stdout, _ := program(t, "config", "show", "--defaults", "--http", ":1", "--json"); code != exitOK || strings.Contains(stdout, "flag") {
		t.Errorf("code %d: %s", code, stdout)
	}
}
