package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/consumer"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/mkv"
)

// plumbing is just enough of a server to see what the commands do with its answers.
// Real ones are in test/e2e.
type plumbing struct {
	mu       sync.Mutex
	streams  map[string]int64 // retention in hours by name
	putStart string
	put      bytes.Buffer
	fail     bool // acknowledge the second fragment with an error
	media    []byte
	selector string
}

func (p *plumbing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/putMedia" {
		p.putMedia(w, r)
		return
	}
	var in struct {
		StreamName           string
		DataRetentionInHours int64
		NextToken            string
		StartSelector        json.RawMessage
	}
	json.NewDecoder(r.Body).Decode(&in)
	retention, found := p.streams[in.StreamName]
	switch {
	case r.URL.Path == "/createStream":
		p.streams[in.StreamName] = in.DataRetentionInHours
		io.WriteString(w, `{"StreamARN":"arn"}`)
	case r.URL.Path == "/listStreams":
		var list []string
		for _, name := range slices.Sorted(maps.Keys(p.streams)) {
			list = append(list, fmt.Sprintf(`{"StreamName":%q}`, name))
		}
		fmt.Fprintf(w, `{"StreamInfoList":[%s]}`, strings.Join(list, ","))
	case !found:
		w.Header().Set("x-amzn-ErrorType", "ResourceNotFoundException")
		w.WriteHeader(http.StatusNotFound)
	case r.URL.Path == "/describeStream":
		fmt.Fprintf(w, `{"StreamInfo":{"Status":"ACTIVE","DataRetentionInHours":%d}}`, retention)
	case r.URL.Path == "/getDataEndpoint":
		fmt.Fprintf(w, `{"DataEndpoint":"http://%s"}`, r.Host)
	case r.URL.Path == "/listFragments" && in.NextToken == "":
		io.WriteString(w, `{"Fragments":[{"FragmentNumber":"92","ServerTimestamp":1700000001.5,"ProducerTimestamp":1700000001,"FragmentLengthInMilliseconds":1000,"FragmentSizeInBytes":77}],"NextToken":"more"}`)
	case r.URL.Path == "/listFragments":
		io.WriteString(w, `{"Fragments":[{"FragmentNumber":"91"}],"NextToken":null}`)
	case r.URL.Path == "/getMedia":
		p.selector = string(in.StartSelector)
		w.Write(p.media)
	}
}

func (p *plumbing) putMedia(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	c.EnableFullDuplex()
	p.putStart = r.Header.Get("x-amzn-producer-start-timestamp")
	w.WriteHeader(http.StatusOK)
	c.Flush()
	items := mkv.NewReader(io.TeeReader(r.Body, &p.put), mkv.Options{})
	retention := p.streams[r.Header.Get("x-amzn-stream-name")]
	n := 0
	for it, err := items.Next(); err == nil; it, err = items.Next() {
		if it.Kind != mkv.ClusterTimecode {
			continue
		}
		n++
		kind, more := "PERSISTED", ""
		if retention == 0 {
			kind = "RECEIVED"
		}
		if p.fail && n == 2 {
			kind, more = "ERROR", `,"ErrorCode":"FRAMES_MISSING_FOR_TRACK","ErrorId":4011`
		}
		fmt.Fprintf(w, `{"EventType":"%s","FragmentTimecode":%d,"FragmentNumber":"9%d"%s}`+"\n", kind, it.Timecode, n, more)
		c.Flush()
		if kind == "ERROR" {
			return
		}
	}
}

// command runs a command line against p.
func command(t *testing.T, p http.Handler, in io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	serving(t, p)
	var out, err bytes.Buffer
	code = run(t.Context(), args, stdio{in: in, out: &out, err: &err})
	return code, out.String(), err.String()
}

// serving lets commands find p.
func serving(t *testing.T, p http.Handler) {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{"AWS_ENDPOINT_URL_KINESIS_VIDEO": "", "AWS_ENDPOINT_URL": server.URL,
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CA_BUNDLE": ""} {
		t.Setenv(name, value)
	}
}

