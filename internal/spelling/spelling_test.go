package spelling

import (
	"testing"
	"time"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"http", "http", 0}, {"", "http", 4}, {"htp", "http", 1}, {"htttp", "http", 1}, {"hxtp", "http", 1}, {"htpp", "http", 1}, {"thtp", "http", 1}, {"abc", "xyz", 3}} {
		if got := Distance(c.a, c.b); got != c.want || Distance(c.b, c.a) != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"http", "https", "metrics"}
	for word, want := range map[string]string{"HTPP": "http", "htps": "https", "metric": "metrics", "zzzzzz": ""} {
		if got := Nearest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for want, d := range map[string]time.Duration{"5m": 5 * time.Minute, "24h": 24 * time.Hour, "1h5m": 65 * time.Minute, "1.5s": 1500 * time.Millisecond, "0s": 0, "1m30s": 90 * time.Second} {
		if got := Duration(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
