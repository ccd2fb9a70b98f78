package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// javascript is the AWS SDK for JavaScript v3 in a process of its own (driver.mjs). It
// makes calls for every test, many at a time.
type javascript struct {
	stdin  io.WriteCloser
	stderr *output

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	failed  error
}

// caller is who makes a call, and where.
type caller struct {
	Endpoint    string `json:"endpoint"`
	Region      string `json:"region"`
	Key         string `json:"key"`
	Secret      string `json:"secret"`
	Token       string `json:"token,omitempty"`
	CA          string `json:"ca"`
	ClockOffset int    `json:"clockOffset,omitempty"` // milliseconds
}

// object is a JSON object.
type object = map[string]any

// answer is what came of a call.
type answer struct {
	ID        int             `json:"id"`
	Status    int             `json:"status"`
	Type      string          `json:"type"`      // Content-Type
	ErrorType string          `json:"errorType"` // x-amzn-ErrorType
	Raw       string          `json:"raw"`       // body as it came
	Output    json.RawMessage `json:"output"`    // body as the SDK decoded it
	Ended     bool            `json:"ended"`
	Error     *failure        `json:"error"`
}

// failure is an error as the SDK throws it.
type failure struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Fault   string `json:"fault"`
	Status  int    `json:"status"`
}

func (f *failure) Error() string { return fmt.Sprintf("%s (%d): %s", f.Name, f.Status, f.Message) }

// sdk is started when it is first needed and ends with the tests: its input ends then.
var sdk = sync.OnceValues(func() (*javascript, error) {
	c := exec.Command("node", "driver.mjs")
	c.Env = environment()
	j := &javascript{stderr: newOutput(), waiting: map[int]chan answer{}}
	c.Stderr = j.stderr
	var err error
	if j.stdin, err = c.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	go j.receive(stdout)
	return j, nil
})

func (j *javascript) receive(r io.Reader) {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		var a answer
		if err == nil {
			err = json.Unmarshal(line, &a)
		}
		j.mu.Lock()
		if err != nil {
			j.failed = fmt.Errorf("the SDK's process: %w\n%s", err, j.stderr.tail(20))
			for _, c := range j.waiting {
				close(c)
			}
			j.mu.Unlock()
			return
		}
		if c := j.waiting[a.ID]; c != nil {
			c <- a
		}
		j.mu.Unlock()
	}
}

// send writes a request and returns where its answers will come.
func (j *javascript) send(request object) (int, chan answer, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return 0, nil, j.failed
	}
	j.next++
	c := make(chan answer, 2)
	j.waiting[j.next] = c
	request["id"] = j.next
	return j.next, c, j.write(request)
}

func (j *javascript) write(request object) error {
	b, err := json.Marshal(request)
	if err == nil {
		_, err = j.stdin.Write(append(b, '\n'))
	}
	return err
}

func (j *javascript) abort(id int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = j.write(object{"abort": id})
}

func (j *javascript) forget(id int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.waiting, id)
}

// serviceOf is the SDK client that has an operation.
func serviceOf(operation string) string {
	switch operation {
	case "GetMedia":
		return "media"
	case "ListFragments", "GetMediaForFragmentList", "GetHLSStreamingSessionURL", "GetDASHStreamingSessionURL", "GetClip":
		return "archived"
	case "GetIceServerConfig", "SendAlexaOfferToMaster":
		return "signaling"
	}
	return "video"
}

// caller is the server's own key over TLS.
func (s *server) caller(t testing.TB) caller {
	t.Helper()
	pem, err := os.ReadFile(s.ca())
	if err != nil {
		t.Fatal(err)
	}
	return caller{Endpoint: s.https, Region: region, Key: s.key, Secret: s.secret, CA: string(pem)}
}

// date is a time in an input of the SDK.
func date(t time.Time) object { return object{"$date": float64(t.UnixMilli()) / 1000} }

// begin makes a call and returns a function that waits for what comes of it.
func (w caller) begin(t testing.TB, operation string, input object) func() answer {
	t.Helper()
	j, err := sdk()
	if err != nil {
		t.Fatal(err)
	}
	id, c, err := j.send(object{"service": serviceOf(operation), "operation": operation, "who": w, "input": input})
	if err != nil {
		t.Fatal(err)
	}
	return func() answer {
		t.Helper()
		defer j.forget(id)
		return receiveAnswer(t, j, operation, c)
	}
}

func receiveAnswer(t testing.TB, j *javascript, operation string, c chan answer) answer {
	t.Helper()
	select {
	case a, ok := <-c:
		if !ok {
			t.Fatal(j.failed)
		}
		return a
	case <-time.After(patience):
		t.Fatalf("%s is not answered", operation)
	}
	return answer{}
}

// call makes a call and waits for its answer, whatever that is.
func (w caller) call(t testing.TB, operation string, input object) answer {
	t.Helper()
	return w.begin(t, operation, input)()
}

// must makes a call that has to succeed and decodes its output into out unless that is
// nil.
func (w caller) must(t testing.TB, operation string, input object, out any) answer {
	t.Helper()
	a := w.call(t, operation, input)
	if a.Error != nil {
		t.Fatalf("%s: %v", operation, a.Error)
	}
	if out != nil {
		if err := json.Unmarshal(a.Output, out); err != nil {
			t.Fatalf("%s: %v in %s", operation, err, a.Output)
		}
	}
	return a
}

// stream is the body of a media answer as it arrives.
type stream struct {
	net.Conn
	j     *javascript
	id    int
	more  chan answer
	began answer
}

// stream makes a call whose answer is media.
func (w caller) stream(t testing.TB, operation string, input object) *stream {
	t.Helper()
	j, err := sdk()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	id, c, err := j.send(object{"service": serviceOf(operation), "operation": operation, "who": w, "input": input,
		"port": l.Addr().(*net.TCPAddr).Port})
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{j: j, id: id, more: c, began: receiveAnswer(t, j, operation, c)}
	if s.began.Error != nil {
		t.Fatalf("%s: %v", operation, s.began.Error)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	if s.Conn, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = s.SetReadDeadline(time.Now().Add(patience))
	t.Cleanup(s.close)
	return s
}

// close ends the call.
func (s *stream) close() {
	s.j.abort(s.id)
	s.j.forget(s.id)
	_ = s.Conn.Close()
}

// ended waits for the end of the answer after its last byte.
func (s *stream) ended(t testing.TB) {
	t.Helper()
	if a := receiveAnswer(t, s.j, "the stream", s.more); a.Error != nil {
		t.Fatalf("the stream ended with %v", a.Error)
	}
}
