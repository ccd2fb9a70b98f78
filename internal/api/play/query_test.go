package play

import (
	"net/url"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

func TestGzipThatIsTaken(t *testing.T) {
	for header, want := range map[string]bool{"": false, "gzip": true, "br, GZIP": true, "gzip;q=0": false, "gzip;q=0.000": false, "gzip; q=0.1": true,
		"identity": false, "deflate, gzip;q=1.0, *;q=0.5": true, "x-gzip": false} {
		if takesGzip(header) != want {
			t.Errorf("%q: %v", header, !want)
		}
	}
}

func TestYoungValuesStay(t *testing.T) {
	var y young[int, string]
	for i := range 1000 {
		y.put(i, "x", 1, 100)
		if _, ok := y.get(i); !ok {
			t.Fatalf("%d is not there at once", i)
		}
	}
	if n := len(y.now) + len(y.before); n > 102 {
		t.Errorf("%d are kept, of 100 at most", n)
	}
	if _, ok := y.get(1); ok {
		t.Error("an old one is there")
	}
	for range 1000 {
		y.put(5000, "x", 1, 100) // one that comes again and again takes room once
	}
	if _, ok := y.get(999); !ok {
		t.Error("a young one is gone")
	}
}

// FuzzQuery compares with what the standard library reads.
func FuzzQuery(f *testing.F) {
	f.Add("SessionToken=CiAAA-_~&TrackNumber=1", "TrackNumber")
	f.Add("a=%7E&a=2", "a")
	f.Add("a=1;b=2&&=&b", "b")
	f.Add("a=%zz", "a")
	f.Fuzz(func(t *testing.T, raw, name string) {
		got := parseQuery(raw).get(name)
		all, err := url.ParseQuery(raw)
		if err != nil {
			return // a part of it is not well formed: what is, is read
		}
		if url.QueryEscape(name) == name && got != all.Get(name) && len(all[name]) > 0 && all[name][0] != got {
			t.Errorf("%q of %q is %q, want %q", name, raw, got, all.Get(name))
		}
	})
}

// Limits, faults and policies know what is served here by its names.
func TestActionsHaveKnownNames(t *testing.T) {
	for _, a := range Actions(Options{}) {
		if !wire.IsAction(a.Name) {
			t.Errorf("%s is no known action", a.Name)
		}
	}
}
