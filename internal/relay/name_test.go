package relay

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/stun"
)

// The log names channels as operators do. A client that allocates and releases in a loop
// costs a line each time, but not a question to the database.
func TestTheLogNamesChannels(t *testing.T) {
	var asked atomic.Int64
	r := start(t, func(o *Options) {
		o.Name = func(kvs.ChannelID) (string, error) { asked.Add(1); return "door", nil }
	})
	c := r.dial(t)
	c.challenge()
	const n = 20
	for range n {
		c.must(stun.Allocate, overIPv4)
		c.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	}
	until(t, "the last one has ended", func() bool { return r.Totals().Ends[Released] == n }) // behind its answer
	other := r.dial(t)
	other.user, other.password, _ = r.Issue(account, 8, "")
	other.allocate(overIPv4)
	r.Close()
	if got := strings.Count(r.log.String(), "channel=door client=anna reason=released"); got != n || asked.Load() != 2 {
		t.Errorf("%d lines and %d questions:\n%s", got, asked.Load(), r.log.String())
	}
	if !strings.Contains(r.log.String(), "channel=door client=\"\" reason=stopping") || r.Totals().Missing != 0 {
		t.Error("the end of the server has no line:", r.log.String())
	}
}
