package fault

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// sequence is what befalls the fragments of a session, or their acknowledgements of one
// type, one after the other.
type sequence struct {
	rules  []rule
	used   []int
	random *rand.Rand
	n      int
}

func newSequence(rules []rule, random *rand.Rand) *sequence {
	return &sequence{rules: rules, used: make([]int, len(rules)), random: random}
}

// next calls hit for each rule that strikes the next one.
func (s *sequence) next(hit func(r *rule)) {
	s.n++
	for i := range s.rules {
		if s.rules[i].when.strikes(s.random, s.n, s.used[i]) {
			s.used[i]++
			hit(&s.rules[i])
		}
	}
}

// session prepares the sequences of a PutMedia session.
func (c *Call) session(rules []rule, random func(what string) *rand.Rand) {
	var fragments []rule
	acks := map[string][]rule{}
	for _, r := range rules {
		if r.ack != 0 || r.end != 0 {
			fragments = append(fragments, r)
		}
		if r.withhold != "" {
			acks[r.withhold] = append(acks[r.withhold], rule{when: r.when, withhold: r.withhold})
		}
		if r.delay != nil {
			acks[r.delayed] = append(acks[r.delayed], rule{when: r.when, delay: r.delay})
		}
	}
	if len(fragments) > 0 {
		c.fragments = newSequence(fragments, random("fragments"))
	}
	c.acks = map[string]*sequence{}
	for event, rules := range acks {
		c.acks[event] = newSequence(rules, random(event))
	}
}

// Session reports whether anything befalls the fragments of the session.
func (c *Call) Session() bool { return c != nil && (c.fragments != nil || len(c.acks) > 0) }

// Fragment is called for each whole fragment of the session, in their order. It returns
// the code of the ERROR that the fragment fails with, and that of one which ends the
// session behind it; 0 = none.
func (c *Call) Fragment() (fails, ends int) {
	if c == nil || c.fragments == nil {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fragments.next(func(r *rule) {
		if r.ack != 0 && fails == 0 {
			fails = r.ack
			c.note(fmt.Sprintf("ack=%d", fails))
		}
		if r.end != 0 && ends == 0 {
			ends = r.end
			c.note(fmt.Sprintf("end=%d", ends))
		}
	})
	return fails, ends
}

// Ack is called before each acknowledgement of the session is written, in their order.
// It says whether the acknowledgement is lost, and how long it waits, with all behind
// it.
func (c *Call) Ack(event string) (lost bool, late time.Duration) {
	if c == nil || c.acks[event] == nil {
		return false, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.acks[event]
	s.next(func(r *rule) {
		if r.delay != nil {
			late += r.delay.pick(s.random)
			c.note("delay=" + event)
			return
		}
		lost = true
		c.note("withhold=" + event)
	})
	return lost, late
}
