package front

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// echoAddress is the variable that makes this program a bare echo server in a process of
// its own, which the figures of signaling are compared with.
const echoAddress = "MILLRACE_BENCH_ECHO"

func TestMain(m *testing.M) {
	if addr := os.Getenv(echoAddress); addr != "" {
		echo(addr)
	}
	os.Exit(m.Run())
}

// echo sends back what comes over websockets with TLS, as little as can be done.
func echo(addr string) {
	s := &http.Server{Addr: addr, ErrorLog: log.New(os.Stderr, "echo: ", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{selfSigned()}, NextProtos: []string{"http/1.1"}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			for {
				kind, text, err := c.Read(context.Background())
				if err != nil || c.Write(context.Background(), kind, text) != nil {
					return
				}
			}
		})}
	log.Fatal(s.ListenAndServeTLS("", ""))
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// launchEcho starts the bare server.
func launchEcho(b *testing.B) *process {
	b.Helper()
	p := &process{command: exec.Command(os.Args[0]), https: freeAddress(b)}
	p.command.Env, p.command.Stderr = append(os.Environ(), echoAddress+"="+p.https), os.Stderr
	if err := p.command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.command.Process.Kill(); _ = p.command.Wait() })
	for range 1000 {
		if c, err := net.Dial("tcp", p.https); err == nil {
			_ = c.Close()
			return p
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatal("the echo server does not answer")
	return nil
}

// anyServer is a client that believes every server: what is measured is not trust.
var anyServer = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}

// signaler connects members to the channels of a server.
type signaler struct {
	https string
	arns  []string
}

// newSignaler makes channels.
func (p *process) newSignaler(b *testing.B, data string, channels int) *signaler {
	b.Helper()
	c, s := p.client(b, data), &signaler{https: p.https}
	for i := range channels {
		name := fmt.Sprintf("bench-%04d", i)
		var out wire.CreateSignalingChannelOutput
		if err := c.Call(context.Background(), wire.ByName("CreateSignalingChannel"), &wire.CreateSignalingChannelInput{ChannelName: &name}, &out); err != nil {
			b.Fatal(err)
		}
		s.arns = append(s.arns, *out.ChannelARN)
	}
	if t, ok := c.HTTP.Transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
	return s
}

// dial connects a viewer, or the master if id is "".
func (s *signaler) dial(ctx context.Context, channel int, id string) (*websocket.Conn, error) {
	role, q := "master", url.Values{"X-Amz-ChannelARN": {s.arns[channel]}}
	if id != "" {
		role = "viewer"
		q.Set("X-Amz-ClientId", id)
	}
	r, err := http.NewRequest(http.MethodGet, "https://"+s.https+"/channel/"+role+"?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	signer := sigv4.Signer{Region: "us-east-1", Service: "kinesisvideo",
		Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}}
	if err := signer.Presign(r, 5*time.Minute); err != nil {
		return nil, err
	}
	return dial(ctx, "wss"+strings.TrimPrefix(r.URL.String(), "https"))
}

func dial(ctx context.Context, url string) (*websocket.Conn, error) {
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: anyServer})
	return c, err
}

