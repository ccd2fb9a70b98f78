package consumer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/sigv4"
)

// script is a server that gives its answers one after the other: bytes, and whether the
// connection breaks behind them.
type script struct {
	answers []answer

	mu    sync.Mutex
	asked []string // the request bodies
}

type answer struct {
	body   []byte
	broken bool
	status int    // 0 = 200
	name   string // of the exception
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/getDataEndpoint" {
		io.WriteString(w, `{"DataEndpoint":"http://`+r.Host+`"}`)
		return
	}
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, string(body))
	s.mu.Unlock()
	if n >= len(s.answers) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	a := s.answers[n]
	if a.status != 0 {
		w.Header().Set("x-amzn-ErrorType", a.name)
		w.WriteHeader(a.status)
		return
	}
	w.Write(a.body)
	if a.broken {
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func follow(t *testing.T, s *script, change func(*Config)) (*Follower, error) {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	httpClient := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(httpClient.CloseIdleConnections)
	c := Config{Endpoint: server.URL, Region: "us-east-1", HTTP: httpClient, Stream: "garden",
		Credentials: sigv4.Credentials{AccessKey: "AKIA", Secret: "secret"}, Start: Earliest()}
	if change != nil {
		change(&c)
	}
	f, err := Follow(t.Context(), c)
	if err == nil {
		f.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

// all reads fragments until an error.
func all(f *Follower) (numbers []string, bodies [][]byte, err error) {
	for {
		fragment, err := f.Next()
		if err != nil {
			return numbers, bodies, err
		}
		body, err := io.ReadAll(f)
		if err != nil {
			return numbers, bodies, err
		}
		numbers, bodies = append(numbers, fragment.Number), append(bodies, body)
	}
}

// Whatever ends a response, each fragment comes once and whole.
func TestFollowerGoesOn(t *testing.T) {
	c := chunks("gstreamer-h264")
	cut := c[2].bytes()[:len(c[2].bytes())*2/3]
	for name, second := range map[string]answer{
		"a response ends":                        {body: c[1].bytes()},
		"a connection breaks inside a cluster":   {body: append(c[1].bytes(), cut...), broken: true},
		"a connection breaks inside a head":      {body: append(c[1].bytes(), c[2].head[:50]...), broken: true},
		"a response ends inside a cluster":       {body: append(c[1].bytes(), cut...)},
		"a connection breaks between two chunks": {body: c[1].bytes(), broken: true},
		"the server is busy":                     {status: 503},
		"there are too many calls":               {status: 400, name: "ClientLimitExceededException"},
	} {
		t.Run(name, func(t *testing.T) {
			rest := join(c[2:])
			if second.status != 0 {
				rest = join(c[1:])
			}
			s := &script{answers: []answer{{body: c[0].bytes()}, second, {body: rest}}}
			f, err := follow(t, s, nil)
			if err != nil {
				t.Fatal(err)
			}
			numbers, bodies, err := all(f)
			if err == nil || !strings.Contains(err.Error(), "404") {
				t.Errorf("the end is %v, want what the server says", err)
			}
			if len(numbers) != len(c) {
				t.Fatalf("fragments %v, want %d\n%s", numbers, len(c), strings.Join(s.asked, "\n"))
			}
			for i := range c {
				if numbers[i] != number(i) || !bytes.Equal(bodies[i], c[i].body) {
					t.Errorf("fragment %d is %s with %d bytes of %d", i, numbers[i], len(bodies[i]), len(c[i].body))
				}
			}
		})
	}
}

func TestFollowerAsksForTheRightPlace(t *testing.T) {
	c := chunks("gstreamer-h264")
	cut := c[1].bytes()[:len(c[1].bytes())/2]
	s := &script{answers: []answer{{body: append(c[0].bytes(), cut...), broken: true}, {body: join(c[1:])}}}
	f, err := follow(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	all(f)
	want := []string{
		`{"StartSelector":{"StartSelectorType":"EARLIEST"},"StreamName":"garden"}`,
		`{"StartSelector":{"AfterFragmentNumber":"` + number(0) + `","StartSelectorType":"FRAGMENT_NUMBER"},"StreamName":"garden"}`,
		`{"StartSelector":{"ContinuationToken":"` + number(3) + `","StartSelectorType":"CONTINUATION_TOKEN"},"StreamName":"garden"}`,
	}
	if strings.Join(s.asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(s.asked, "\n"), strings.Join(want, "\n"))
	}
}

// A fragment that failed on the server while it was read does not come again.
func TestFollowerLeavesWhatIsGone(t *testing.T) {
	c := chunks("gstreamer-h264")
	cut := c[1].bytes()[:len(c[1].bytes())/2]
	s := &script{answers: []answer{{body: append(c[0].bytes(), cut...), broken: true}, {body: join(c[2:])}}}
	f, err := follow(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	numbers, bodies, _ := all(f)
	if len(numbers) != 4 || !bytes.HasPrefix(c[1].body, bodies[1]) || !bytes.Equal(bodies[2], c[2].body) {
		t.Errorf("fragments %v", numbers)
	}
}

func TestOnceEndsWithTheResponse(t *testing.T) {
	c := chunks("gstreamer-h264")
	var received bytes.Buffer
	s := &script{answers: []answer{{body: join(c)}}}
	f, err := follow(t, s, func(c *Config) { c.Once, c.Received = true, &received })
	if err != nil {
		t.Fatal(err)
	}
	numbers, _, err := all(f)
	if err != io.EOF || len(numbers) != len(c) || !bytes.Equal(received.Bytes(), join(c)) {
		t.Errorf("%d fragments, %d bytes, %v", len(numbers), received.Len(), err)
	}
}

func TestFollowerEnds(t *testing.T) {
	if _, err := follow(t, &script{}, nil); err == nil {
		t.Error("Follow reads from a stream that does not exist")
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &script{answers: []answer{{body: join(chunks("gstreamer-h264"))}}}
	f, err := follow(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.ctx = ctx
	f.config.OnEnd = func(error) { cancel() }
	if _, _, err := all(f); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestStartSelectors(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_500)
	for want, start := range map[string]Start{
		"NOW": Now(), "EARLIEST": Earliest(), "FRAGMENT_NUMBER": After("7"), "CONTINUATION_TOKEN": Resume("7"),
		"SERVER_TIMESTAMP": AtServerTime(at), "PRODUCER_TIMESTAMP": AtProducerTime(at),
	} {
		s := start.selector()
		if *s.StartSelectorType != want {
			t.Errorf("%s, want %s", *s.StartSelectorType, want)
		}
		if timed := strings.HasSuffix(want, "TIMESTAMP"); timed != (s.StartTimestamp != nil && s.StartTimestamp.Seconds() == "1700000000.500") {
			t.Errorf("%s: timestamp %v", want, s.StartTimestamp)
		}
	}
}

// What breaks off at the same byte each time is damaged: the reading goes on behind it.
func TestFollowerGivesUpWhatIsDamaged(t *testing.T) {
	c := chunks("gstreamer-h264")
	cut := answer{body: c[1].bytes()[:len(c[1].bytes())/2], broken: true}
	s := &script{answers: []answer{cut, cut, cut, cut, cut, cut, {body: join(c[2:])}}}
	f, err := follow(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = all(f)
	if failed, ok := errors.AsType[*FragmentError](err); !ok || failed.Number != number(1) {
		t.Fatal(err)
	}
	if next, err := f.Next(); err != nil || next.Number != number(2) {
		t.Errorf("%v, %v", next, err)
	}
	if last := s.asked[len(s.asked)-1]; !strings.Contains(last, `"AfterFragmentNumber":"`+number(1)) {
		t.Errorf("asked for %s", last)
	}
}
