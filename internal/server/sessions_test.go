package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// What comes in goes out, over both listeners.
func TestVideoInAndOut(t *testing.T) {
	p := newPlant(t, nil)
	for _, listener := range []string{"https", "http"} {
		p.Client = p.clientOf(listener)
		p.create(listener, 24)
		v := p.get(listener, "NOW")
		u := p.put(listener)
		var numbers []string
		for i := range 5 {
			u.write(clusterOf(i))
			numbers = append(numbers, u.until(client.Buffering).Number)
			if n, err := v.next("FRAGMENT_NUMBER"); n != numbers[i] || err != nil {
				t.Errorf("%s: the consumer got %s, %v; want %s while it arrives", listener, n, err, numbers[i])
			}
		}
		_ = u.w.Close()
		acks, err := u.rest()
		if last := acks[len(acks)-1]; err != nil || last.Type != client.Persisted || last.Number != numbers[4] {
			t.Errorf("%s: ended with %+v, %v", listener, last, err)
		}
		if got := p.list(listener); !slices.Equal(got, numbers) {
			t.Errorf("%s: listed %v, want %v", listener, got, numbers)
		}
	}
}

func TestAStreamDeletedUnderItsSessions(t *testing.T) {
	for _, sending := range []bool{false, true} {
		p := newPlant(t, nil)
		arn := p.create("yard", 24)
		u := p.put("yard")
		u.write(clusterOf(0), endOfFragment)
		u.until(client.Persisted)
		v := p.get("yard", "EARLIEST")
		if _, err := v.next("CONTINUATION_TOKEN"); err != nil {
			t.Fatal(err)
		}
		u.write(clusterOf(1))
		u.until(client.Buffering)
		stop := make(chan struct{})
		var producer sync.WaitGroup
		if sending { // a producer that does not wait must still read why
			producer.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, _ = u.w.Write(mkv.AppendVoid(nil, 4096))
					}
				}
			})
		}
		p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: &arn}, nil)
		acks, err := u.rest()
		if len(acks) == 0 || acks[len(acks)-1].ErrorID != 4008 || err != nil && !sending {
			t.Errorf("sending %v: the producer got %+v, %v", sending, acks, err)
		}
		// In the middle of an element nothing can be said.
		id, err := v.next("ERROR_ID")
		if (id != "4000" || err != nil) && !sending {
			t.Errorf("the consumer got %s, %v", id, err)
		}
		if _, err := v.next("ERROR_ID"); err == nil {
			t.Error("the consumer's body goes on")
		}
		close(stop)
		_ = u.w.Close()
		_ = u.Close()
		producer.Wait()
		if _, err := p.PutMedia(t.Context(), client.PutMediaRequest{StreamName: "yard", Body: strings.NewReader("x")}); err == nil || !strings.Contains(err.Error(), "ResourceNotFound") {
			t.Errorf("another session: %v", err)
		}
		p.create("yard", 24)
		if got := p.list("yard"); len(got) != 0 {
			t.Errorf("a new stream of that name lists %v", got)
		}
	}
}

// PERSISTED comes from the next fragment on.
func TestRetentionChangedUnderASession(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 0)
	u := p.put("yard")
	u.write(clusterOf(0), endOfFragment)
	u.until(client.Received)
	u.write(clusterOf(1))
	u.until(client.Buffering)
	change := func(operation string) {
		var out wire.DescribeStreamOutput
		p.ask("DescribeStream", &wire.DescribeStreamInput{StreamName: new("yard")}, &out)
		p.ask("UpdateDataRetention", &wire.UpdateDataRetentionInput{StreamName: new("yard"), CurrentVersion: out.StreamInfo.Version,
			Operation: &operation, DataRetentionChangeInHours: new(int64(24))}, nil)
	}
	change("INCREASE_DATA_RETENTION")
	u.write(endOfFragment, clusterOf(2), endOfFragment)
	u.until(client.Persisted) // the one that was under way is kept as well
	number := u.until(client.Persisted).Number
	if got := p.list("yard"); !slices.Contains(got, number) || len(got) != 2 {
		t.Errorf("listed %v", got)
	}
	change("DECREASE_DATA_RETENTION")
	if got := p.list("yard"); len(got) != 0 {
		t.Errorf("without retention %v are listed", got)
	}
	u.write(clusterOf(3), endOfFragment)
	u.until(client.Received)
	_ = u.w.Close()
	if acks, err := u.rest(); len(acks) != 0 || err != nil {
		t.Errorf("then came %+v, %v", acks, err)
	}
}

