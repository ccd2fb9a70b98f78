package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/sigv4"
)

// A page in a browser asks first whether it may call, then calls with an Origin. It cannot
// send a body in chunks: PutMedia comes with a Content-Length.
func TestABrowser(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	const origin = "https://viewer.example"
	do := func(method, path string, body []byte, change func(*http.Request)) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.https+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		change(r)
		resp, err := s.client(t).HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: s.key, Secret: s.secret}, Region: region, Service: "kinesisvideo"}
	asked := "authorization,x-amz-date,x-amzn-fragment-timecode-type,x-amzn-producer-start-timestamp,x-amzn-stream-name"
	for _, path := range []string{"/putMedia", "/getMedia", "/describeStream", "/listFragments"} {
		resp := do(http.MethodOptions, path, nil, func(r *http.Request) {
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Headers", asked)
		})
		h := resp.Header
		if resp.StatusCode/100 != 2 || h.Get("Access-Control-Allow-Origin") != "*" && h.Get("Access-Control-Allow-Origin") != origin ||
			!strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST") || !allows(h.Get("Access-Control-Allow-Headers"), asked) {
			t.Errorf("preflight of %s: %d %v", path, resp.StatusCode, h)
		}
	}

	sent := seconds(3, 0)
	media := append(head(), bytes.Join(sent, nil)...)
	resp := do(http.MethodPost, "/putMedia", media, func(r *http.Request) {
		r.Header.Set("x-amzn-stream-name", "garden")
		r.Header.Set("x-amzn-fragment-timecode-type", "RELATIVE")
		r.Header.Set("x-amzn-producer-start-timestamp", fmt.Sprintf("%.3f", float64(began.UnixMilli())/1000))
		if r.ContentLength != int64(len(media)) {
			t.Fatalf("the request has Content-Length %d", r.ContentLength)
		}
		if err := signer.Sign(r, ""); err != nil {
			t.Fatal(err)
		}
	})
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Fatalf("PutMedia: %d %v", resp.StatusCode, resp.Header)
	}
	var acks []client.Ack
	for line := range bytes.Lines(readAll(t, resp.Body)) {
		a, err := client.ParseAck(bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, a)
	}
	numbers := persisted(acks)
	if len(numbers) != len(sent) {
		t.Fatalf("%d fragments are durable, want %d:\n%s", len(numbers), len(sent), lines(acks))
	}
	fragments(t, s, "garden", numbers)

	in := []byte(`{"StreamName":"garden","Fragments":["` + strings.Join(numbers, `","`) + `"]}`)
	resp = do(http.MethodPost, "/getMediaForFragmentList", in, func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
		if err := signer.Sign(r, sigv4.PayloadHash(in)); err != nil {
			t.Fatal(err)
		}
	})
	if resp.Header.Get("Access-Control-Allow-Origin") == "" || !allows(resp.Header.Get("Access-Control-Expose-Headers"), "x-amzn-requestid,x-amzn-errortype") {
		t.Errorf("a page may not read the answer: %v", resp.Header)
	}
	sameClusters(t, all(t, resp.Body), sent)
}

// allows reports whether a list of headers has all that were asked for.
func allows(list, asked string) bool {
	var have []string
	for _, name := range strings.Split(strings.ToLower(list), ",") {
		have = append(have, strings.TrimSpace(name))
	}
	for _, name := range strings.Split(asked, ",") {
		if !slices.Contains(have, name) && !slices.Contains(have, "*") {
			return false
		}
	}
	return true
}
