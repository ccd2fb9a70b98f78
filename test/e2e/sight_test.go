package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// watched is a server with a listener for measurements, and its URL.
func watched(t *testing.T, args ...string) (s *server, watch string) {
	t.Helper()
	s = serve(t, append([]string{"--metrics", "127.0.0.1:0"}, args...)...)
	return s, "http://" + s.out.wait(t, `listener=metrics address=(\S+)`)
}

// fetch gets a page; header is "Name: value" or empty.
func fetch(t *testing.T, url, header string) (status int, text string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// read decodes lines of JSON.
func read[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var v T
		if err := d.Decode(&v); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, v)
	}
}

// What the commands print of streams, sessions and limits, as far as it matters here.
type (
	streamUsage struct {
		StreamName     string
		StreamARN      string
		RetentionHours int
		Bytes          int64
		Fragments      int64
		Oldest, Newest *struct {
			FragmentNumber                     string
			ServerTimestamp, ProducerTimestamp time.Time
		}
		BytesPerSecond float64
	}
	openSession struct {
		StreamName, Operation, RequestId, Client, UserAgent, AccessKey, LastAck string
		Bytes, Persisted, Failed                                                int64
		BytesPerSecond                                                          float64
	}
	limitInForce struct{ Name, Value, From string }
)
