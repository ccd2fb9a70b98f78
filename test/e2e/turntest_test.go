package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// tried is what "millrace turn test --json" says of a URI.
type tried struct {
	URI, Transport, State, Mapped, Local, Relay, Direct string
	NAT                                                 bool
	Trip                                                struct{ Sent, Returned int }
	Rate                                                struct{ Sent, Arrived int }
	Problem                                             struct{ Step, Text, Advice string }
}

// turnTest tries relays and returns what it says of each, and the exit code.
func turnTest(t *testing.T, env []string, args ...string) (all []tried, errs string, err error) {
	t.Helper()
	out, errs, err := try(t, env, nil, program(t), append([]string{"turn", "test", "--json", "--packets=50"}, args...)...)
	return decodeTried(t, out), errs, err
}

func decodeTried(t *testing.T, out string) (all []tried) {
	t.Helper()
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var one tried
		if err := d.Decode(&one); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		all = append(all, one)
	}
	return all
}

// TestTurnTest tries the relays of a channel over each transport and family from a client's
// place, as one that trusts the server's CA and as one that does not.
func TestTurnTest(t *testing.T) {
	t.Parallel()
	listen, advertise := `"127.0.0.1:0"`, "127.0.0.1"
	uris := 3
	if hasIPv6() {
		listen, advertise, uris = listen+`, "[::1]:0"`, advertise+`, "::1"`, 6
	}
	config := filepath.Join(t.TempDir(), "millrace.yml")
	settings(t, config, "turn:", "  listen: ["+listen+"]", "  advertise: ["+advertise+"]", `  allow_peers: [127.0.0.0/8, "::1/128"]`)
	s := serveWith(t, config)
	ice := s.iceServers(t, "door")
	all, errs, err := turnTest(t, s.variables(), "door", "--for=300ms")
	if err != nil || errs != "" || len(all) != uris {
		t.Errorf("%v: %s%+v", err, errs, all)
	}
	for _, r := range all {
		if r.State != "ok" || r.Mapped != r.Local || r.Relay == "" || r.Direct != "reached" || r.Trip.Sent != 50 || r.Trip.Returned != 50 || r.Rate.Arrived != r.Rate.Sent {
			t.Errorf("%+v", r)
		}
	}
	all, errs, err = turnTest(t, append(s.variables(), "SSL_CERT_FILE=/dev/null", "AWS_CA_BUNDLE=", "AWS_ENDPOINT_URL="+s.http), "door", "--packets=5")
	if err == nil || !strings.Contains(errs, fmt.Sprintf("millrace: %d of %d work; fastest turn:", uris/3, uris)) {
		t.Errorf("%v: %s%+v", err, errs, all)
	}
	for _, r := range all {
		if secured := strings.HasPrefix(r.URI, "turns:"); secured != (r.State == "failed") || secured && !strings.Contains(r.Problem.Text, `is of "Millrace CA", which is not trusted here`) {
			t.Errorf("%+v", r)
		}
	}
	s.afterDelete(t, ice[0])
}

// afterDelete tries a channel's credentials when the channel is no more.
func (s *server) afterDelete(t *testing.T, ice wire.IceServer) {
	t.Helper()
	run(t, s.variables(), program(t), "channel", "delete", "door")
	all, _, err := turnTest(t, append(s.variables(), "TURN_PASSWORD="+*ice.Password), "--username="+*ice.Username, ice.Uris[0])
	if err == nil || len(all) != 1 || !strings.Contains(all[0].Problem.Advice, "their channel was deleted") {
		t.Errorf("%v: %+v", err, all)
	}
	if _, errs, err := turnTest(t, s.variables(), "door"); err == nil || !strings.Contains(errs, "millrace channel list names the channels") {
		t.Errorf("%v: %s", err, errs)
	}
}

