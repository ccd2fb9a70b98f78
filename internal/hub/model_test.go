package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/signal"
)

// model is a channel as section 5 of docs/design/signaling.md tells it, in the plainest
// words: no goroutines, no bounds on work. Time only passes when it is told.
type model struct {
	now   time.Duration
	ttl   time.Duration
	count int
	here  map[string]*modelConn
	mail  map[[2]string][]modelMessage // by sender and recipient
}

type modelMessage struct {
	number   int
	kind     signal.Type
	from, to string
	die      time.Duration
}

// modelConn is a connection. What is begun is in the middle of being written.
type modelConn struct {
	name    string
	asleep  bool
	begun   *modelMessage
	begunAt time.Duration
	outbox  []modelMessage
	got     []string
	reason  Reason
}

func (m modelMessage) text() string {
	sender := ""
	if m.from != "master" {
		sender = m.from
	}
	return string(signal.AppendDelivery(nil, m.kind, sender, fmt.Sprintf("%04d", m.number)))
}

// from is how many messages of a sender are in the outbox.
func (c *modelConn) from(sender string) (n int) {
	for _, msg := range c.outbox {
		if msg.from == sender {
			n++
		}
	}
	return n
}

// write gives the client what it takes.
func (m *model) write(c *modelConn) {
	for c.begun == nil {
		if len(c.outbox) == 0 {
			m.fetch(c)
		}
		if len(c.outbox) == 0 {
			return
		}
		next := c.outbox[0]
		c.outbox = c.outbox[1:]
		if next.die <= m.now {
			continue
		}
		if c.asleep {
			c.begun, c.begunAt = &next, m.now
			return
		}
		c.got = append(c.got, next.text())
	}
}

func (m *model) wake(c *modelConn) {
	c.asleep = false
	if c.begun != nil {
		c.got = append(c.got, c.begun.text())
		c.begun = nil
	}
	m.write(c)
}

func (m *model) send(kind signal.Type, from, to string) {
	m.count++
	msg := modelMessage{m.count, kind, from, to, m.now + m.ttl}
	c := m.here[to]
	switch {
	case c == nil || len(m.mail[[2]string{from, to}]) > 0:
		m.keep(msg)
	case c.from(from) == 128:
		m.keep(msg) // one sender has half of an outbox
	case len(c.outbox) == 256:
		m.end(to, Slow)
		m.keep(msg)
	default:
		c.outbox = append(c.outbox, msg)
		m.write(c)
	}
}

// keep puts a message into the mailbox of its pair.
func (m *model) keep(msg modelMessage) {
	pair := [2]string{msg.from, msg.to}
	var stay []modelMessage
	candidates, after := 0, false
	for _, other := range m.mail[pair] {
		switch {
		case other.kind == signal.Candidate && !after:
			candidates++
			stay = append(stay, other)
		case other.kind == signal.Candidate:
		case other.kind == msg.kind:
			after = true
		default:
			stay = append(stay, other)
		}
	}
	if msg.kind == signal.Candidate && candidates == 128 {
		oldest := slices.IndexFunc(stay, func(o modelMessage) bool { return o.kind == signal.Candidate })
		stay = slices.Delete(stay, oldest, oldest+1)
	}
	m.mail[pair] = append(stay, msg)
}

// end ends a connection: what nobody began to write goes back to its place.
func (m *model) end(name string, why Reason) {
	c := m.here[name]
	c.reason = why
	delete(m.here, name)
	back := slices.Clone(c.outbox)
	for pair, waits := range m.mail {
		if pair[1] == name {
			back = append(back, waits...)
			delete(m.mail, pair)
		}
	}
	slices.SortFunc(back, func(a, b modelMessage) int { return cmp.Compare(a.number, b.number) })
	for _, msg := range back {
		if msg.die > m.now {
			m.keep(msg)
		}
	}
}

func (m *model) join(name string) {
	if m.here[name] != nil {
		m.end(name, Replaced)
	}
	c := &modelConn{name: name}
	m.here[name] = c
	m.write(c)
}

// fetch takes from the mailboxes what waits for a client, in the order in which it came.
func (m *model) fetch(c *modelConn) {
	for pair, waits := range m.mail {
		if pair[1] == c.name {
			c.outbox = append(c.outbox, waits...)
			delete(m.mail, pair)
		}
	}
	slices.SortFunc(c.outbox, func(a, b modelMessage) int { return cmp.Compare(a.number, b.number) })
}

// pass lets time pass: writes that do not end in 10 s drop their connections.
func (m *model) pass(d time.Duration) {
	until := m.now + d
	for {
		first := ""
		for name, c := range m.here {
			if c.begun != nil && c.begunAt+10*time.Second <= until && (first == "" || c.begunAt < m.here[first].begunAt) {
				first = name
			}
		}
		if first == "" {
			break
		}
		m.now = m.here[first].begunAt + 10*time.Second
		m.end(first, Slow)
	}
	m.now = until
	for pair, waits := range m.mail {
		m.mail[pair] = slices.DeleteFunc(waits, func(msg modelMessage) bool { return msg.die <= m.now })
	}
}

func (m *model) waiting() (n int) {
	for _, waits := range m.mail {
		n += len(waits)
	}
	return n
}

// match plays the same in the hub and in the model.
type match struct {
	t     *testing.T
	r     *rand.Rand
	hub   *Hub
	model *model
	conns map[string]*pairOfConns
	all   []*pairOfConns
	story []string
}