// The server ends in time with sessions open, and what was received whole is durable.
func TestShutdownUnderSessions(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Shutdown = time.Minute })
	p.create("yard", 24)
	v := p.get("yard", "NOW")
	idle := p.get("yard", "NOW")
	u := p.put("yard")
	u.write(clusterOf(0), endOfFragment, clusterOf(1))
	for range 2 {
		u.until(client.Buffering)
	}
	start := time.Now()
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 50*time.Second { // it waits a minute for sessions that do not end
		t.Errorf("it took %v", d)
	}
	acks, err := u.rest()
	if err != nil || !slices.ContainsFunc(acks, func(a client.Ack) bool { return a.Type == client.Persisted }) {
		t.Errorf("the producer got %+v, %v", acks, err)
	}
	for _, v := range []*view{v, idle} {
		for {
			if _, err := v.next("FRAGMENT_NUMBER"); err != nil {
				break
			}
		}
	}
	again := newPlant(t, func(c *config.Config) { c.Data = p.config.Data })
	if got := again.list("yard"); len(got) != 1 {
		t.Errorf("after the restart %v are listed", got)
	}
}

// request writes the head of a PutMedia call as a client without a library would.
func (p *plant) requestHead(stream string, extra ...string) string {
	p.t.Helper()
	addr := strings.TrimPrefix(p.URL("http"), "http://")
	r, err := http.NewRequest("POST", "http://"+addr+"/putMedia", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("x-amzn-stream-name", stream)
	r.Header.Set("x-amzn-fragment-timecode-type", "ABSOLUTE")
	if err := (sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}, Region: "us-east-1", Service: "kinesisvideo"}).Sign(r, ""); err != nil {
		p.t.Fatal(err)
	}
	head := "POST /putMedia HTTP/1.1\r\nHost: " + addr + "\r\nTransfer-Encoding: chunked\r\n"
	for name, values := range r.Header {
		head += name + ": " + values[0] + "\r\n"
	}
	return head + strings.Join(append(extra, ""), "\r\n") + "\r\n"
}

func (p *plant) dial() net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(p.URL("http"), "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	return c
}

func httpChunk(b []byte) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(b), b) }

