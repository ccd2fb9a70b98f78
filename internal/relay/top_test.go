package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay/stun"
)

// The fastest come first, of who is asked for, and no more than that.
func TestTop(t *testing.T) {
	r, p := start(t), newPeer(t, loopback)
	for i, who := range []struct {
		account kvs.AccountID
		channel kvs.ChannelID
	}{{account, 7}, {account, 7}, {account, 8}, {"210987654321", 9}} {
		c := r.dial(t)
		c.user, c.password, _ = r.Issue(who.account, who.channel, "")
		c.allocate(overIPv4)
		c.must(stun.CreatePermission, toPeer(p.addr()))
		for range i {
			c.send(indicationTo(p.addr(), "0123456789"))
			p.read()
		}
	}
	r.clock.move(2 * time.Second)
	until(t, "everything is counted", func() bool { return r.Totals().BytesOut == 60 })
	for _, c := range []struct {
		q     Query
		rates []float64
		more  int
	}{
		{Query{}, []float64{15, 10, 5, 0}, 0},
		{Query{Account: account}, []float64{10, 5, 0}, 0},
		{Query{Account: account, Most: 1}, []float64{10}, 2},
		{Query{Account: account, Channel: 7}, []float64{5, 0}, 0},
		{Query{Account: account, Channel: 9}, nil, 0},
	} {
		rows, more := r.Server.Top(c.q)
		if len(rows) != len(c.rates) || more != c.more {
			t.Errorf("%+v: %+v, %d more", c.q, rows, more)
			continue
		}
		for i, row := range rows {
			if row.RateOut != c.rates[i] || row.RateIn != 0 {
				t.Errorf("%+v: row %d: %+v", c.q, i, row)
			}
		}
	}
}

// Rates are those of the last seconds, whatever was before.
func TestRates(t *testing.T) {
	r, p := start(t), newPeer(t, loopback)
	c := r.dial(t)
	c.allocate(overIPv4)
	c.must(stun.CreatePermission, toPeer(p.addr()))
	sent := uint64(0)
	for _, step := range []struct {
		pause time.Duration
		bytes int
		rate  float64
	}{
		{0, 10, 10}, // no second has passed
		{5 * time.Second, 90, 20},
		{5 * time.Second, 0, 9},
		{5 * time.Second, 0, 0},
		{5 * time.Second, 50, 5},
		{2 * time.Second, 70, 10},
	} {
		if step.pause == sampleEvery {
			r.sample()
		}
		r.clock.move(step.pause)
		if step.bytes > 0 {
			c.send(indicationTo(p.addr(), string(make([]byte, step.bytes))))
			p.read()
			sent += uint64(step.bytes)
		}
		until(t, "it is counted", func() bool { return r.Totals().BytesOut == sent })
		if rows := r.Top(); len(rows) != 1 || rows[0].RateOut != step.rate {
			t.Errorf("%+v: %+v", step, rows)
		}
	}
}

// What was carried for a channel outlives its allocations, and ends with the channel.
func TestUsage(t *testing.T) {
	r, p := start(t), newPeer(t, loopback)
	carry := func(channel kvs.ChannelID) *client {
		c := r.dial(t)
		c.user, c.password, _ = r.Issue(account, channel, "")
		c.allocate(overIPv4)
		c.must(stun.CreatePermission, toPeer(p.addr()))
		c.send(indicationTo(p.addr(), "0123456789"))
		p.read()
		return c
	}
	end := func(c *client) { c.must(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) }) }
	end(carry(8))
	carry(7)
	carry(8)
	idle := r.dial(t)
	idle.user, idle.password, _ = r.Issue(account, 9, "")
	idle.allocate(overIPv4)
	end(idle) // carried nothing
	until(t, "everything is counted", func() bool { n := r.Totals(); return n.BytesOut == 30 && n.Ends[Released] == 2 })
	use := func(channel kvs.ChannelID, n uint64, live int) Use {
		return Use{Account: account, Channel: channel, Live: live, Traffic: Traffic{BytesOut: 10 * n, PacketsOut: n, Minutes: n}}
	}
	for _, c := range []struct {
		q     Query
		after kvs.ChannelID
		want  []Use
	}{
		{Query{}, 0, []Use{use(7, 1, 1), use(8, 2, 1)}},
		{Query{Account: account, Most: 1}, 0, []Use{use(7, 1, 1)}},
		{Query{Account: account, Most: 1}, 7, []Use{use(8, 2, 1)}},
		{Query{Account: account, Channel: 8}, 0, []Use{use(8, 2, 1)}},
		{Query{Account: "210987654321"}, 0, nil},
	} {
		if got := r.Usage(c.q, c.after); !slices.Equal(got, c.want) {
			t.Errorf("%+v behind %d: %+v", c.q, c.after, got)
		}
	}
	r.Revoke(8)
	if got := r.Usage(Query{}, 0); !slices.Equal(got, []Use{use(7, 1, 1)}) || len(r.counts.channels) != 0 {
		t.Errorf("after a channel was deleted: %+v, %d kept", got, len(r.counts.channels))
	}
}
