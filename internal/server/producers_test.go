package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/sigv4"
)

// producers are the recorded runs, and what they must leave behind.
var producers = []struct {
	name      string
	fragments int
	retention int
	tags      map[string]string
}{
	{name: "producer-c-video", fragments: 4, retention: 2},
	{name: "producer-c-audio-video", fragments: 3, retention: 2},
	{name: "producer-c-offline", fragments: 3, retention: 2},
	{name: "kvssink-video", fragments: 3, retention: 24, tags: map[string]string{"place": "gate", "owner": "millrace"}},
	{name: "kvssink-audio-video", fragments: 3, retention: 2},
	{name: "embedded-c", fragments: 2, retention: 2},
}

// TestProducers replays what the official producers sent, byte for byte, and holds the
// answers and what consumers get to the bytes the specification asks for.
func TestProducers(t *testing.T) {
	for _, p := range producers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			rec := loadRecording(t, p.name)
			s := newStage(t, rec.clock)
			for _, c := range rec.connections[:len(rec.connections)-1] {
				s.checkControl(t, rec, c)
			}
			s.checkStream(t, p.name, p.retention, p.tags)

			media := rec.connections[len(rec.connections)-1]
			req := media.request(t)
			f := readFilm(t, req.Body)
			if media.interrupted() {
				f.scenes = f.scenes[:len(f.scenes)-1]
			}
			if len(f.scenes) != p.fragments {
				t.Fatalf("the recording has %d whole fragments, want %d", len(f.scenes), p.fragments)
			}
			numbers := s.checkPut(t, media, f)
			producer := producerTimes(t, req.Header, f)
			s.clock.start()
			s.checkList(t, p.name, f, numbers, producer)
			s.checkGet(t, p.name, f, numbers, producer)
		})
	}
}

// checkControl replays one control call.
func (s *stage) checkControl(t *testing.T, rec recording, c recorded) {
	t.Helper()
	path := c.request(t).URL.Path
	want := map[string]struct {
		status int
		body   string
	}{
		"/describeStream":  {404, `{"Message":"The requested stream is not found or not active."}`},
		"/createStream":    {200, fmt.Sprintf(`{"StreamARN":"arn:aws:kinesisvideo:us-east-1:%s:stream/%s/%d"}`, config.DevAccount, rec.name, rec.clock.UnixMilli())},
		"/tagStream":       {200, `{}`},
		"/getDataEndpoint": {200, `{"DataEndpoint":"` + stageEndpoint + `"}`},
	}[path]
	if status, body := s.call(t, c); status != want.status || body != want.body {
		t.Errorf("%s: %d %s\nwant %d %s", path, status, body, want.status, want.body)
	}
}

// checkStream looks at what the control calls made.
func (s *stage) checkStream(t *testing.T, name string, retention int, tags map[string]string) {
	t.Helper()
	st, err := s.catalog.ByName(context.Background(), config.DevAccount, name)
	if err != nil {
		t.Fatal(err)
	}
	if st.Retention != retention {
		t.Errorf("retention %d h, want %d", st.Retention, retention)
	}
	got, _, err := s.catalog.ListTags(context.Background(), st.ID, "")
	if err != nil || !maps.Equal(got, tags) {
		t.Errorf("tags %v, %v; want %v", got, err, tags)
	}
}

var putHead = regexp.MustCompile(`^HTTP/1\.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n` +
	`x-amz-RequestId: [0-9a-f-]{36}\r\nx-amzn-RequestId: [0-9a-f-]{36}\r\nDate: [^\r]+ GMT\r\nTransfer-Encoding: chunked\r\n\r\n$`)

// checkPut replays a PutMedia call as its producer acted: no body before the 200, no
// end of the body before the last PERSISTED. It returns the fragments' numbers.
func (s *stage) checkPut(t *testing.T, c recorded, f film) []string {
	t.Helper()
	l := s.dial(t)
	head, body := c.segments[0], c.segments[1:]
	l.send(t, head)
	if got := l.head(t); got != "HTTP/1.1 100 Continue\r\n\r\n" {
		t.Errorf("interim answer %q; want a bare 100", got)
	}
	if got := l.head(t); !putHead.MatchString(got) {
		t.Errorf("head of the answer:\n%q\nwant\n%s", got, putHead)
	}
	end := [][]byte{}
	if !c.interrupted() {
		body, end = body[:len(body)-1], body[len(body)-1:]
	}
	acks := make(chan error, 1)
	var told []ack
	go func() {
		for persisted := 0; persisted < len(f.scenes); {
			chunk, err := l.chunk()
			if err != nil {
				acks <- err
				return
			}
			a, err := parseAck(chunk)
			if err != nil {
				acks <- err
				return
			}
			if told = append(told, a); a.event == "PERSISTED" {
				persisted++
			}
		}
		acks <- nil
	}()
	l.send(t, body...)
	if err := <-acks; err != nil {
		t.Fatal(err)
	}
	if !c.interrupted() {
		l.send(t, end...)
		rest, err := io.ReadAll(l.r)
		if err != nil || string(rest) != lastChunk {
			t.Errorf("behind the last acknowledgement: %q, %v; want the last chunk and the end", rest, err)
		}
		checkWrites(t, l.writes(), len(told))
	}
	_ = l.Close()
	return checkAcks(t, told, f)
}

