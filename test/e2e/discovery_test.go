package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// insideAt is in the environment of a test that runs in a network with a NAT.
const insideAt = "E2E_MASQUERADE"

// masqueraded has a test run once more in a network with a NAT (masquerade), as a program of its
// own. It reports whether this is that program.
func masqueraded(t *testing.T) (there bool) {
	t.Helper()
	if os.Getenv(insideAt) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, "./masquerade", self, "-test.run=^"+t.Name()+"$", "-test.timeout="+patience.String(), "-binary="+program(t))
	c.Env = environment(insideAt + "=yes")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("behind a NAT: %v\n%s", err, out)
	}
	return false
}

// meeting starts a server whose relay has these settings, in one line, and returns the port of its
// first address.
func meeting(t *testing.T, turn string) (s *server, port string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "account: %q\nturn: {%s}\n", account, turn), 0o600); err != nil {
		t.Fatal(err)
	}
	s = serveWith(t, config)
	return s, s.out.wait(t, `relaying.* uris="turn:(?:[0-9.]+|\[[0-9a-f:]+\]):(\d+)`)
}

// decided are the lines in which turnutils_natdiscovery says what a NAT does.
var decided = regexp.MustCompile(`(?m)^(No NAT!|NAT with) .*`)

// TestDiscovery lets coturn's programs find out that there is no NAT.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	_, port := meeting(t, `listen: ["127.0.0.1:0", "127.0.0.2:0"], advertise: [127.0.0.1], discovery: true`)
	ask := func(name string, args ...string) string {
		out, errs, err := try(t, nil, nil, name, append(args, "-p", port, "127.0.0.1")...)
		if err != nil || !strings.Contains(out, "UDP reflexive addr: 127.0.0.3:") {
			t.Errorf("%s %v: %v\n%s%s", name, args, err, out, errs)
		}
		return out
	}
	out := ask("turnutils_natdiscovery", "-m", "-f", "-L", "127.0.0.3")
	none := "No NAT! (Endpoint Independent Mapping)"
	if got := decided.FindAllString(out, -1); !slices.Equal(got, []string{none, "NAT with Endpoint Independent Mapping!", none, "NAT with Endpoint Independent Filtering!"}) {
		t.Errorf("%q\n%s", got, out)
	}
	// An answer goes to another port of the client.
	if out := ask("turnutils_natdiscovery", "-t", "-T", "1", "-L", "127.0.0.3"); strings.Count(out, "RFC 5780 response") != 2 {
		t.Error(out)
	}
	// Padding is refused: of three questions the third has it.
	if out := ask("turnutils_stunclient", "-L", "127.0.0.3"); strings.Count(out, "RFC 5780 response") != 2 || strings.Count(out, "The response is an error 420") != 1 {
		t.Error(out)
	}
	if out, _, err := try(t, nil, nil, "turnutils_natdiscovery", "-m", "-P", "-p", port, "127.0.0.1"); err != nil || !strings.Contains(out, "The response is an error 420") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNoDiscovery ends well where the server has it off.
func TestNoDiscovery(t *testing.T) {
	t.Parallel()
	_, port := meeting(t, `listen: ["127.0.0.1:0", "127.0.0.2:0"], advertise: [127.0.0.1]`)
	out, errs, err := try(t, nil, nil, "turnutils_natdiscovery", "-m", "-f", "-p", port, "127.0.0.1")
	if err != nil || !strings.Contains(out, "Filtering Behavior") || strings.Count(out, "UDP reflexive addr: 127.0.0.1:") < 2 || strings.Contains(out, "RFC 5780") || decided.MatchString(out) {
		t.Errorf("%v\n%s%s", err, out, errs)
	}
}

// TestDiscoveryIPv6 is the same with two addresses of IPv6.
func TestDiscoveryIPv6(t *testing.T) {
	t.Parallel()
	if !masqueraded(t) {
		return
	}
	for _, a := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::3"} {
		run(t, nil, "ip", "address", "add", a+"/128", "dev", "lo", "nodad")
	}
	_, port := meeting(t, `listen: ["[2001:db8::1]:3478", "[2001:db8::2]:3478"], advertise: ["2001:db8::1"], discovery: true`)
	out := run(t, nil, "turnutils_natdiscovery", "-m", "-f", "-L", "2001:db8::3", "-p", port, "2001:db8::1")
	none := "No NAT! (Endpoint Independent Mapping)"
	if got := decided.FindAllString(out, -1); !slices.Equal(got, []string{none, "NAT with Endpoint Independent Mapping!", none, "NAT with Endpoint Independent Filtering!"}) {
		t.Errorf("%q\n%s", got, out)
	}
}

// TestDiscoveryBehindNAT has the kernel do what NATs do, and finds out the same as with coturn's server.
func TestDiscoveryBehindNAT(t *testing.T) {
	t.Parallel()
	if !masqueraded(t) {
		return
	}
	_, port := meeting(t, `listen: ["198.51.100.1:3478", "198.51.100.2:3478"], advertise: [198.51.100.1], discovery: true`)
	coturn := exec.CommandContext(t.Context(), "turnserver", "-n", "--no-auth", "-L", "198.51.100.1", "-L", "198.51.100.2", "-p", "5000",
		"--no-tls", "--no-dtls", "--no-cli", "--log-file", "stdout", "--pidfile", filepath.Join(t.TempDir(), "pid"), "--userdb", filepath.Join(t.TempDir(), "users"))
	if err := coturn.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = coturn.Process.Kill(); _ = coturn.Wait() })
	eventually(t, "coturn answers", func() error {
		return exec.CommandContext(t.Context(), "timeout", "2", "turnutils_stunclient", "-p", "5000", "198.51.100.1").Run()
	})
	const masquerade = "-A POSTROUTING -o outer -p udp -j MASQUERADE"
	for _, nat := range []struct {
		name           string
		rules          []string
		mapping, after string
	}{
		{"ports are kept", []string{masquerade}, "NAT with Endpoint Independent Mapping!", "NAT with Address and Port Dependent Filtering!"},
		{"ports are random", []string{masquerade + " --random-fully"}, "NAT with Address and Port Dependent Mapping!", "NAT with Address and Port Dependent Filtering!"},
		{"everybody is let in", []string{masquerade, "-A PREROUTING -i outer -p udp -j DNAT --to-destination 192.0.2.2"},
			"NAT with Endpoint Independent Mapping!", "NAT with Endpoint Independent Filtering!"},
	} {
		run(t, nil, "ip", "netns", "exec", "nat", "iptables", "-t", "nat", "-F")
		for _, rule := range nat.rules {
			run(t, nil, "ip", append([]string{"netns", "exec", "nat", "iptables", "-t", "nat"}, strings.Fields(rule)...)...)
		}
		t.Run(nat.name, func(t *testing.T) {
			for server, port := range map[string]string{"ours": port, "coturn": "5000"} {
				t.Run(server, func(t *testing.T) {
					t.Parallel()
					out := run(t, nil, "ip", "netns", "exec", "inside", "turnutils_natdiscovery", "-m", "-f", "-p", port, "198.51.100.1")
					if got := decided.FindAllString(out, -1); !slices.Equal(got, []string{nat.mapping, nat.after}) {
						t.Errorf("%q, want %s %s\n%s", got, nat.mapping, nat.after, out)
					}
				})
			}
		})
	}
}
