// Package fault chooses what goes wrong on a development server, so that tests can see
// how a client bears it.
//
// A [Plan] holds rules such as "GetDataEndpoint:status=500,rate=0.5". [Plan.Call] says
// what befalls the next call of an operation; the doors do it. The choice depends on
// the seed, the operation and the number of the call alone: the same calls meet the
// same faults again, whatever other operations are called between them. Within a
// PutMedia session it depends on the number of the fragment. Plans may be used from any
// number of goroutines, a [Call] by those of its request; a nil one does nothing.
package fault

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Plan is what goes wrong on a server.
type Plan struct {
	seed  uint64
	rules []rule

	mu    sync.Mutex
	calls map[string]uint64 // by operation
	used  map[string]int    // how often each rule struck, by operation and rule
}

// Parse makes a plan of specifications. Without any it is nil.
func Parse(specs []string, seed uint64) (*Plan, error) {
	p := &Plan{seed: seed, calls: map[string]uint64{}, used: map[string]int{}}
	for _, s := range specs {
		r, err := parse(s)
		if err != nil {
			return nil, err
		}
		p.rules = append(p.rules, r)
	}
	if len(p.rules) == 0 {
		return nil, nil
	}
	return p, nil
}

// Lines are the specifications in a file: one a line, without comments.
func Lines(text string) (specs []string) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			specs = append(specs, line)
		}
	}
	return specs
}

// Restart begins the sequence of every operation again.
func (p *Plan) Restart() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.calls)
	clear(p.used)
}

// Call is what befalls one call.
type Call struct {
	Latency time.Duration // to wait before anything else
	Status  int           // to answer with, 0 = by the exception
	Error   string        // exception to answer with, "" = by the status
	Cut     int64         // bytes of the answer after which the connection breaks, -1 = it does not

	mu        sync.Mutex
	fragments *sequence            // which fragments fail
	acks      map[string]*sequence // which acknowledgements are late or lost, by event
	struck    map[string]int
}

// Call says what befalls the next call of an operation, nil = nothing.
func (p *Plan) Call(operation string) *Call {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[operation]++
	n := p.calls[operation]
	c := &Call{Cut: -1, struck: map[string]int{}}
	random := p.random(operation, n)
	var fragments []rule
	for i, r := range p.rules {
		switch {
		case r.operation != "*" && r.operation != operation:
		case r.ofFragments():
			fragments = append(fragments, r)
		default:
			used := fmt.Sprint(operation, "#", i)
			if r.when.strikes(random, int(n), p.used[used]) {
				p.used[used]++
				c.meet(&r, random)
			} else if r.latency != nil {
				random.Uint64() // as many as when it strikes
			}
		}
	}
	if len(fragments) > 0 {
		c.session(fragments, func(what string) *rand.Rand { return p.random(operation+"/"+what, n) })
	}
	if len(fragments) == 0 && len(c.struck) == 0 {
		return nil
	}
	return c
}

// random are the random numbers of the n-th of something.
func (p *Plan) random(what string, n uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	return rand.New(rand.NewPCG(p.seed, h.Sum64()+n*0x9e3779b97f4a7c15))
}

// strikes says whether a rule is for the n-th, from 1; used is how often it was.
func (w when) strikes(random *rand.Rand, n, used int) bool {
	chosen := random.Float64() < w.rate // drawn always, so that rules do not disturb each other
	return chosen && n > w.after && (n-w.after)%w.every == 0 && (w.times == 0 || used < w.times)
}

// pick is a duration of the span.
func (s *span) pick(random *rand.Rand) time.Duration {
	return s.least + time.Duration(random.Uint64()%uint64(s.most-s.least+1))
}

// meet adds what a rule does to a call.
func (c *Call) meet(r *rule, random *rand.Rand) {
	if r.latency != nil {
		c.Latency += r.latency.pick(random)
		c.note("latency=" + c.Latency.Round(time.Millisecond).String())
	}
	if r.status != 0 || r.exception != "" {
		c.Status, c.Error = r.status, r.exception
		c.note(strings.TrimSpace(fmt.Sprintf("answer=%s %s", statusText(r.status), r.exception)))
	}
	if r.cut >= 0 {
		c.Cut = r.cut
		c.note(fmt.Sprintf("cut=%d", r.cut))
	}
}

func statusText(status int) string {
	if status == 0 {
		return ""
	}
	return fmt.Sprint(status)
}

func (c *Call) note(what string) { c.struck[what]++ }

// Fails reports whether the call is answered with an error.
func (c *Call) Fails() bool { return c != nil && (c.Status != 0 || c.Error != "") }

// Summary is what has befallen the call so far, for the log: "latency=80ms ack=4009:2".
func (c *Call) Summary() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(c.struck)) {
		if n := c.struck[what]; n > 1 {
			what = fmt.Sprintf("%s:%d", what, n)
		}
		parts = append(parts, what)
	}
	return strings.Join(parts, " ")
}
