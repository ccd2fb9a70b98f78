package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	challenges = `millrace_turn_refusals_total{code="401"}`
	released   = `millrace_turn_endings_total{reason="released"}`
)

// pastExpiry has clients call for 31 seconds with credentials that begin calls for 15.
// After 30 turnutils_uclient refreshes allocation, permission and channel.
func (r *coturn) pastExpiry(t *testing.T) {
	all := []exercise{{name: "UDP with indications, past expiry", flags: "-y -c -s -z 100", clients: 2, packets: 310}}
	for transport, flags := range transports {
		all = append(all, exercise{name: transport + ", past expiry", flags: flags + "-y -c -z 100", clients: 2, packets: 310})
	}
	wait := inBackground(func() { r.exercises(t, 0, len(all), all) })
	begun := r.begun(t, 3*len(all)) // each program begins with one that it does not use
	wait()
	n := r.memoryFigures(t, r.client(t))
	for name, v := range n {
		if strings.HasPrefix(name, "millrace_turn_refusals_total") && v != begun[name] {
			t.Errorf("%s was %v when all calls had begun, and is %v when they have ended", name, begun[name], v)
		}
	}
	if n[released] != float64(2*len(all)) {
		t.Errorf("of %d calls not all ended in good form: %v", 2*len(all), n)
	}
	e := exercise{name: "old credentials", flags: "-y -c", clients: 2, packets: 1, want: "Cannot complete Allocation"}
	if err := r.uclient(t, 100, e); err != nil {
		t.Error(err)
	}
	if later := r.memoryFigures(t, r.client(t)); later[challenges] <= n[challenges] {
		t.Errorf("old credentials are not refused with 401: %v", later)
	}
}

// begun waits until so many allocations have begun, and returns what is counted then.
func (r *coturn) begun(t *testing.T, want int) (n map[string]float64) {
	eventually(t, "calls have begun", func() error {
		n = r.memoryFigures(t, r.client(t))
		sum := 0.0
		for name, v := range n {
			if strings.HasPrefix(name, "millrace_turn_begun_total") {
				sum += v
			}
		}
		if sum < float64(want) {
			return fmt.Errorf("%v of %d", sum, want)
		}
		return nil
	})
	return n
}

// restartTurn kills the server in the middle of a call. The call is lost: nobody but coturn's
// client goes on as if nothing were. Credentials and nonces outlive the server.
func restartTurn(t *testing.T) {
	r := newCoturn(t)
	turn := []string{"turn:", `  listen: ["127.0.0.1:` + r.ports["127.0.0.1"] + `"]`, "  advertise: [127.0.0.1]", "  allow_peers: [127.0.0.0/8]"}
	wait := inBackground(func() {
		r.exercises(t, 0, 1, []exercise{{name: "cut by a restart", flags: "-y -c", clients: 2, packets: 250, want: "Total lost packets [1-9]"}})
	})
	eventually(t, "packets pass", func() error {
		if n := r.memoryFigures(t, r.client(t)); n[`millrace_turn_packets_total{direction="in"}`] == 0 {
			return fmt.Errorf("%v", n)
		}
		return nil
	})
	r.kill()
	settings(t, r.config, turn...)
	r.server = r.again(t)
	all := []exercise{}
	for transport, flags := range transports {
		all = append(all, exercise{name: transport + " after a restart", flags: flags + "-y -c", clients: 2, packets: 5})
	}
	r.exercises(t, 1, len(all), all)
	wait()
	// Refresh with which the first client ends, with the nonce of the first server.
	if n := r.memoryFigures(t, r.client(t)); n[`millrace_turn_refusals_total{code="437"}`] != 2 || n[`millrace_turn_refusals_total{code="438"}`] != 0 {
		t.Errorf("%v", n)
	}
}

// sharedSecret names two relays of coturn's to clients, instead of our own and behind it: one that has the
// secret, and one that has another.
func sharedSecret(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("known to both\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := net.JoinHostPort("127.0.0.1", turnserver(t, dir, "known to both"))
	config := filepath.Join(dir, "millrace.yml")
	external := []string{"signaling:", "  ice_servers:",
		"    - turn:" + at + "?transport=udp turn:" + at + "?transport=tcp secret_file=" + secret, "    - turn:" + at + "?transport=udp secret=another"}
	settings(t, config, external...)
	if all := serveWith(t, config).iceServers(t, "instead"); len(all) != 2 || all[0].Uris[0] != "turn:"+at+"?transport=udp" || all[1].Uris[0] != all[0].Uris[0] {
		t.Fatalf("instead of our own: %+v", all)
	}
	settings(t, config, append([]string{"turn:", `  listen: ["127.0.0.1:0"]`, "  advertise: [127.0.0.1]"}, external...)...)
	now := time.Now()
	all := serveWith(t, config).iceServers(t, "shared")
	if len(all) != 3 || all[0].Uris[0] == all[1].Uris[0] || len(all[1].Uris) != 2 || all[1].Uris[1] != "turn:"+at+"?transport=tcp" || all[2].Uris[0] != "turn:"+at+"?transport=udp" {
		t.Fatalf("%+v", all)
	}
	m := regexp.MustCompile(`^(\d{10}):v7$`).FindStringSubmatch(*all[1].Username)
	if m == nil || *all[1].Ttl != 300 {
		t.Fatalf("%+v", all[1])
	}
	seconds, _ := strconv.ParseInt(m[1], 10, 64)
	if left := time.Unix(seconds, 0).Sub(now); left < 299*time.Second || left > 300*time.Second+patience {
		t.Errorf("the credentials hold for %v", left)
	}
	right := &coturn{ice: all[1], ports: map[string]string{}}
	_, right.ports["127.0.0.1"] = hostPort(t, all[1])
	wrong := &coturn{ice: all[2], ports: right.ports}
	wait := inBackground(
		func() {
			right.exercises(t, 0, 2, []exercise{{name: "coturn", flags: "-y -c", clients: 2, packets: 5}, {name: "coturn by TCP", flags: "-t -y -c", clients: 2, packets: 5}})
		},
		func() {
			wrong.exercises(t, 2, 1, []exercise{{name: "coturn with another secret", flags: "-y -c", clients: 2, packets: 5, want: "Cannot complete Allocation"}})
		})
	wait()
}

// turnserver starts coturn with a shared secret and returns its port.
func turnserver(t *testing.T, dir, secret string) (port string) {
	t.Helper()
	port = freePort(t)
	background(t, nil, "", "turnserver", "-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", port, "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
		"--use-auth-secret", "--static-auth-secret="+secret, "--realm=coturn.example", "-b", filepath.Join(dir, "turndb"), "--pidfile", filepath.Join(dir, "pid"), "--log-file=stdout")
	eventually(t, "turnserver", func() error {
		out, errs, err := try(t, nil, nil, "timeout", "1", "turnutils_stunclient", "-p", port, "127.0.0.1") // asks once
		if err != nil || !strings.Contains(out, "UDP reflexive addr") {
			return fmt.Errorf("%w: %s%s", err, out, errs)
		}
		return nil
	})
	return port
}
