package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/internal/kvs"
)

// commands are what a conversation can do besides sending messages.
var commands = map[string]func(*script, *datadriven.TestData) string{
	"limits":   (*script).setLimits,
	"ttl":      (*script).setTTL,
	"reserve":  (*script).reserve,
	"serve":    (*script).serve,
	"release":  (*script).release,
	"connect":  (*script).connect,
	"leave":    (*script).leave,
	"sleep":    do(func(c *talker) { c.conn.sleep() }),
	"wake":     do(func(c *talker) { c.conn.wake() }),
	"deaf":     do(func(c *talker) { c.conn.mu.Lock(); c.conn.deaf = true; c.conn.mu.Unlock() }),
	"heard":    do(func(c *talker) { c.seat.Heard() }),
	"pings":    (*script).pings,
	"broken":   do(func(c *talker) { c.conn.mu.Lock(); c.conn.broken = errors.New("connection reset"); c.conn.mu.Unlock() }),
	"revoke":   (*script).revoke,
	"wait":     (*script).wait,
	"delete":   func(s *script, _ *datadriven.TestData) string { s.hub.Deleted(garden.ID); return "" },
	"renew":    func(s *script, _ *datadriven.TestData) string { s.hub.RenewICE(); return "" },
	"stop":     func(s *script, d *datadriven.TestData) string { s.hub.Stop(s.span(d, "grace")); return "" },
	"alexa":    (*script).alexa,
	"presence": (*script).presence,
	"events":   (*script).events,
	"metrics":  func(s *script, _ *datadriven.TestData) string { return s.page() },
	"log":      (*script).readLog,
	"rooms":    (*script).rooms,
}

// do is a command that does something to one member.
func do(what func(*talker)) func(*script, *datadriven.TestData) string {
	return func(s *script, d *datadriven.TestData) string {
		if c := s.conns[who(d)]; c != nil {
			what(c)
			return ""
		}
		return who(d) + " is not there\n"
	}
}

// setLimits holds for who connects later.
func (s *script) setLimits(d *datadriven.TestData) string {
	s.limits = Limits{
		Viewers:   number(d, "viewers", 0),
		OfferRate: float64(number(d, "offers", 0)), AnswerRate: float64(number(d, "answers", 0)), CandidateRate: float64(number(d, "candidates", 0)),
		OfferBytes: int64(number(d, "offer-bytes", 0)), AnswerBytes: int64(number(d, "answer-bytes", 0)), CandidateBytes: int64(number(d, "candidate-bytes", 0)),
		Age: s.span(d, "age"), Idle: s.span(d, "idle"), GoAway: s.span(d, "go-away"),
	}
	return ""
}

func (s *script) setTTL(d *datadriven.TestData) string {
	ttl, err := time.ParseDuration(who(d))
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	s.channel.TTL = ttl
	s.hub.Changed(s.channel)
	return ""
}

// reserve takes a seat: reserve NAME [id=CLIENT] [unwarned]. NAME is what the script calls the connection;
// those whose name begins with master are masters.
func (s *script) reserve(d *datadriven.TestData) string {
	m := Member{Channel: s.channel, Client: "192.0.2.1", Limits: s.limits, Unwarned: d.HasArg("unwarned")}
	if !strings.HasPrefix(who(d), "master") {
		m.Role, m.ClientID = Viewer, argument(d, "id", who(d))
	}
	seat, err := s.hub.Reserve(m)
	if err != nil {
		return fmt.Sprintf("refused (%s): %v\n", kindNames[kvs.KindOf(err)], err)
	}
	s.conns[who(d)] = &talker{seat: seat}
	return ""
}

var kindNames = map[kvs.Kind]string{kvs.TooManyRequests: "TooManyRequests", kvs.Unavailable: "Unavailable", kvs.NotFound: "NotFound",
	kvs.InvalidArgument: "InvalidArgument", kvs.Internal: "Internal"}

func (s *script) serve(d *datadriven.TestData) string {
	c := s.conns[who(d)]
	ctx, revoke := context.WithCancelCause(context.Background())
	c.conn, c.revoke, c.ended = newFakeConn(), revoke, make(chan Ending, 1)
	go func() {
		defer revoke(nil)
		c.ended <- c.seat.Serve(ctx, c.conn)
	}()
	return ""
}

func (s *script) release(d *datadriven.TestData) string {
	s.conns[who(d)].seat.Release()
	delete(s.conns, who(d))
	return ""
}

