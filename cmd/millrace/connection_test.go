package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusing answers every call with an exception.
func refusing(status int, exception, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("x-amzn-ErrorType", exception)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"Message":"`+message+`"}`)
	}
}

// A refusal that says itself what is wrong gets no hint that says something else.
func TestHintsFit(t *testing.T) {
	denied := refusing(403, "AccessDeniedException", "Reset works on a development server only.")
	if code, _, stderr := command(t, denied, nil, "reset"); code != exitFailed || strings.Contains(stderr, "hint") {
		t.Errorf("code %d: %s", code, stderr)
	}
	denied = refusing(403, "AccessDeniedException", "No.")
	if code, _, stderr := command(t, denied, nil, "reset"); code != exitFailed || !strings.Contains(stderr, "the key is known") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

// A wrong scheme, port or path in the endpoint is recognised.
func TestWrongEndpoints(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for endpoint, want := range map[string]string{
		strings.Replace(plain.URL, "http:", "https:", 1):  "write http://",
		strings.Replace(secure.URL, "https:", "http:", 1): "write https:// instead",
		"http://" + gone.Addr().String():                  "does the server run",
		plain.URL + "/video":                              "the endpoint must have no path; want " + plain.URL,
	} {
		code, _, stderr := command(t, http.NotFoundHandler(), nil, "list", "garden", "--endpoint", endpoint)
		if code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, %q is not in %s", endpoint, code, want, stderr)
		}
	}
}

// Only what is missing is to be typed, for either kind of server.
func TestExports(t *testing.T) {
	_, _, stderr := program(t, "list", "garden", "--endpoint", "https://video.example.com:8443")
	for _, want := range []string{"AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID", "--dev", "export AWS_ACCESS_KEY_ID=AKIAMILLRACEDEV00000", "install.md", "key create"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is not in %s", want, stderr)
		}
	}
	if strings.Contains(stderr, "export AWS_ENDPOINT_URL") {
		t.Errorf("the endpoint was given:\n%s", stderr)
	}
}

// An error about the wrong server or directory says that no settings file was read, or
// which setting is to blame.
func TestErrorsNameTheSettings(t *testing.T) {
	t.Chdir(t.TempDir())
	file := filepath.Join(t.TempDir(), "millrace.yml")
	if err := os.WriteFile(file, []byte("http: 127.0.0.1:1\ndata: /nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"key list":                           "no settings file was read; on a host with the service: --config /etc/millrace/millrace.yml",
		"key-file check " + file:             "no settings file was read",
		"backup " + t.TempDir():              "no settings file was read",
		"key list --config " + file:          "data comes from " + file + ":2",
		"health --config " + file:            "http comes from " + file + ":1",
		"key-file export - --config " + file: "data comes from " + file,
		"key list --data /nowhere/at/all":    "/nowhere/at/all holds no keys",
		"config show":                        "no settings file was read",
	} {
		_, _, stderr := program(t, strings.Fields(args)...)
		if !strings.Contains(stderr, want) {
			t.Errorf("millrace %s: %q is not in\n%s", args, want, stderr)
		}
	}
	if _, _, stderr := program(t, "key", "list", "--data", "/nowhere"); strings.Contains(stderr, "settings file") {
		t.Errorf("the directory was named: %s", stderr)
	}
	if _, _, stderr := program(t, "config", "show", "--config", file); stderr != "" {
		t.Errorf("a file was named: %s", stderr)
	}
	var d dataFlags
	if err := d.whence("http", errors.New("refused")); !strings.Contains(err.Error(), "http is the default: "+noFile) {
		t.Error(err)
	}
}

// Who names a stream that is not there hears its name and how to see those that are.
func TestUnknownStreams(t *testing.T) {
	missing := refusing(404, "ResourceNotFoundException", "The requested stream is not found.")
	for _, args := range []string{"limit list nosuch", "limit set account.streams 1 --stream nosuch", "limit reset --stream nosuch", "usage nosuch", "why nosuch", "top nosuch --once"} {
		code, _, stderr := command(t, missing, nil, strings.Fields(args)...)
		if code != exitFailed || !strings.Contains(stderr, "nosuch: ") || !strings.Contains(stderr, "list-streams") {
			t.Errorf("millrace %s: code %d: %s", args, code, stderr)
		}
	}
}

// A limit of something that the server lacks may be set, but nobody shall wait for it.
func TestLimitsOfNothing(t *testing.T) {
	for served, want := range map[string]bool{"true": false, "false": true} {
		answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"Name":"account.streams","Value":"1","Served":`+served+`}`)
		})
		code, _, stderr := command(t, answer, nil, "limit", "set", "account.streams", "1")
		if code != exitOK || strings.Contains(stderr, "changes nothing yet") != want {
			t.Errorf("served %s: code %d: %s", served, code, stderr)
		}
	}
}