// together does something n times, a few at once, and fails with the first that fails.
func together(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	const atOnce = 16
	var wg sync.WaitGroup
	errs := make([]error, atOnce)
	for w := range atOnce {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += atOnce {
				errs[w] = do(i)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}

// The members of BenchmarkSignalingDelay: channels of one master and some viewers.
const (
	delayMembers = 1000
	delayEach    = 10 // members of a channel
	delayTurns   = 7
	delayTime    = 10 * time.Second
	delayPause   = time.Second // between two messages of a member
)

// candidate is the payload of a message of about the size that descriptions have.
var candidate = strings.Repeat("AAAA", 500)

// BenchmarkSignalingDelay compares how long a message takes through the hub, from a viewer to
// the master or back, with how long an echo takes, both over TLS with 1,000 members that send
// once a second. They take turns, and the median of the turns' ratios of p99 counts.
func BenchmarkSignalingDelay(b *testing.B) {
	const goal = 3.0
	data := b.TempDir()
	p, _ := launchMeasured(b, data)
	s := p.newSignaler(b, data+"/data", delayMembers/delayEach)
	bare := launchEcho(b)
	ours, echoes := make([]*speaker, delayMembers), make([]*speaker, delayMembers)
	together(b, delayMembers, func(i int) (err error) {
		ours[i], err = s.speaker(i)
		return err
	})
	together(b, delayMembers, func(i int) (err error) {
		c, err := dial(context.Background(), "wss://"+bare.https)
		echoes[i] = newSpeaker(c, nil, fmt.Sprintf(`{"messagePayload":"%s","to":%d}`, candidate, i))
		return err
	})
	for i, m := range ours {
		m.answers = ours[m.to]
		echoes[i].answers = echoes[i]
	}
	for b.Loop() {
		var ratios, hubs, bares []float64
		for range delayTurns {
			hub, bare := talk(b, ours), talk(b, echoes)
			hubs, bares, ratios = append(hubs, percentile(hub, 0.99)), append(bares, percentile(bare, 0.99)), append(ratios, percentile(hub, 0.99)/percentile(bare, 0.99))
			b.Logf("p50 and p99: hub %.2f and %.2f ms, echo %.2f and %.2f ms", percentile(hub, 0.5), percentile(hub, 0.99), percentile(bare, 0.5), percentile(bare, 0.99))
		}
		b.ReportMetric(median(hubs), "hub-p99-ms")
		b.ReportMetric(median(bares), "echo-p99-ms")
		b.ReportMetric(slices.Min(ratios), "ratio-min")
		b.ReportMetric(slices.Max(ratios), "ratio-max")
		b.ReportMetric(median(ratios), "ratio")
		if got := median(ratios); got > goal {
			b.Errorf("GOAL MISSED: %.2f times the delay of an echo, at most %v are wanted", got, goal)
		}
	}
}

// speaker is a connection that sends from time to time, and whose messages somebody gets.
type speaker struct {
	conn    *websocket.Conn
	text    []byte
	to      int
	answers *speaker // who gets what is sent
	got     chan time.Time
}

// speaker connects the i-th member: the first of each channel is its master, which sends to
// the viewers in turn.
func (s *signaler) speaker(i int) (*speaker, error) {
	channel, id, to := i/delayEach, "", i-i%delayEach
	text := fmt.Sprintf(`{"action":"ICE_CANDIDATE","messagePayload":"%s"}`, candidate)
	if i%delayEach == 0 {
		to = i + 1
		text = fmt.Sprintf(`{"action":"ICE_CANDIDATE","messagePayload":"%s","recipientClientId":"viewer-%d"}`, candidate, to)
	} else {
		id = fmt.Sprintf("viewer-%d", i)
	}
	c, err := s.dial(context.Background(), channel, id)
	m := newSpeaker(c, nil, text)
	m.to = to
	return m, err
}

func newSpeaker(c *websocket.Conn, answers *speaker, text string) *speaker {
	m := &speaker{conn: c, text: []byte(text), answers: answers, got: make(chan time.Time, 100)}
	if c != nil {
		go m.read()
	}
	return m
}

func (m *speaker) read() {
	for {
		if _, _, err := m.conn.Read(context.Background()); err != nil {
			return
		}
		m.got <- time.Now()
	}
}

// talk lets the members speak in turn, evenly over time, and returns the delays in
// milliseconds, sorted. Members of different channels speak side by side.
func talk(b *testing.B, all []*speaker) []float64 {
	b.Helper()
	var mu sync.Mutex
	var delays []float64
	var wg sync.WaitGroup
	until := time.Now().Add(delayTime)
	for first := 0; first < len(all); first += delayEach {
		wg.Go(func() {
			time.Sleep(delayPause / time.Duration(delayEach) * time.Duration(first) / time.Duration(len(all)))
			tick := time.NewTicker(delayPause / delayEach)
			defer tick.Stop()
			for i := 0; time.Now().Before(until); i++ {
				m := all[first+i%delayEach]
				sent := time.Now()
				if err := m.conn.Write(context.Background(), websocket.MessageText, m.text); err != nil {
					b.Error(err)
					return
				}
				select {
				case at := <-m.answers.got:
					mu.Lock()
					delays = append(delays, ms(at.Sub(sent)))
					mu.Unlock()
				case <-time.After(10 * time.Second):
					b.Error("a message did not come")
					return
				}
				<-tick.C
			}
		})
	}
	wg.Wait()
	slices.Sort(delays)
	return delays
}

// The connections of BenchmarkSignalingMemory: a master and nine viewers on each channel.
const (
	idleConnections = 10_000
	idleEach        = 10
	idleSettle      = 150 * time.Second // the runtime collects garbage after two minutes at the latest
)

// BenchmarkSignalingMemory compares what a server that holds 10,000 idle connections takes
// of memory with what the bare echo server takes that holds as many. Both are processes of
// their own; what counts is by how much their resident memory grew.
func BenchmarkSignalingMemory(b *testing.B) {
	const goal = 1.25
	for b.Loop() {
		data := b.TempDir()
		p, metrics := launchMeasured(b, data)
		s := p.newSignaler(b, data+"/data", idleConnections/idleEach)
		bare := launchEcho(b)
		warmUp(b, s, bare)
		time.Sleep(idleSettle)
		before, bareBefore := p.resident(b), bare.resident(b)
		closeEchoes := hold(b, func(int) (*websocket.Conn, error) { return dial(context.Background(), "wss://"+bare.https) })
		bareHolding := bare.resident(b)
		closeEchoes()
		closeAll := hold(b, func(i int) (*websocket.Conn, error) {
			id := ""
			if i%idleEach > 0 {
				id = fmt.Sprintf("viewer-%d", i)
			}
			return s.dial(context.Background(), i/idleEach, id)
		})
		if n := figure(b, metrics, `millrace_signaling_connections\{role="\w+"\}`); n != idleConnections {
			b.Errorf("%v connections", n)
		}
		holding := p.resident(b)
		ours, theirs := holding-before, bareHolding-bareBefore
		b.Logf("heap in use %.1f MB, stacks %.1f MB, %v goroutines", figure(b, metrics, "go_memstats_heap_inuse_bytes")/1e6, figure(b, metrics, "go_memstats_stack_inuse_bytes")/1e6, figure(b, metrics, "go_goroutines"))
		b.ReportMetric(ours*1e6/1024/idleConnections, "KiB/connection")
		b.ReportMetric(theirs*1e6/1024/idleConnections, "echo-KiB/connection")
		b.ReportMetric(holding, "MB")
		b.ReportMetric(bareHolding, "echo-MB")
		b.ReportMetric(holding/bareHolding, "total-ratio")
		b.ReportMetric(ours/theirs, "ratio")
		if ours/theirs > goal {
			b.Errorf("GOAL MISSED: %.2f times the memory of the echo server, at most %v are wanted", ours/theirs, goal)
		}
		closeAll()
	}
}

// hold opens connections to one server, since there may not be descriptors for those to both,
// and returns when they have been idle for a while.
func hold(b *testing.B, open func(i int) (*websocket.Conn, error)) (closeAll func()) {
	b.Helper()
	all := make([]*websocket.Conn, idleConnections)
	together(b, len(all), func(i int) (err error) {
		all[i], err = open(i)
		return err
	})
	for _, c := range all {
		c.CloseRead(context.Background()) // pings are answered
	}
	time.Sleep(idleSettle)
	return func() {
		for _, c := range all {
			_ = c.CloseNow()
		}
	}
}

// warmUp connects somebody to each server once.
func warmUp(b *testing.B, s *signaler, bare *process) {
	b.Helper()
	for range 10 {
		c, err := s.dial(context.Background(), 0, "")
		if err != nil {
			b.Fatal(err)
		}
		_ = c.CloseNow()
		if c, err = dial(context.Background(), "wss://"+bare.https); err != nil {
			b.Fatal(err)
		}
		_ = c.CloseNow()
	}
}
