package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/server"
)

// A data directory that was made beforehand has its root key and CA; it is made once.
func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	code, out, errs := program(t, "init", "--data", dir, "--account", "123456789012")
	key := regexp.MustCompile(`^AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)\n$`).FindStringSubmatch(out)
	if code != exitOK || key == nil || !strings.Contains(errs, "123456789012") || !strings.Contains(errs, filepath.Join(dir, server.KeyFile)) {
		t.Fatalf("code %d:\n%s%s", code, out, errs)
	}
	if strings.Contains(errs, key[2]) {
		t.Error("the secret is among the remarks")
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.pem")); err != nil || !strings.Contains(errs, "ca.pem") {
		t.Errorf("no CA: %v\n%s", err, errs)
	}
	if _, out, _ := program(t, "key", "list", "--data", dir); !strings.Contains(out, key[1]) {
		t.Errorf("the root key is not listed:\n%s", out)
	}
	code, out, errs = program(t, "init", "--data", dir)
	if code != exitFailed || out != "" || !strings.Contains(errs, "key reset-root") {
		t.Errorf("a second time: code %d, %s%s", code, out, errs)
	}
	if code, _, errs = program(t, "init", "--data", dir, "--account", "12"); code != exitUsage || !strings.Contains(errs, "twelve digits") {
		t.Errorf("a wrong account: code %d, %s", code, errs)
	}
}

// What the journal would keep goes into a file that only the owner reads.
func TestTheRootKeyStaysOutOfTheJournal(t *testing.T) {
	dir := t.TempDir()
	journal, err := os.Create(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	info, err := journal.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino))
	key := &iam.RootKey{Account: "123456789012", ID: "AKIAEXAMPLE", Secret: "the-secret"}
	announceRoot(journal, dir, key)
	said, err := os.ReadFile(journal.Name())
	if err != nil || strings.Contains(string(said), key.Secret) || !strings.Contains(string(said), filepath.Join(dir, server.RootKeyFile)) {
		t.Errorf("%v: the journal has\n%s", err, said)
	}
	kept, err := os.ReadFile(filepath.Join(dir, server.RootKeyFile))
	if err != nil || string(kept) != "AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY=the-secret\n" {
		t.Errorf("%v: the file has\n%s", err, kept)
	}
	if info, err := os.Stat(filepath.Join(dir, server.RootKeyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	// It is not lost where there can be no file, and a terminal shows it.
	announceRoot(journal, filepath.Join(dir, "missing"), key)
	if said, _ = os.ReadFile(journal.Name()); !strings.Contains(string(said), key.Secret) {
		t.Errorf("the key is lost:\n%s", said)
	}
	var terminal bytes.Buffer
	if announceRoot(&terminal, dir, key); !strings.Contains(terminal.String(), key.Secret) {
		t.Errorf("the key is not shown:\n%s", &terminal)
	}
}

func TestHealth(t *testing.T) {
	status := http.StatusOK
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintln(w, "this is", r.URL.Path)
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // a client that does not trust it is meant to complain
	h.StartTLS()
	defer h.Close()
	for _, c := range []struct {
		name   string
		args   []string
		env    map[string]string
		status int
		code   int
		out    string
	}{
		{"well", nil, nil, 200, exitOK, "this is /healthz\n"},
		{"ready", []string{"--ready"}, nil, 200, exitOK, "this is /readyz\n"},
		{"not ready", []string{"--ready"}, nil, 503, exitFailed, "this is /readyz\n"},
		{"an unknown CA", []string{"--url", h.URL}, nil, 200, exitFailed, ""},
		{"no server", []string{"--url", "http://127.0.0.1:1"}, nil, 200, exitFailed, ""},
		{"no port", nil, map[string]string{"MILLRACE_HTTPS": "127.0.0.1:0"}, 200, exitUsage, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			status = c.status
			t.Setenv("MILLRACE_HTTP", "")
			t.Setenv("MILLRACE_HTTPS", strings.TrimPrefix(h.URL, "https://"))
			for k, v := range c.env {
				t.Setenv(k, v)
			}
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"health"}, c.args...), stdio{out: &out, err: &errs})
			if code != c.code || out.String() != c.out {
				t.Errorf("code %d, want %d: %s%s", code, c.code, &out, &errs)
			}
		})
	}
}

// A server that listens everywhere is asked on the loopback address.
func TestNearby(t *testing.T) {
	for want, c := range map[string]config.Config{
		"http://127.0.0.1:8080":  {HTTP: ":8080", HTTPS: ":8443"},
		"https://127.0.0.1:8443": {HTTPS: "0.0.0.0:8443"},
		"http://127.0.0.1:80":    {HTTP: "[::]:80"},
		"http://192.0.2.1:8080":  {HTTP: "192.0.2.1:8080"},
		"":                       {HTTP: "127.0.0.1:0"},
	} {
		if got := nearby(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A data directory that cannot be written is told with the user and a cure; other files
// are not.
func TestUnusableData(t *testing.T) {
	failing := func(path string, err error) error {
		return fmt.Errorf("data directory: %w", &fs.PathError{Op: "open", Path: path, Err: err})
	}
	for want, err := range map[string]error{
		"permission denied for the user ": failing("/srv/data/lock", syscall.EACCES),
		"run the server as the owner":     failing("/srv", syscall.EACCES),
		"that can be written: --data":     failing("/srv/data/lock", syscall.EROFS),
	} {
		if text := usable("/srv/data", err).Error(); !strings.Contains(text, want) || !strings.Contains(text, "open /srv") {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	for _, err := range []error{failing("/etc/key.pem", syscall.EACCES), failing("/srv/data/lock", syscall.EIO)} {
		if got := usable("/srv/data", err); got != err {
			t.Error(got)
		}
	}
}