// checkWrites holds each acknowledgement to a write of its own: producers drop what is
// not in their buffer as a whole (wire-media section 4.3).
func checkWrites(t *testing.T, writes []string, acks int) {
	t.Helper()
	first := len(writes) - acks - 1
	if first < 1 || writes[len(writes)-1] != lastChunk {
		t.Fatalf("%d writes for a head, %d acknowledgements and the last chunk: %q", len(writes), acks, writes)
	}
	for _, w := range writes[first : len(writes)-1] {
		if _, err := parseAck(w); err != nil {
			t.Error(err)
		}
	}
}

// checkAcks holds the acknowledgements to BUFFERING, RECEIVED, PERSISTED for each
// fragment under one number, fragments in order.
func checkAcks(t *testing.T, told []ack, f film) (numbers []string) {
	t.Helper()
	steps := []string{"BUFFERING", "RECEIVED", "PERSISTED"}
	seen := map[string][]string{}
	for _, a := range told {
		if !slices.Contains(numbers, a.number) {
			numbers = append(numbers, a.number)
		}
		seen[a.number] = append(seen[a.number], a.event+" "+a.timecode)
	}
	// An interrupted producer has begun one more.
	if len(numbers) > len(f.scenes) {
		numbers = numbers[:len(f.scenes)]
	}
	if len(numbers) != len(f.scenes) || !slices.IsSorted(numbers) {
		t.Fatalf("acknowledged numbers %v; want %d rising ones", numbers, len(f.scenes))
	}
	for i, n := range numbers {
		var want []string
		for _, step := range steps {
			want = append(want, step+" "+strconv.FormatInt(f.scenes[i].timecode, 10))
		}
		if !slices.Equal(seen[n], want) {
			t.Errorf("fragment %d: acknowledgements %q, want %q", i, seen[n], want)
		}
	}
	return numbers
}