func clipFile(t *testing.T, name string) string {
	path := filepath.Join(t.TempDir(), name+".mkv")
	if err := os.WriteFile(path, mediatest.Bytes(name), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPut(t *testing.T) {
	gst := mediatest.Bytes("gstreamer-h264")
	for name, c := range map[string]struct {
		args   []string
		in     []byte
		fail   bool
		code   int
		stderr string
		check  func(t *testing.T, p *plumbing, stdout string)
	}{
		"a file goes out unchanged": {
			args: []string{"garden", "FILE", "--start-time", "1700000000.5", "--acks"}, stderr: "4 fragments PERSISTED",
			check: func(t *testing.T, p *plumbing, stdout string) {
				if !bytes.Equal(p.put.Bytes(), gst) || p.putStart != "1700000000.500" {
					t.Errorf("%d bytes of %d, start %s", p.put.Len(), len(gst), p.putStart)
				}
				if lines := strings.Split(stdout, "\n"); len(lines) != 5 || lines[0] != `{"EventType":"PERSISTED","FragmentTimecode":0,"FragmentNumber":"91"}` {
					t.Errorf("acks %q", lines)
				}
			}},
		"a pipe": {args: []string{"garden", "-"}, in: mediatest.Bytes("ffmpeg-h264-aac"), stderr: "2 fragments PERSISTED"},
		"a stream that is created": {args: []string{"new", "FILE", "--create", "--retention", "0"}, stderr: "4 fragments RECEIVED",
			check: func(t *testing.T, p *plumbing, _ string) {
				if hours, ok := p.streams["new"]; !ok || hours != 0 {
					t.Errorf("streams %v", p.streams)
				}
			}},
		"a stream that is missing": {args: []string{"new", "FILE"}, code: exitFailed, stderr: "millrace put --create makes the stream"},
		"an ack error":             {args: []string{"garden", "FILE"}, fail: true, code: exitFailed, stderr: "; durable: 1 fragment\n"},
		"no Matroska":              {args: []string{"garden", "-"}, in: []byte("a text"), code: exitFailed, stderr: "an EBML header must come first"},
		"MP4": {args: []string{"new", "-", "--create"}, in: []byte("\x00\x00\x00\x20ftypisom"), code: exitFailed, stderr: "MP4, not Matroska",
			check: uncreated},
		"text for a new stream":    {args: []string{"new", "-", "--create"}, in: []byte("a text"), code: exitFailed, stderr: "not Matroska", check: uncreated},
		"nothing for a new stream": {args: []string{"new", "-", "--create"}, code: exitFailed, stderr: "nothing was sent", check: uncreated},
		"anything, raw":            {args: []string{"garden", "-", "--raw"}, in: []byte("a text"), code: exitFailed, stderr: "nothing was sent"},
		"nothing":                  {args: []string{"garden", "-"}, code: exitFailed, stderr: "nothing was sent"},
		"a file that breaks off": {args: []string{"garden", "-"}, in: gst[:len(gst)-10], code: exitFailed,
			stderr: fmt.Sprintf("the input is cut short at byte %d: it ends inside an element; durable before that: 4 fragments", len(gst)-10)},
		"a header that breaks off": {args: []string{"garden", "-"}, in: gst[:60], code: exitFailed, stderr: "the input is cut short at byte 60"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plumbing{streams: map[string]int64{"garden": 24}, fail: c.fail}
			args := []string{"put"}
			for _, a := range c.args {
				if a == "FILE" {
					a = clipFile(t, "gstreamer-h264")
				}
				args = append(args, a)
			}
			code, stdout, stderr := command(t, p, bytes.NewReader(c.in), args...)
			if code != c.code || !strings.Contains(stderr, c.stderr) {
				t.Errorf("code %d, want %d; stderr %q, want %q", code, c.code, stderr, c.stderr)
			}
			if c.check != nil {
				c.check(t, p, stdout)
			}
		})
	}
}

// uncreated: a stream is not created for what is no media.
func uncreated(t *testing.T, p *plumbing, _ string) {
	if _, ok := p.streams["new"]; ok {
		t.Error("the stream was created")
	}
}

// A session that the server ends does not wait for a pipe that is silent.
func TestPutEndsWithItsSession(t *testing.T) {
	silent, w := io.Pipe()
	defer w.Close()
	in := io.MultiReader(mediatest.Open("gstreamer-h264"), silent)
	p := &plumbing{streams: map[string]int64{"garden": 24}, fail: true}
	code, _, stderr := command(t, p, in, "put", "garden", "-")
	if code != exitFailed || !strings.Contains(stderr, "4011") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// A signal ends the input, so that what was sent can be waited for.
func TestSignalEndsTheInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := interruptible(ctx, neverending{}, 0)
	cancel()
	if _, err := io.Copy(io.Discard, r); err != errInterrupted {
		t.Errorf("error %v, want that of the interruption", err)
	}
}

// neverending gives zeros for ever.
type neverending struct{}

func (neverending) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestList(t *testing.T) {
	p := &plumbing{streams: map[string]int64{"garden": 24}}
	code, stdout, _ := command(t, p, nil, "list", "garden")
	lines := strings.Split(stdout, "\n")
	if code != exitOK || len(lines) != 4 || !strings.HasPrefix(lines[1], "91 ") ||
		strings.Join(strings.Fields(lines[2]), " ") != "92 2023-11-14T22:13:21.500Z 2023-11-14T22:13:21.000Z 1000 77" {
		t.Errorf("code %d, %q", code, lines)
	}
	code, stdout, _ = command(t, p, nil, "list", "garden", "--json")
	if lines := strings.Split(stdout, "\n"); code != exitOK || len(lines) != 3 || !strings.Contains(lines[1], `"FragmentNumber":"92"`) {
		t.Errorf("code %d, %q", code, lines)
	}
}

// That nothing comes is said once, and again only when something came in between.
func TestGetSaysThatItWaits(t *testing.T) {
	var b strings.Builder
	o := &output{}
	tell := o.waiting(&b)
	const idle = "waiting for media: nobody sends now\n"
	tell(nil)
	tell(nil)
	tell(io.ErrUnexpectedEOF)
	tell(nil)
	o.fragments = 3
	tell(nil)
	tell(nil)
	if want := idle + "trying again: unexpected EOF\n" + idle; b.String() != want {
		t.Errorf("said %q, want %q", b.String(), want)
	}
}

func TestGet(t *testing.T) {
	clip := mediatest.Bytes("gstreamer-h264")
	end := mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "AWS_KINESISVIDEO_CONTINUATION_TOKEN", Value: "91"}}}})
	media := append(bytes.Clone(clip), end...)
	p := &plumbing{streams: map[string]int64{"garden": 24}, media: media}
	file := filepath.Join(t.TempDir(), "out.mkv")
	code, _, stderr := command(t, p, nil, "get", "garden", "--start", "1700000000", "--once", "-o", file)
	got, err := os.ReadFile(file)
	if code != exitOK || err != nil || len(got) == 0 || bytes.Contains(got, []byte("CONTINUATION_TOKEN")) {
		t.Errorf("code %d, %d bytes (%v): %s", code, len(got), err, stderr)
	}
	if want := `{"StartSelectorType":"PRODUCER_TIMESTAMP","StartTimestamp":1700000000.000}`; p.selector != want && p.selector != strings.Replace(want, "1700000000.000", "1.7E9", 1) {
		t.Errorf("selector %s", p.selector)
	}
	code, stdout, _ := command(t, p, nil, "get", "garden", "--start", "EARLIEST", "--once", "--chunks")
	if code != exitOK || stdout != string(media) {
		t.Errorf("code %d, %d bytes of %d", code, len(stdout), len(media))
	}
	missing := filepath.Join(t.TempDir(), "none.mkv")
	code, _, stderr = command(t, p, nil, "get", "desert", "-o", missing)
	if _, err := os.Stat(missing); code != exitFailed || !os.IsNotExist(err) || !strings.Contains(stderr, "ResourceNotFoundException") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// --for measures the media, by the clock that was asked for; --once ends behind the first
