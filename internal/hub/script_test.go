package hub

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/signal"
)

// TestConversations plays the conversations of testdata, one file for each theme of
// docs/design/signaling.md, and compares what everybody gets. With -rewrite it writes the
// files anew. The commands are the methods of script below.
func TestConversations(t *testing.T) {
	datadriven.Walk(t, "testdata/conversations", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			s := newScript(t)
			datadriven.RunTest(t, path, s.play)
			s.end()
		})
	})
}

// script is a conversation on one channel.
type script struct {
	t       *testing.T
	hub     *Hub
	metrics *metrics.Set
	log     *bytes.Buffer
	stop    func()
	began   time.Time

	channel kvs.Channel
	limits  Limits
	conns   map[string]*talker
	seen    uint64 // the last event

	mu   sync.Mutex // over said
	said []string   // what happened besides
}

// talker is somebody in the conversation.
type talker struct {
	seat   *Seat
	conn   *fakeConn
	revoke context.CancelCauseFunc
	ended  chan Ending
}

func newScript(t *testing.T) *script {
	s := &script{t: t, metrics: metrics.New(), log: &bytes.Buffer{}, channel: garden, conns: map[string]*talker{}, began: time.Now()}
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Value.Kind() == slog.KindString && a.Value.String() == "" {
			return slog.Attr{}
		}
		return a
	}}
	s.hub, s.stop = start(t, Options{Metrics: s.metrics, Logger: slog.New(slog.NewTextHandler(s.log, plain))})
	synctest.Wait()
	_, s.seen, _ = s.hub.Events(t.Context(), garden.Account, "", 0)
	return s
}

func (s *script) end() {
	s.stop()
	for _, c := range s.conns {
		if c.conn != nil {
			<-c.ended
		}
	}
}

// play does one command and returns what came of it.
func (s *script) play(t *testing.T, d *datadriven.TestData) string {
	var out string
	switch d.Cmd {
	case "offer", "answer", "candidate":
		s.message(d)
	case "send":
		s.send(d)
	default:
		command, ok := commands[d.Cmd]
		if !ok {
			t.Fatalf("%s: no command %s", d.Pos, d.Cmd)
		}
		out = command(s, d)
	}
	synctest.Wait()
	out += s.observed()
	if out == "" {
		return "nothing\n"
	}
	return out
}

// observed is what the members got since the last time, and how they ended.
func (s *script) observed() string {
	var out strings.Builder
	s.mu.Lock()
	for _, said := range s.said {
		fmt.Fprintln(&out, said)
	}
	s.said = nil
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.conns)) {
		c := s.conns[name]
		if c.conn == nil {
			continue
		}
		for _, text := range c.conn.take() {
			fmt.Fprintf(&out, "%s <- %s\n", name, shorter(text))
		}
		select {
		case e := <-c.ended:
			fmt.Fprintf(&out, "%s ended: %s, close frame %d %q\n", name, e.Reason, c.conn.code, c.conn.reason)
			delete(s.conns, name)
		default:
		}
	}
	return out.String()
}

var long = regexp.MustCompile(`A{100,}`)

// shorter says how many As there are instead of showing them.
func shorter(text string) string {
	return long.ReplaceAllStringFunc(text, func(as string) string { return fmt.Sprintf("<%d A>", len(as)) })
}

// argument returns an argument of a command, or what it is if it is not given.
func argument(d *datadriven.TestData, name, otherwise string) string {
	if i := slices.IndexFunc(d.CmdArgs, func(a datadriven.CmdArg) bool { return a.Key == name }); i >= 0 && len(d.CmdArgs[i].Vals) > 0 {
		return d.CmdArgs[i].Vals[0]
	}
	return otherwise
}

// who is the first argument.
func who(d *datadriven.TestData) string { return d.CmdArgs[0].Key }

func (s *script) span(d *datadriven.TestData, name string) time.Duration {
	v, err := time.ParseDuration(argument(d, name, "0s"))
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	return v
}

func number(d *datadriven.TestData, name string, otherwise int) int {
	n, err := strconv.Atoi(argument(d, name, strconv.Itoa(otherwise)))
	if err != nil {
		panic(err)
	}
	return n
}

// message sends one or more good messages: offer WHO [to=ID] [p=BASE64] [c=CORRELATION] [n=TIMES]
func (s *script) message(d *datadriven.TestData) {
	kind := map[string]signal.Type{"offer": signal.Offer, "answer": signal.Answer, "candidate": signal.Candidate}[d.Cmd]
	n := number(d, "n", 1)
	for i := range n {
		m := signal.Message{Action: kind, Recipient: argument(d, "to", ""), CorrelationID: argument(d, "c", ""), Payload: argument(d, "p", "e30=")}
		if n > 1 {
			m.Payload = fmt.Sprintf("%04d", i)
		}
		s.hand(d, string(signal.Append(nil, m)))
	}
}

// send sends the texts below it, one a line, from a member.
func (s *script) send(d *datadriven.TestData) {
	for line := range strings.Lines(d.Input) {
		line = strings.TrimSuffix(line, "\n")
		if text, err := strconv.Unquote(line); err == nil {
			line = text
		}
		for range number(d, "n", 1) {
			s.hand(d, strings.ReplaceAll(line, "<AA>", strings.Repeat("A", number(d, "size", 0))))
		}
	}
}

func (s *script) hand(d *datadriven.TestData, text string) {
	c := s.conns[who(d)]
	if c == nil {
		d.Fatalf(s.t, "%s is not there", who(d))
	}
	select {
	case c.conn.toHub <- []byte(text):
	case <-c.conn.closed:
	}
}

// page is the metrics of signaling that are not 0.
func (s *script) page() string {
	w := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var out strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if name, ok := strings.CutPrefix(line, "millrace_signaling_"); ok && !strings.HasSuffix(line, " 0\n") {
			out.WriteString(name)
		}
	}
	return out.String()
}