// TestTurnTestOfCoturn tries the server of somebody else.
func TestTurnTestOfCoturn(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned(t, cert, key)
	background(t, nil, "", "turnserver", "-n", "--no-cli", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", port, "--tls-listening-port", freePort(t), "--cert", cert, "--pkey", key,
		"-a", "-u", "anna:secret", "--realm=coturn.example", "--allow-loopback-peers", "-b", filepath.Join(dir, "turndb"), "--pidfile", filepath.Join(dir, "pid"), "--log-file=stdout")
	at := net.JoinHostPort("127.0.0.1", port)
	eventually(t, "coturn", func() error {
		if _, errs, err := turnTest(t, environment(), "stun:"+at, "stun:"+at+"?transport=tcp", "--timeout=200ms"); err != nil {
			return fmt.Errorf("%w: %s", err, errs)
		}
		return nil
	})
	env := environment("TURN_PASSWORD=secret", "AWS_CA_BUNDLE="+cert)
	all, errs, err := turnTest(t, env, "--username=anna", "stun:"+at, "turn:"+at, "turn:"+at+"?transport=tcp", "turns:"+at+"?transport=tcp", "turns:"+at+"?transport=udp")
	if err != nil || len(all) != 5 {
		t.Errorf("%v: %s", err, errs)
	}
	for i, r := range all {
		if r.State != "ok" || i > 0 && (r.Direct != "reached" || r.Trip.Returned != 50) {
			t.Errorf("%+v", r)
		}
	}
	all, _, err = turnTest(t, environment("TURN_PASSWORD=wrong"), "--username=anna", "turn:"+at)
	if err == nil || len(all) != 1 || !strings.Contains(all[0].Problem.Text, "(401)") {
		t.Errorf("%v: %+v", err, all)
	}
}

// TestTurnTestBehindNAT tries a relay from behind a NAT, with firewalls on the way.
func TestTurnTestBehindNAT(t *testing.T) {
	t.Parallel()
	if !masqueraded(t) {
		return
	}
	s, _ := meeting(t, `listen: ["198.51.100.1:3478"], advertise: [198.51.100.1], relay_ports: 50000-50999, allow_peers: [198.51.100.0/24]`)
	ice := s.iceServers(t, "door")[0]
	inNAT := func(rule string) {
		run(t, nil, "ip", append([]string{"netns", "exec", "nat", "iptables"}, strings.Fields(rule)...)...)
	}
	inNAT("-t nat -A POSTROUTING -o outer -j MASQUERADE")
	args := append([]string{"netns", "exec", "inside", program(t), "turn", "test", "--json", "--packets=10", "--timeout=2s", "--username=" + *ice.Username}, ice.Uris...)
	env := append(s.variables(), "TURN_PASSWORD="+*ice.Password, "PATH="+os.Getenv("PATH"))
	const relayed, denied, closed = "ok reached", "nothing that this machine sends to a relay address at 198.51.100.1 arrives", "no answer over UDP from port 3478 of 198.51.100.1"
	for _, wall := range []struct {
		name, rule string
		want       [3]string // turn: over UDP, turns: over UDP, turns: over TCP
	}{
		{"none", "-P FORWARD ACCEPT", [3]string{relayed, relayed, relayed}},
		{"relay ports are closed", "-A FORWARD -p udp --dport 50000:50999 -j DROP", [3]string{denied, denied, "ok silent"}},
		{"UDP is closed", "-A FORWARD -p udp -j DROP", [3]string{closed, closed, "ok silent"}},
	} {
		inNAT("-F FORWARD")
		inNAT(wall.rule)
		out, errs, _ := try(t, env, nil, "ip", args...)
		all := decodeTried(t, out)
		if len(all) != len(wall.want) {
			t.Fatalf("%s: %s%s", wall.name, out, errs)
		}
		for i, r := range all {
			if got := r.State + " " + r.Direct + r.Problem.Text; !strings.Contains(got, wall.want[i]) || r.State == "ok" && (!r.NAT || !strings.HasPrefix(r.Mapped, "198.51.100.") || r.Trip.Returned != 10) {
				t.Errorf("%s: %+v", wall.name, r)
			}
		}
	}
}
