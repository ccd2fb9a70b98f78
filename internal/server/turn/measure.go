package turn

import (
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/relay"
)

// Measure registers what the relay counts, with and without a relay. All of it is read
// together: to add up what thousands of allocations have counted takes milliseconds.
func (t *Turn) Measure(m *metrics.Set) {
	type values = map[string]float64
	by := func(label, name string, kind metrics.Type, help string, read func(relay.Totals) values) metrics.Part[relay.Totals] {
		return metrics.Part[relay.Totals]{Metric: metrics.Metric{Name: name, Type: kind, Help: help, Labels: []string{label}}, Read: read}
	}
	total := func(name, help string, read func(relay.Totals) uint64) metrics.Part[relay.Totals] {
		return metrics.Part[relay.Totals]{Metric: metrics.Metric{Name: name, Type: metrics.Counter, Help: help},
			Read: func(n relay.Totals) values { return values{"": float64(read(n))} }}
	}
	metrics.Together(m, t.totals,
		by("transport", "millrace_turn_allocations", metrics.Gauge, "Relay addresses lent to clients now, by the transport of the client.", func(n relay.Totals) values { return labelled(n.Live) }),
		by("transport", "millrace_turn_begun_total", metrics.Counter, "Relay addresses lent to clients, by the transport of the client.", func(n relay.Totals) values { return labelled(n.Begun) }),
		by("reason", "millrace_turn_endings_total", metrics.Counter, "Relay addresses taken back, by the reason that the log has, too.", func(n relay.Totals) values { return labelled(n.Ends) }),
		by("direction", "millrace_turn_bytes_total", metrics.Counter, "Bytes relayed: out from clients to peers, in from peers to clients.", func(n relay.Totals) values { return ways(n.BytesOut, n.BytesIn) }),
		by("direction", "millrace_turn_packets_total", metrics.Counter, "Packets relayed, by the same directions.", func(n relay.Totals) values { return ways(n.PacketsOut, n.PacketsIn) }),
		by("reason", "millrace_turn_dropped_total", metrics.Counter, "Packets not relayed: bandwidth (above relay.bandwidth), no permission, too long, slow (the client does not read, or the system has no room for it), unsent (the system refused it, or has no room), backlog (64 packets of a DTLS client wait to be decrypted).", func(n relay.Totals) values { return labelled(n.Dropped) }),
		by("code", "millrace_turn_refusals_total", metrics.Counter, "STUN and TURN requests refused, by code; 401 and 438 begin every call.", func(n relay.Totals) values { return labelled(n.Refusals) }),
		by("reason", "millrace_turn_unauthorized_total", metrics.Counter, "Those with code 401, by reason: no credentials (each call begins so), unknown user, wrong password, expired, revoked (their channel was deleted).", func(n relay.Totals) values { return labelled(n.Denied) }),
		total("millrace_turn_connected_total", "Minutes, begun ones counted, in which a relay address carried something (TurnConnectedMinutes).", func(n relay.Totals) uint64 { return n.Minutes }),
		total("millrace_turn_withheld_total", "Answers not given to sources that ask too often without credentials.", func(n relay.Totals) uint64 { return n.Withheld }),
		total("millrace_turn_turned_away_total", "Connections refused because too many have no relay address.", func(n relay.Totals) uint64 { return n.Turned }),
		total("millrace_turn_malformed_total", "Packets to the relay that are neither STUN nor ChannelData.", func(n relay.Totals) uint64 { return n.Malformed }),
		total("millrace_turn_missing_lines_total", "Lines that the log lacks because more relay addresses were taken back, or refused, than could be written.", func(n relay.Totals) uint64 { return n.Missing }),
	)
}

func ways(out, in uint64) map[string]float64 {
	return map[string]float64{"out": float64(out), "in": float64(in)}
}

func labelled[K ~string, N int | uint64](counts map[K]N) map[string]float64 {
	all := make(map[string]float64, len(counts))
	for k, n := range counts {
		all[string(k)] = float64(n)
	}
	return all
}
