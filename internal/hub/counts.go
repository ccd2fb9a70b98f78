package hub

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/signal"
)

// counts are the hub's measurements, found beforehand: looking one up by its labels costs
// more than counting.
type counts struct {
	connections  [2]prometheus.Gauge // by role
	masters      prometheus.Gauge
	messages     [signal.ReconnectICE + 1][len(fates)]prometheus.Counter
	endings      [2]map[Reason]prometheus.Counter
	waiting      prometheus.Gauge
	waitingBytes prometheus.Gauge
}

func newCounts(s *metrics.Set) *counts {
	c := &counts{masters: s.SignalingMasters, waiting: s.SignalingWaiting, waitingBytes: s.SignalingWaitingBytes}
	for t := range c.messages {
		name := signal.Type(t).String()
		if name == "" {
			name = "unknown"
		}
		for f := range c.messages[t] {
			c.messages[t][f] = s.SignalingMessages.WithLabelValues(name, fates[f])
		}
	}
	for role := range c.endings {
		c.connections[role] = s.SignalingConnections.WithLabelValues(Role(role).String())
		c.endings[role] = map[Reason]prometheus.Counter{}
		for _, why := range reasons {
			c.endings[role][why] = s.SignalingEndings.WithLabelValues(Role(role).String(), string(why))
		}
	}
	return c
}

// joined counts a connection that comes or goes.
func (c *counts) joined(r Role, n float64) {
	c.connections[r].Add(n)
	if r == Master {
		c.masters.Add(n)
	}
}

func (c *counts) message(t signal.Type, f fate) { c.messages[t][f].Inc() }

func (c *counts) ending(r Role, why Reason) { c.endings[r][why].Inc() }

func (c *counts) waits(n, bytes int) {
	c.waiting.Add(float64(n))
	c.waitingBytes.Add(float64(bytes))
}
