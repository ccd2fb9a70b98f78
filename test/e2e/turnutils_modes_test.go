package e2e

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// transports are the flags of turnutils_uclient for each.
var transports = map[string]string{"UDP": "", "TCP": "-t ", "TLS": "-t -S ", "DTLS": "-S "}

// calls are the kinds of call that turnutils_uclient makes: -y has its clients be each
// other's peers behind the relay, -e has them call somebody outside of it.
var calls = map[string]string{
	"channels": "-y -c", "channels with RTCP": "-y", "indications": "-y -c -s", "indications with RTCP": "-y -s",
	"a peer outside by channels": "-e 127.0.0.1 -r PEER", "a peer outside by indications": "-e 127.0.0.1 -r PEER -s -c",
}

// exerciseAll is every transport with every kind of call, and what else clients do.
func (r *coturn) exerciseAll(t *testing.T) {
	var all []exercise
	for transport, flags := range transports {
		for kind, more := range calls {
			all = append(all, exercise{name: transport + ", " + kind, flags: flags + more, clients: 4, packets: 5})
		}
	}
	all = slices.Concat(r.badly(), r.crowds(), r.specially(), r.overIPv6(), all)
	r.exercises(t, 0, 12, all)
}

// specially are calls with what few clients want.
func (r *coturn) specially() []exercise {
	all := map[string]string{
		"IPv4 asked for": "-X -y", "padding as pjnath does": "-D -y -c", "padding that is not needed": "-D -y -l 172", "more requests": "-G -y -c", "more requests with indications": "-G -y -s",
		"mobility, which we do not know": "-M -y -c", "an origin and a bandwidth": "-o http://camera.example -a 100000 -y", "full packets": "-y -l 1200", "full packets by TLS": "-t -S -y -l 1200 -s",
		"other numbers for channels": "-N -y -c",
	}
	var list []exercise
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, exercise{name: name, flags: all[name], clients: 4, packets: 5})
	}
	return list
}

// overIPv6 are calls in which either side of the relay, or both, is IPv6.
func (r *coturn) overIPv6() (all []exercise) {
	if r.ports["::1"] == "" {
		return nil
	}
	for transport, flags := range transports {
		all = append(all, exercise{name: transport + ", IPv6", flags: flags + "-x -y -c", host: "::1", clients: 4, packets: 5})
	}
	return append(all,
		exercise{name: "IPv6 outside", flags: "-e ::1 -r PEER", host: "::1", clients: 4, packets: 5},
		exercise{name: "IPv6 relay of an IPv4 client", flags: "-x -y", clients: 4, packets: 5},
		exercise{name: "IPv4 relay of an IPv6 client", flags: "-X -y -s", host: "::1", clients: 4, packets: 5})
}

// crowds are many clients of one source at once. More of them than may ask without
// credentials at a time try again by themselves.
func (r *coturn) crowds() (all []exercise) {
	for transport, clients := range map[string]int{"UDP": 200, "TCP": 100, "TLS": 48, "DTLS": 48} {
		all = append(all, exercise{name: fmt.Sprintf("%d clients, %s", clients, transport), flags: transports[transport] + "-y", clients: clients, packets: 10})
	}
	return all
}

// badly is what is refused, and what a server must live through.
func (r *coturn) badly() (all []exercise) {
	const refused, lost, whatever = "Cannot complete Allocation", "Total lost packets [1-9]", "(?s).*"
	for transport, flags := range transports {
		all = append(all,
			exercise{name: transport + ", wrong password", flags: flags + "-y -c -w wrong", clients: 1, packets: 1, want: refused},
			exercise{name: transport + ", nonsense", flags: flags + "-R -y", clients: 20, packets: 5, want: whatever, limit: 8},
			exercise{name: transport + ", all at once and away", flags: flags + "-O -y", clients: 40, packets: 5, want: whatever, limit: 8})
	}
	return append(all,
		exercise{name: "a user of nobody", flags: "-y -c -u 9999999999:nobody", clients: 1, packets: 1, want: refused},
		exercise{name: "fragments", flags: "-y -g", clients: 1, packets: 1, want: "error 420"},
		exercise{name: "TCP to peers", flags: "-T", clients: 2, packets: 1, want: "error 442"},
		exercise{name: "a second number for a peer", flags: "-N -e 127.0.0.1 -r PEER", clients: 2, packets: 1, want: "channel bind: error 400"},
		exercise{name: "a peer in a private network", flags: "-e 192.168.1.1", clients: 2, packets: 1, want: "error 403"},
		exercise{name: "no permission", flags: "-y -c -s -I", clients: 2, packets: 5, want: `Total lost packets 10 \(100`},
		exercise{name: "gone in the middle", flags: "-B -y -z 1", clients: 8, packets: 200, want: lost},
		exercise{name: "gone in the middle by TCP", flags: "-t -B -y -z 1", clients: 8, packets: 200, want: lost})
}

// unharmed says that the relay works as before, and what it counted of all that.
func (r *coturn) unharmed(t *testing.T) {
	var all []exercise
	for transport, flags := range transports {
		all = append(all, exercise{name: transport + " at the end", flags: flags + "-y", clients: 4, packets: 5})
	}
	r.exercises(t, 200, 4, all)
	n := r.memoryFigures(t, r.client(t))
	for _, name := range []string{`refusals_total{code="401"}`, `refusals_total{code="420"}`, `refusals_total{code="442"}`, `refusals_total{code="403"}`,
		`refusals_total{code="400"}`, `dropped_total{reason="no permission"}`, `endings_total{reason="left"}`, `endings_total{reason="released"}`, "malformed_total"} {
		if n["millrace_turn_"+name] == 0 {
			t.Errorf("%s is 0 of %v", name, n)
		}
	}
	for _, transport := range []string{"udp", "tcp", "tls", "dtls"} {
		if n[`millrace_turn_begun_total{transport="`+transport+`"}`] < 100 {
			t.Errorf("begun by %s: %v", transport, n)
		}
	}
}
