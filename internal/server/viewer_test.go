package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
)

// film stores a file whose timecodes count from start.
func (p *plant) film(stream string, start time.Time, file []byte) {
	p.t.Helper()
	u, err := p.PutMedia(p.t.Context(), client.PutMediaRequest{StreamName: stream, TimecodeType: client.Relative, ProducerStart: start, Body: bytes.NewReader(file)})
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	for {
		a, err := u.Next()
		if err == io.EOF {
			return
		}
		if err != nil || a.Type == client.Failed {
			p.t.Fatalf("%v, %s", err, a.Raw)
		}
	}
}

// hls begins a session; in is what stands in the call beside the stream's name.
func (p *plant) hls(stream, in string) string {
	p.t.Helper()
	var out wire.GetHLSStreamingSessionURLOutput
	if err := p.begin("GetHLSStreamingSessionURL", stream, in, &out); err != nil {
		p.t.Fatal(err)
	}
	return *out.HLSStreamingSessionURL
}

// dash is like hls.
func (p *plant) dash(stream, in string) string {
	p.t.Helper()
	var out wire.GetDASHStreamingSessionURLOutput
	if err := p.begin("GetDASHStreamingSessionURL", stream, in, &out); err != nil {
		p.t.Fatal(err)
	}
	return *out.DASHStreamingSessionURL
}

func (p *plant) begin(operation, stream, in string, out wire.Shape) error {
	p.t.Helper()
	op := wire.ByName(operation)
	input := op.Input()
	text := `{"StreamName":"` + stream + `"`
	if in != "" {
		text += "," + in
	}
	if err := wire.Decode([]byte(text+"}"), input); err != nil {
		p.t.Fatal(err)
	}
	return p.Call(p.t.Context(), op, input, out)
}

// page is an answer to a player.
type page struct {
	status int
	header http.Header
	body   string
}

// load asks as a player does; headers are names and values in turns.
func (p *plant) load(method, address string, headers ...string) page {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := p.HTTP.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(b)}
}

// play loads what must be there.
func (p *plant) play(address string) string {
	p.t.Helper()
	got := p.load("GET", address)
	if got.status != 200 {
		p.t.Fatalf("%s: %d %s", address, got.status, got.body)
	}
	return got.body
}

// uris are the URIs of a list, absolute.
func uris(t *testing.T, address, list string) (all []string) {
	t.Helper()
	base, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^get.*$|URI="([^"]*)"`).FindAllStringSubmatch(list, -1) {
		text := m[1]
		if text == "" {
			text = m[0]
		}
		u, err := base.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u.String())
	}
	return all
}

// masked replaces what differs from run to run.
func masked(list string) string {
	for pattern, with := range map[string]string{`Ci[A-Za-z0-9_-]+~`: "TOKEN", `[0-9]{47}`: "NUMBER", `"20[0-9T:.-]+Z"`: `"TIME"`} {
		list = regexp.MustCompile(pattern).ReplaceAllString(list, with)
	}
	return list
}

func rangeOf(mode, selector string, from, to time.Time) string {
	return fmt.Sprintf(`"PlaybackMode":%q,%q:{"FragmentSelectorType":"PRODUCER_TIMESTAMP","TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%d}}`, mode, selector, from.Unix(), to.Unix())
}

var premiere = time.Unix(1_700_000_000, 0)

// yesterday is a session of everything that was filmed at premiere.
var yesterday = rangeOf("ON_DEMAND", "HLSFragmentSelector", premiere, premiere.Add(time.Minute))