// fragment that is newer than the command.
func TestHowFarGetReads(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	at := func(server, producer time.Duration) *consumer.Fragment {
		return &consumer.Fragment{ServerTime: began.Add(server), ProducerTime: began.Add(producer)}
	}
	old, newer := at(-time.Hour, -3*time.Hour), at(-time.Hour+time.Second, -2*time.Hour)
	for name, c := range map[string]struct {
		get    getCmd
		beyond bool
	}{
		"by producer time": {getCmd{For: time.Hour}, true},
		"a longer time":    {getCmd{For: time.Hour + 1}, false},
		"by server time":   {getCmd{For: time.Hour, Clock: "server"}, false},
		"without end":      {getCmd{}, false},
	} {
		r := c.get.reach(began)
		if r.beyond(old) || r.beyond(newer) != c.beyond {
			t.Errorf("%s: want %v for the second fragment", name, c.beyond)
		}
	}
	once := (&getCmd{Once: true}).reach(began)
	if once.last(newer) || !once.last(at(0, 0)) || (&getCmd{}).reach(began).last(at(0, 0)) {
		t.Error("--once ends elsewhere than behind the first fragment that is newer than the command")
	}
}

// A hint fits the refusal, the command and the environment.
func TestHints(t *testing.T) {
	region := "Credential should be scoped to a valid region, not 'x'."
	for name, c := range map[string]struct {
		command, token string
		err            error
		want           string
	}{
		"region":          {"get", "", &client.Error{Exception: "InvalidSignatureException", Message: region}, "hint: sign for that region"},
		"secret":          {"get", "", &client.Error{Exception: "InvalidSignatureException", Message: "no match"}, "hint: AWS_SECRET_ACCESS_KEY"},
		"unknown key":     {"get", "", &client.Error{Exception: "UnrecognizedClientException"}, "hint: the server does not know this access key"},
		"session token":   {"get", "abc", &client.Error{Exception: "UnrecognizedClientException"}, "hint: unset AWS_SESSION_TOKEN"},
		"not the root":    {"limit", "", &client.Error{Exception: "NotAuthorizedException"}, "hint: AWS_ACCESS_KEY_ID must be the root key"},
		"no stream, put":  {"put", "", &client.Error{Exception: "ResourceNotFoundException"}, "hint: millrace put --create"},
		"no stream, list": {"list", "", &client.Error{Exception: "ResourceNotFoundException"}, "hint: aws kinesisvideo list-streams"},
		"nothing to play": {"hls", "", &client.Error{Exception: "ResourceNotFoundException", Message: "No fragments found in the stream for the streaming request."}, "hint: the stream is there. Live it needs"},
		"nothing to cut":  {"clip", "", &client.Error{Exception: "ResourceNotFoundException", Message: "No fragments found in the stream for the clip."}, "hint: the stream is there. Live it needs"},
		"certificate":     {"list", "", fmt.Errorf("get: %w", x509.UnknownAuthorityError{}), "hint: --ca FILE"},
		"name":            {"list", "", fmt.Errorf("get: %w", x509.HostnameError{Certificate: &x509.Certificate{}, Host: "video.example.com"}), "tls.names"},
	} {
		t.Setenv("AWS_SESSION_TOKEN", c.token)
		text := explain(c.command, c.err)
		if !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, "hint") {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

// tagged is a Tags element of names and values.
func tagged(pairs ...string) []byte {
	var tag mkv.Tag
	for i := 0; i < len(pairs); i += 2 {
		tag.Simple = append(tag.Simple, mkv.SimpleTag{Name: "AWS_KINESISVIDEO_" + pairs[i], Value: pairs[i+1]})
	}
	return mkv.AppendTags(nil, []mkv.Tag{tag})
}

// An error inside the answer is one of the command, which names the fragment and the way
// on behind it.
func TestGetFailsWhereTheAnswerFails(t *testing.T) {
	document := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska", DocTypeVersion: 2, DocTypeReadVersion: 2}))
	failure := func(number, id string) []byte {
		return append(bytes.Clone(document), tagged("FRAGMENT_NUMBER", number, "ERROR_ID", id, "ERROR_CODE", "It failed.")...)
	}
	clip := mediatest.Bytes("gstreamer-h264")
	good := append(bytes.Clone(clip), tagged("CONTINUATION_TOKEN", "91")...)
	announced := append(bytes.Clone(document), tagged("FRAGMENT_NUMBER", "92", "SERVER_TIMESTAMP", "1700000000", "PRODUCER_TIMESTAMP", "1700000000")...)
	cluster := clip[bytes.LastIndex(clip, []byte{0x1f, 0x43, 0xb6, 0x75}):]
	inside := slices.Concat(good, tagged("FRAGMENT_NUMBER", "92", "SERVER_TIMESTAMP", "1700000000", "PRODUCER_TIMESTAMP", "1700000000"), cluster[:len(cluster)-10])
	for name, c := range map[string]struct {
		media []byte
		want  []string
	}{
		"damage":          {append(bytes.Clone(good), failure("92", "5000")...), []string{"fragment 92: the server answered It failed. (5000)", "get garden --start 92"}},
		"behind its head": {slices.Concat(good, announced, failure("92", "5000")), []string{"fragment 92: ", "--start 92"}},
		"in its middle":   {inside, []string{"fragment 92 broke off", "--start 92"}},
		"a key":           {failure("0", "4501"), []string{"millrace: the server answered It failed. (4501)", "keys.disabled"}},
	} {
		p := &plumbing{streams: map[string]int64{"garden": 24}, media: c.media}
		code, _, errs := command(t, p, nil, "get", "garden", "--start", "EARLIEST", "--once", "-o", filepath.Join(t.TempDir(), "out.mkv"))
		for _, want := range c.want {
			if code != exitFailed || !strings.Contains(errs, want) || name != "in its middle" && strings.Contains(errs, "new document") {
				t.Errorf("%s: code %d, %s, want %q", name, code, errs, want)
			}
		}
	}
}