func (s *script) connect(d *datadriven.TestData) string {
	if refused := s.reserve(d); refused != "" {
		return refused
	}
	if argument(d, "asleep", "") != "" {
		defer func() { s.conns[who(d)].conn.sleep() }()
	}
	return s.serve(d)
}

// leave ends a connection from outside: leave NAME [how=left].
func (s *script) leave(d *datadriven.TestData) string {
	c := s.conns[who(d)]
	if c == nil {
		return who(d) + " is not there\n"
	}
	c.conn.leave <- map[string]error{"left": ErrLeft, "lost": errors.New("connection reset by peer"), "binary": ErrBinary,
		"too-long": ErrTooLong, "protocol": ErrProtocol}[argument(d, "how", "left")]
	return ""
}

// revoke ends the context of a connection: revoke NAME [why=denied].
func (s *script) revoke(d *datadriven.TestData) string {
	why := map[string]error{"denied": kvs.Errorf(kvs.Denied, "no"), "expired": kvs.Errorf(kvs.Expired, "old"), "gone": kvs.Errorf(kvs.NotFound, "gone"),
		"server": context.Canceled}
	s.conns[who(d)].revoke(why[argument(d, "why", "denied")])
	return ""
}

func (s *script) pings(d *datadriven.TestData) string {
	c := s.conns[who(d)].conn
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.pings
	c.pings = 0
	return fmt.Sprintf("%d pings\n", n)
}

// wait lets time pass, a moment less or more than what is asked for if it ends in - or +.
func (s *script) wait(d *datadriven.TestData) string {
	text := who(d)
	moment := map[byte]time.Duration{'-': -time.Millisecond, '+': time.Millisecond}[text[len(text)-1]]
	span, err := time.ParseDuration(strings.TrimRight(text, "-+"))
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	<-time.After(span + moment)
	return ""
}

// alexa makes an Alexa offer: alexa NAME [p=BASE64] [give-up=SPAN].
func (s *script) alexa(d *datadriven.TestData) string {
	name, payload, patience := who(d), argument(d, "p", "e30="), s.span(d, "give-up")
	ctx, cancel := context.WithCancel(s.t.Context())
	if patience > 0 {
		ctx, cancel = context.WithTimeout(s.t.Context(), patience)
	}
	go func() {
		defer cancel()
		answer, err := s.hub.Offer(ctx, s.channel, name, payload)
		what := fmt.Sprintf("alexa %s %s: answer %s", name, payload, answer)
		if err != nil {
			what = fmt.Sprintf("alexa %s %s: %s: %v", name, payload, kindNames[kvs.KindOf(err)], err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.said = append(s.said, what)
	}()
	synctest.Wait()
	return ""
}

func (s *script) presence(d *datadriven.TestData) string {
	var out strings.Builder
	for _, p := range s.hub.Presence(garden.Account, "") {
		fmt.Fprintf(&out, "%s: %d messages wait\n", p.Channel.Name, p.Waiting)
		if p.Master != nil {
			fmt.Fprintf(&out, "  master since %v\n", p.Master.Since.Sub(s.began))
		}
		for _, v := range p.Viewers {
			fmt.Fprintf(&out, "  %s since %v from %s\n", v.ClientID, v.Since.Sub(s.began), v.Address)
		}
	}
	return out.String()
}

func (s *script) events(d *datadriven.TestData) string {
	before := time.Now()
	all, last, err := s.hub.Events(s.t.Context(), garden.Account, argument(d, "channel", ""), s.seen)
	var out strings.Builder
	for _, e := range all {
		what := "came"
		if e.Reason != "" {
			what = "went: " + string(e.Reason)
		}
		fmt.Fprintf(&out, "+%d %v %s %s %s\n", e.Number-s.seen, e.Time.Sub(s.began), e.Role, e.ClientID, what)
	}
	s.seen = last
	if waited := time.Since(before); waited > 0 || err != nil {
		fmt.Fprintf(&out, "after %v, %v\n", waited, err)
	}
	return out.String()
}

func (s *script) readLog(*datadriven.TestData) string {
	synctest.Wait()
	defer s.log.Reset()
	lines := slices.Sorted(strings.Lines(s.log.String())) // connections end side by side
	return strings.Join(lines, "")
}

func (s *script) rooms(*datadriven.TestData) string {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return fmt.Sprintf("%d channels in memory, %d bytes held\n", len(s.hub.rooms), s.hub.held.Load())
}
