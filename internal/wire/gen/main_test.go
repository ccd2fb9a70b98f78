package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/wire/model"
)

// TestSourcesAreCurrent fails when the facts, served.txt or the generator changed and
// "make gen" was not run.
func TestSourcesAreCurrent(t *testing.T) {
	facts, err := model.Load()
	if err != nil {
		t.Fatal(err)
	}
	served, err := readServed(facts, "../served.txt")
	if err != nil {
		t.Fatal(err)
	}
	files, err := sources(facts, served)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		current(t, filepath.Join("..", name), want)
	}
	current(t, "../../../docs/ref/coverage.md", coverage(facts, served))
}

func current(t *testing.T, file string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the generator writes: run make gen", file)
	}
}

func TestReadServedNamesTheUnknown(t *testing.T) {
	facts, err := model.Load()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "served.txt")
	if err := os.WriteFile(file, []byte("PutMedia\nPutMedium\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readServed(facts, file); err == nil {
		t.Error("an operation that does not exist was taken as served")
	}
}

func TestGoName(t *testing.T) {
	for value, want := range map[string]string{
		"PUT_MEDIA":                     "PutMedia",
		"GET_HLS_STREAMING_SESSION_URL": "GetHLSStreamingSessionURL",
		"WEBRTC":                        "WebRTC",
		"JPEGQuality":                   "JPEGQuality",
	} {
		if got := goName(value); got != want {
			t.Errorf("goName(%q) = %q, want %q", value, got, want)
		}
	}
}
