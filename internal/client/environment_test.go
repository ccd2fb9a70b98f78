package client

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// environment sets the variables of FromEnv and clears those not named.
func environment(t *testing.T, set ...string) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
		"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_KINESIS_VIDEO", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
	for _, s := range set {
		name, value, _ := strings.Cut(s, "=")
		t.Setenv(name, value)
	}
}

func TestFromEnv(t *testing.T) {
	environment(t, "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=token",
		"AWS_DEFAULT_REGION=eu-west-1", "AWS_ENDPOINT_URL=http://localhost:8080")
	c, err := FromEnv()
	if err != nil {
		t.Fatal(err)
	}
	if c.Endpoint != "http://localhost:8080" || c.Region != "eu-west-1" || c.Credentials.AccessKey != "id" ||
		c.Credentials.Secret != "secret" || c.Credentials.SessionToken != "token" {
		t.Errorf("%+v", c)
	}
	t.Setenv("AWS_REGION", "us-west-2")
	t.Setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", "https://video.example")
	if c, err = FromEnv(); err != nil || c.Region != "us-west-2" || c.Endpoint != "https://video.example" {
		t.Errorf("the narrower variables do not win: %+v, %v", c, err)
	}
}

// TestOrEnv: a client without an endpoint is that of the environment under its own name.
func TestOrEnv(t *testing.T) {
	environment(t)
	set := &Client{Endpoint: "http://localhost", Region: "x", UserAgent: "camera/1"}
	if c, err := set.OrEnv(); c != set || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := (&Client{Region: "x"}).OrEnv(); err == nil {
		t.Errorf("nothing is set: %+v", c)
	}
	environment(t, "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=http://localhost:8080")
	c, err := (&Client{Region: "x", UserAgent: "camera/1"}).OrEnv()
	if err != nil {
		t.Fatal(err)
	}
	if c.Endpoint != "http://localhost:8080" || c.Region != "eu-west-1" || c.Credentials.AccessKey != "id" || c.UserAgent != "camera/1" {
		t.Errorf("%+v", c)
	}
}

func TestFromEnvRefuses(t *testing.T) {
	good := []string{"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=hush", "AWS_REGION=x", "AWS_ENDPOINT_URL=http://localhost"}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set  []string
		want []string
	}{
		{nil, []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"}},
		{good[:2], []string{"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"}},
		{append(good[:3:3], "AWS_ENDPOINT_URL=localhost:8080"), []string{"AWS_ENDPOINT_URL", "localhost:8080"}},
		{append(good[:3:3], "AWS_ENDPOINT_URL=https://"), []string{"AWS_ENDPOINT_URL"}},
		{append(good[:3:3], "AWS_ENDPOINT_URL=https://host:1/video"), []string{"AWS_ENDPOINT_URL", "no path", "want https://host:1"}},
		{append(good[:4:4], "AWS_CA_BUNDLE="+empty), []string{"AWS_CA_BUNDLE", "empty.pem"}},
		{append(good[:4:4], "AWS_CA_BUNDLE="+empty+".not"), []string{"AWS_CA_BUNDLE", "no such file"}},
	} {
		environment(t, test.set...)
		_, err := FromEnv()
		if err == nil {
			t.Errorf("%v was accepted", test.set)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v does not name %s", test.set, err, want)
			}
		}
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("%v shows the secret", err)
		}
	}
}

// TestCABundle: a server with its own CA is trusted through AWS_CA_BUNDLE only.
func TestCABundle(t *testing.T) {
	server := httptest.NewTLSServer(text(200, "{}"))
	defer server.Close()
	server.Config.ErrorLog = nil
	environment(t, "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=x", "AWS_ENDPOINT_URL="+server.URL)
	call := func() error {
		c, err := FromEnv()
		if err != nil {
			t.Fatal(err)
		}
		return c.Call(t.Context(), wire.ListStreams, &wire.ListStreamsInput{}, nil)
	}
	if err := call(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the bundle: %v", err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", file)
	if err := call(); err != nil {
		t.Errorf("with the bundle: %v", err)
	}
}