// The interim answer goes to those who asked for it, and to nobody else.
func TestContinueOnlyWhenAsked(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	for extra, want := range map[string]string{"": "HTTP/1.1 200 OK", "Expect: 100-continue": "HTTP/1.1 100 Continue"} {
		c := p.dial()
		var lines []string
		if extra != "" {
			lines = append(lines, extra)
		}
		_, _ = io.WriteString(c, p.requestHead("yard", lines...))
		r := bufio.NewReader(c)
		line, err := r.ReadString('\n') // not a byte of the body was sent
		if strings.TrimSpace(line) != want || err != nil {
			t.Errorf("%q: %q, %v", extra, line, err)
		}
		if extra != "" {
			_, _ = r.ReadString('\n')
		}
		if extra == "" {
			_ = c.Close()
			continue
		}
		answer, err := http.ReadResponse(r, nil)
		if err != nil || answer.StatusCode != 200 || !answer.Close || !slices.Equal(answer.TransferEncoding, []string{"chunked"}) {
			t.Errorf("%v, %v", answer, err)
		}
		_, _ = c.Write([]byte("0\r\n\r\n"))
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
}

// A producer that sends everything and leaves has sent it.
func TestAProducerThatDoesNotWait(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	c := p.dial().(*net.TCPConn)
	body := slices.Concat(documentOf(), clusterOf(0), clusterOf(1), clusterOf(2))
	_, _ = c.Write(slices.Concat([]byte(p.requestHead("yard")), httpChunk(body), []byte("0\r\n\r\n")))
	_ = c.CloseWrite()
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	acks, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if n := bytes.Count(acks, []byte("PERSISTED")); n != 3 || err != nil {
		t.Errorf("%d fragments are durable, %v:\n%s", n, err, acks)
	}
}

// What is left of the body of a session that failed never passes for a request.
func TestLeftoverMediaAreNoRequest(t *testing.T) {
	p := newPlant(t, nil)
	p.create("yard", 24)
	c := p.dial()
	smuggled := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	_, _ = c.Write(slices.Concat([]byte(p.requestHead("yard")), httpChunk([]byte("no Matroska")), httpChunk([]byte(smuggled)), []byte("0\r\n\r\n"), []byte(smuggled)))
	got, _ := io.ReadAll(c)
	if n := bytes.Count(got, []byte("HTTP/1.1")); n != 1 || !bytes.Contains(got, []byte(`"ErrorId":4006`)) || bytes.Contains(got, []byte("ok\n")) {
		t.Errorf("%d answers:\n%s", n, got)
	}
}

// Random and broken media in parallel sessions harm nobody else, and nothing stays.
func TestRubbishHarmsNobody(t *testing.T) {
	p := newPlant(t, nil)
	p.create("good", 24)
	p.create("bad", 24)
	good := p.put("good")
	whole := slices.Concat(documentOf(), clusterOf(0), clusterOf(1), clusterOf(2))
	var rubbish sync.WaitGroup
	for seed := range uint64(6) {
		rubbish.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, 3))
			for range 8 {
				b := bytes.Clone(whole)
				switch rnd.IntN(3) {
				case 0:
					b = make([]byte, rnd.IntN(100_000))
					_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
				case 1:
					for range rnd.IntN(20) + 1 {
						b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
					}
				default:
					b = b[:rnd.IntN(len(b))]
				}
				u, err := p.PutMedia(context.Background(), client.PutMediaRequest{StreamName: "bad", Body: bytes.NewReader(b)})
				if err != nil {
					t.Errorf("not accepted: %v", err)
					continue
				}
				for err == nil {
					_, err = u.Next()
				}
				if err != io.EOF {
					t.Errorf("seed %d: the session ended with %v", seed, err)
				}
				_ = u.Close()
			}
		})
	}
	for i := range 20 {
		good.write(clusterOf(i), endOfFragment)
		if a := good.until(client.Persisted); a.Timecode != int64(epoch+1000*i) {
			t.Errorf("fragment %d: %s", i, a.Raw)
		}
	}
	rubbish.Wait()
	_ = good.w.Close()
	if acks, err := good.rest(); len(acks) != 0 || err != nil {
		t.Errorf("in the end %+v, %v", acks, err)
	}
	if got := p.list("good"); len(got) != 20 {
		t.Errorf("%d fragments are listed", len(got))
	}
}

// The bytes of a deleted stream leave the index; ask the archive itself.
func TestDeletedMediaArePurged(t *testing.T) {
	p := newPlant(t, func(c *config.Config) { c.Archive.ExpireEvery = 20 * time.Millisecond })
	arn := p.create("yard", 24)
	u := p.put("yard")
	u.write(clusterOf(0), endOfFragment)
	u.until(client.Persisted)
	before, err := p.archive.Stats(t.Context())
	if err != nil || before.Fragments != 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	yard, err := p.catalog.ByName(t.Context(), config.DevAccount, "yard")
	if err == nil {
		err = p.book.Set(t.Context(), quota.Target{Account: config.DevAccount, Stream: yard.ID}, quota.PutSessions.Name, "7")
	}
	if err != nil {
		t.Fatal(err)
	}
	p.ask("DeleteStream", &wire.DeleteStreamInput{StreamARN: &arn}, nil)
	for deadline := time.After(patience); ; {
		s, err := p.archive.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left, err := p.catalog.Deleted(t.Context()); s.Fragments == 0 && len(left) == 0 && err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("still there: %+v", s)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if n := p.book.View(config.DevAccount, yard.ID).Int(quota.PutSessions); n != 0 {
		t.Errorf("a limit of the stream outlived it: %d", n)
	}
	if files, _ := filepath.Glob(filepath.Join(p.config.Data, "archive", "segments", "*")); len(files) > 0 {
		t.Logf("segment files left: %d", len(files))
	}
}
