package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// volatile are the parts of answers that differ from run to run, each with what stands
// for it. The patterns are as narrow as the documented forms, so that a wrong form shows.
var volatile = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(:(?:stream|channel)/[\w.-]+/)\d{13}\b`), "${1}<epoch ms>"},
	{regexp.MustCompile(`"(Version|CurrentVersion)":"[A-Za-z0-9]{20}"`), `"$1":"<20 characters>"`},
	{regexp.MustCompile(`"(CreationTime|ServerTimestamp)":1\.\d{1,12}E9\b`), `"$1":<seconds E9>`},
	{regexp.MustCompile(`"(CreationTime|ServerTimestamp)":\{"\$date":"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}`), `"$1":<Date>`},
	{regexp.MustCompile(`\b9134\d{43}\b`), "<47 digits>"},
	{regexp.MustCompile(`"NextToken":"[A-Za-z0-9+/]+={0,2}"`), `"NextToken":"<base64>"`},
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "https://<address>"},
	{regexp.MustCompile(`\b20\d{6}T\d{6}Z`), "<date>"},
}

func normal(s string) string {
	for _, v := range volatile {
		s = v.pattern.ReplaceAllString(s, v.instead)
	}
	return s
}

// transcript collects what was asked and answered.
type transcript struct{ b bytes.Buffer }

// add writes down one call: the input, status and headers, the body as it came and as
// the SDK decoded it.
func (tr *transcript) add(title, operation string, input object, a answer) {
	in, _ := json.Marshal(input)
	fmt.Fprintf(&tr.b, "== %s\n%s %s\n", title, operation, normal(string(in)))
	fmt.Fprintf(&tr.b, "%d %s %s\n", a.Status, a.Type, a.ErrorType)
	if a.Raw != "" {
		fmt.Fprintf(&tr.b, "body    %s\n", normal(a.Raw))
	}
	if a.Error != nil {
		fmt.Fprintf(&tr.b, "throws  %s (%d, %s): %s\n", a.Error.Name, a.Error.Status, a.Error.Fault, normal(a.Error.Message))
	} else {
		fmt.Fprintf(&tr.b, "decoded %s\n", normal(string(a.Output)))
	}
	tr.b.WriteByte('\n')
}

// compare holds the transcript against testdata, or writes it there.
func (tr *transcript) compare(t *testing.T, name string) {
	t.Helper()
	golden(t, name, tr.b.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || !bytes.Equal(g[i], w[i]) {
			t.Fatalf("%s, line %d: got\n%s\nwant\n%s\n-update accepts it", path, i+1, line(g, i), line(w, i))
		}
	}
}

func line(all [][]byte, i int) []byte {
	if i < len(all) {
		return all[i]
	}
	return []byte("(end)")
}
