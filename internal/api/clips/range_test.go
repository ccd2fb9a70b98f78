package clips

import (
	"net/http"
	"testing"
)

func TestPartsOfAFile(t *testing.T) {
	whole := stretch{size: 1000}
	for _, c := range []struct {
		asked, held string
		want        stretch
		none        bool
	}{
		{"", "", whole, false},
		{"bytes=0-", "", stretch{0, 1000, true}, false},
		{"bytes=0-0", "", stretch{0, 1, true}, false},
		{"bytes=100-199", "", stretch{100, 100, true}, false},
		{"bytes=900-5000", "", stretch{900, 100, true}, false},
		{"bytes=-1", "", stretch{999, 1, true}, false},
		{"bytes=-5000", "", stretch{0, 1000, true}, false},
		{"bytes=999-", `"tag"`, stretch{999, 1, true}, false},
		{"bytes=999-", `"older"`, whole, false},
		{"bytes=999-", `W/"tag"`, whole, false},
		{"bytes=1000-", "", whole, true},
		{"bytes=-0", "", whole, true},
		{"bytes=5-4", "", whole, false},
		{"bytes=5", "", whole, false},
		{"bytes=a-b", "", whole, false},
		{"bytes=0-1,5-6", "", whole, false},
		{"bytes=--5", "", whole, false},
		{"bytes=99999999999999999999-", "", whole, false},
		{"frames=0-1", "", whole, false},
	} {
		h := http.Header{}
		h.Set("Range", c.asked)
		h.Set("If-Range", c.held)
		got, err := partOf(h, 1000, `"tag"`)
		if got != c.want || (err != nil) != c.none {
			t.Errorf("%s %s: %+v %v, want %+v", c.asked, c.held, got, err, c.want)
		}
	}
	if got := (stretch{100, 50, true}).contentRange(1000); got != "bytes 100-149/1000" {
		t.Error(got)
	}
}