// pairOfConns is one connection in both.
type pairOfConns struct {
	name  string
	model *modelConn
	conn  *fakeConn
	ended <-chan Ending
}

// TestRandomConversations: whatever happens, everybody gets what the model says, in its
// order, and ends for its reason.
func TestRandomConversations(t *testing.T) {
	for seed := range uint64(2000) {
		ok := t.Run("", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playMatch(t, seed) })
		})
		if !ok {
			t.Fatalf("seed %d", seed)
		}
	}
}

func playMatch(t *testing.T, seed uint64) {
	h, stop := start(t, Options{})
	g := &match{t: t, r: rand.New(rand.NewPCG(seed, 7)), hub: h, conns: map[string]*pairOfConns{},
		model: &model{ttl: garden.TTL, here: map[string]*modelConn{}, mail: map[[2]string][]modelMessage{}}}
	for range 60 {
		g.step()
		synctest.Wait()
		if !g.compare() {
			t.Errorf("after:\n%s", strings.Join(g.story, "\n"))
			break
		}
	}
	h.Deleted(garden.ID)
	stop()
	for _, p := range g.all {
		if len(p.ended) == 0 && p.model.reason == "" {
			t.Errorf("%s did not end", p.name)
		}
	}
}

var names = []string{"master", "anna", "ben", "carl"}

func (g *match) step() {
	name := names[g.r.IntN(len(names))]
	p := g.conns[name]
	switch n := g.r.IntN(100); {
	case n < 18 || p == nil && n < 85:
		g.tell("%s connects", name)
		g.join(name)
	case n < 70 && p != nil:
		g.send(p)
	case n < 76 && p != nil:
		g.tell("%s leaves", name)
		g.leave(p)
	case n < 84 && p != nil:
		g.tell("%s sleeps", name)
		p.conn.sleep()
		p.model.asleep = true
	case n < 90 && p != nil:
		g.tell("%s wakes", name)
		p.conn.wake()
		g.model.wake(p.model)
	case n < 93:
		g.model.ttl = time.Duration(5+g.r.IntN(30)) * time.Second
		g.tell("the TTL is %v", g.model.ttl)
		channel := garden
		channel.TTL = g.model.ttl
		g.hub.Changed(channel)
	default:
		d := time.Duration(g.r.IntN(15_000)) * time.Millisecond
		g.tell("%v pass", d)
		<-time.After(d)
		synctest.Wait()
		g.model.pass(d)
	}
}

func (g *match) tell(format string, args ...any) {
	g.story = append(g.story, fmt.Sprintf(format, args...))
}

func (g *match) join(name string) {
	m := Member{Channel: garden, Role: Viewer, ClientID: name}
	m.Channel.TTL = g.model.ttl
	if name == "master" {
		m.Role = Master
	}
	seat, err := g.hub.Reserve(m)
	if err != nil {
		g.t.Fatal(err)
	}
	ended := make(chan Ending, 1)
	p := &pairOfConns{name: name, conn: newFakeConn(), ended: ended}
	go func() { ended <- seat.Serve(context.Background(), p.conn) }()
	synctest.Wait()
	g.model.join(name)
	p.model = g.model.here[name]
	g.conns[name], g.all = p, append(g.all, p)
}

func (g *match) leave(p *pairOfConns) {
	if g.r.IntN(2) == 0 {
		p.conn.leave <- ErrLeft
		g.model.end(p.name, Left)
	} else {
		p.conn.leave <- errors.New("connection reset by peer")
		g.model.end(p.name, Lost)
	}
}

// send sends a message, sometimes as many as an outbox holds and more.
func (g *match) send(p *pairOfConns) {
	kind, times := signal.Offer+signal.Type(g.r.IntN(3)), 1
	if g.r.IntN(120) == 0 {
		times = 125 + g.r.IntN(140)
	}
	to := "master"
	if p.name == "master" {
		to = names[1+g.r.IntN(3)]
	}
	g.tell("%s sends %v to %s, %d times", p.name, kind, to, times)
	for range times {
		g.model.send(kind, p.name, to)
		in := signal.Message{Action: kind, Payload: fmt.Sprintf("%04d", g.model.count), Recipient: to}
		p.conn.toHub <- signal.Append(nil, in)
		synctest.Wait()
	}
}

// compare compares what everybody got, and forgets who has ended.
func (g *match) compare() bool {
	ok := true
	for _, p := range g.all {
		got := p.conn.take()
		if !slices.Equal(got, p.model.got) {
			g.t.Errorf("%s got\n%s\nwant\n%s", p.name, strings.Join(got, "\n"), strings.Join(p.model.got, "\n"))
			ok = false
		}
		p.model.got = nil
		if p.model.reason == "" {
			continue
		}
		select {
		case e := <-p.ended:
			if e.Reason != p.model.reason {
				g.t.Errorf("%s ended: %s, want %s", p.name, e.Reason, p.model.reason)
				ok = false
			}
		default:
			g.t.Errorf("%s has not ended: %s", p.name, p.model.reason)
			ok = false
		}
	}
	g.all = slices.DeleteFunc(g.all, func(p *pairOfConns) bool { return p.model.reason != "" })
	maps.DeleteFunc(g.conns, func(_ string, p *pairOfConns) bool { return p.model.reason != "" })
	waiting := 0
	for _, p := range g.hub.Presence(garden.Account, "") {
		waiting = p.Waiting
	}
	if want := g.model.waiting(); waiting != want {
		g.t.Errorf("%d messages wait, %d should", waiting, want)
		ok = false
	}
	return ok
}