// producerTimes are the producer timestamps that the request's headers give the
// fragments, in milliseconds.
func producerTimes(t *testing.T, h http.Header, f film) []int64 {
	t.Helper()
	var start int64
	if h.Get("x-amzn-fragment-timecode-type") == "RELATIVE" {
		// The C producer writes the milliseconds without leading zeros.
		s, ms, _ := strings.Cut(h.Get("x-amzn-producer-start-timestamp"), ".")
		seconds, err := strconv.ParseInt(s, 10, 64)
		millis, err2 := strconv.ParseInt(ms, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		start = seconds*1000 + millis
	}
	var times []int64
	for _, s := range f.scenes {
		times = append(times, start+s.timecode)
	}
	return times
}

// checkList holds ListFragments to the acknowledged fragments.
func (s *stage) checkList(t *testing.T, name string, f film, numbers []string, producer []int64) {
	t.Helper()
	body := `{"StreamName":"` + name + `","FragmentSelector":{"FragmentSelectorType":"SERVER_TIMESTAMP","TimestampRange":{"StartTimestamp":0,"EndTimestamp":4000000000}}}`
	var out struct {
		NextToken *string
		Fragments []struct {
			FragmentNumber               string
			FragmentSizeInBytes          int64
			ProducerTimestamp            float64
			ServerTimestamp              float64
			FragmentLengthInMilliseconds int64
		}
	}
	if err := json.Unmarshal(s.ask(t, "/listFragments", body), &out); err != nil {
		t.Fatal(err)
	}
	if len(out.Fragments) != len(numbers) || out.NextToken != nil {
		t.Fatalf("listed %+v; want %d fragments", out, len(numbers))
	}
	for i, got := range out.Fragments {
		size := int64(len(f.ebml) + len(f.header) + len(f.scenes[i].data))
		switch {
		case got.FragmentNumber != numbers[i]:
			t.Errorf("fragment %d: number %s, want %s", i, got.FragmentNumber, numbers[i])
		case millis(got.ServerTimestamp) != s.clock.at.UnixMilli() || millis(got.ProducerTimestamp) != producer[i]:
			t.Errorf("fragment %d: server %v, producer %v; want %v, %v", i, got.ServerTimestamp, got.ProducerTimestamp, s.clock.at.UnixMilli(), producer[i])
		case got.FragmentSizeInBytes < int64(len(f.scenes[i].data)) || got.FragmentSizeInBytes > size+16:
			t.Errorf("fragment %d: %d bytes, want %d with the header", i, got.FragmentSizeInBytes, size)
		case i+1 < len(producer) && math.Abs(float64(producer[i]+got.FragmentLengthInMilliseconds-producer[i+1])) > 100:
			t.Errorf("fragment %d: lasts %d ms; the next begins %d ms later", i, got.FragmentLengthInMilliseconds, producer[i+1]-producer[i])
		}
	}
}

func millis(seconds float64) int64 { return int64(math.Round(seconds * 1000)) }

// checkGet holds GetMedia to the producer's bytes in the shape of wire-media section
// 5.4.
func (s *stage) checkGet(t *testing.T, name string, f film, numbers []string, producer []int64) {
	t.Helper()
	var want []byte
	for i, scene := range f.scenes {
		want = append(want, f.ebml...)
		want = append(want, "\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"...)
		want = append(want, f.header...)
		want = append(want, serviceTags(
			"AWS_KINESISVIDEO_FRAGMENT_NUMBER", numbers[i],
			"AWS_KINESISVIDEO_SERVER_TIMESTAMP", kvs.MillisOf(s.clock.at).Seconds(),
			"AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", kvs.Millis(producer[i]).Seconds())...)
		want = append(want, scene.data...)
		want = append(want, serviceTags(
			"AWS_KINESISVIDEO_MILLIS_BEHIND_NOW", "0",
			"AWS_KINESISVIDEO_CONTINUATION_TOKEN", numbers[i])...)
	}
	got := s.ask(t, "/getMedia", `{"StreamName":"`+name+`","StartSelector":{"StartSelectorType":"EARLIEST"}}`)
	if !bytes.Equal(got, want) {
		n := 0
		for n < min(len(got), len(want)) && got[n] == want[n] {
			n++
		}
		t.Errorf("GetMedia gave %d bytes, want %d; they differ from byte %d on:\n% x\n% x", len(got), len(want), n, got[n:min(n+64, len(got))], want[n:min(n+64, len(want))])
	}
}

// serviceTags is a Tags element as the service writes it: all sizes in four bytes.
func serviceTags(pairs ...string) []byte {
	element := func(id string, data ...[]byte) []byte {
		body := bytes.Join(data, nil)
		return append(binary.BigEndian.AppendUint32([]byte(id), 0x10000000|uint32(len(body))), body...)
	}
	var simple []byte
	for i := 0; i < len(pairs); i += 2 {
		simple = append(simple, element("\x67\xc8", element("\x45\xa3", []byte(pairs[i])), element("\x44\x87", []byte(pairs[i+1])))...)
	}
	return element("\x12\x54\xc3\x67", element("\x73\x73", simple))
}

// ask calls an operation and returns the body of the 200 answer.
func (s *stage) ask(t *testing.T, path, body string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL("http")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret},
		Region: "us-east-1", Service: "kinesisvideo", Now: s.config.Now}
	if err := signer.Sign(req, sigv4.PayloadHash([]byte(body))); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %.300s, %v", path, resp.Status, b, err)
	}
	return b
}

// TestProducersRefused replays recorded requests that must be refused: too late, and
// with a header changed on the way. No byte of media may be asked for.
func TestProducersRefused(t *testing.T) {
	for _, p := range producers {
		rec := loadRecording(t, p.name)
		put := rec.connections[len(rec.connections)-1].segments[0]
		for name, c := range map[string]struct {
			clock time.Duration
			head  []byte
			want  string
		}{
			"late":    {6 * time.Minute, put, "Signature expired"},
			"changed": {0, bytes.Replace(put, []byte("timecode-type: "), []byte("timecode-type:  x"), 1), "does not match"},
		} {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, rec.clock.Add(c.clock))
				l := s.dial(t)
				l.send(t, c.head)
				resp, err := http.ReadResponse(l.r, nil)
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusForbidden || !strings.Contains(string(b), c.want) {
					t.Errorf("%s %s, %v; want 403 and %q", resp.Status, b, err, c.want)
				}
			})
		}
	}
}
