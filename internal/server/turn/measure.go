package turn

import (
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/relay"
)

// Measure registers what the relay counts, with and without a relay.
func (t *Turn) Measure(m *metrics.Set) {
	total := func(name, help string, read func(relay.Totals) uint64) {
		m.Total(name, help, func() float64 { return float64(read(t.totals())) })
	}
	m.Sums("millrace_turn_allocations", metrics.Gauge, "Relay addresses lent to clients now, by the transport of the client.", "transport", func() map[string]float64 { return labelled(t.totals().Live) })
	m.Sums("millrace_turn_begun_total", metrics.Counter, "Relay addresses lent to clients, by the transport of the client.", "transport", func() map[string]float64 { return labelled(t.totals().Begun) })
	m.Sums("millrace_turn_endings_total", metrics.Counter, "Relay addresses taken back, by the reason that the log has, too.", "reason", func() map[string]float64 { return labelled(t.totals().Ends) })
	m.Sums("millrace_turn_bytes_total", metrics.Counter, "Bytes relayed: out from clients to peers, in from peers to clients.", "direction", func() map[string]float64 {
		n := t.totals()
		return map[string]float64{"out": float64(n.BytesOut), "in": float64(n.BytesIn)}
	})
	m.Sums("millrace_turn_packets_total", metrics.Counter, "Packets relayed, by the same directions.", "direction", func() map[string]float64 {
		n := t.totals()
		return map[string]float64{"out": float64(n.PacketsOut), "in": float64(n.PacketsIn)}
	})
	m.Sums("millrace_turn_dropped_total", metrics.Counter, "Packets not relayed: bandwidth (above relay.bandwidth), no permission, too long, slow (the client does not read, or the system has no room for it), unsent (the system refused it, or has no room).", "reason", func() map[string]float64 { return labelled(t.totals().Dropped) })
	m.Sums("millrace_turn_refusals_total", metrics.Counter, "STUN and TURN requests refused, by code; 401 and 438 begin every call.", "code", func() map[string]float64 { return labelled(t.totals().Refusals) })
	m.Sums("millrace_turn_unauthorized_total", metrics.Counter, "Those with code 401, by reason: no credentials (each call begins so), unknown user, wrong password, expired, revoked (their channel was deleted).", "reason", func() map[string]float64 { return labelled(t.totals().Denied) })
	total("millrace_turn_connected_total", "Minutes, begun ones counted, in which a relay address carried something (TurnConnectedMinutes).", func(n relay.Totals) uint64 { return n.Minutes })
	total("millrace_turn_withheld_total", "Answers not given to sources that ask too often without credentials.", func(n relay.Totals) uint64 { return n.Withheld })
	total("millrace_turn_turned_away_total", "Connections refused because too many have no relay address.", func(n relay.Totals) uint64 { return n.Turned })
	total("millrace_turn_malformed_total", "Packets to the relay that are neither STUN nor ChannelData.", func(n relay.Totals) uint64 { return n.Malformed })
}

func labelled[K ~string, N int | uint64](counts map[K]N) map[string]float64 {
	all := make(map[string]float64, len(counts))
	for k, n := range counts {
		all[string(k)] = float64(n)
	}
	return all
}
