package front

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// Where everybody is: all on loopback, each client and each peer at an address of its own, as
// in the world. That of a relay is no peer's, which would be another way through it.
const (
	turnHost  = "127.0.0.1"
	turnPorts = "20000-65535" // for 10,000 allocations: half of them are used at most
	perUser   = 50            // allocations of one channel, and with the same credentials
)

// member is the address of the i-th client (group 1) or peer (group 2).
func member(group byte, i int) *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, group, byte(i / 250), byte(1 + i%250)}), 0))
}

// turnServer is a relay that runs.
type turnServer struct {
	*process
	name    string
	port    int
	wild    bool                                // it listens at all addresses with one socket
	metrics string                              // "" = it has none
	issue   func(n int) (user, password string) // credentials of the n-th channel
}

// launchTurn starts both relays, ours first.
func launchTurn(b *testing.B) [2]*turnServer {
	b.Helper()
	return [2]*turnServer{launchOurs(b), launchCoturn(b)}
}

// launchOurs starts a server as the guide has it: the listener is that of all addresses, the
// profile is open, and clients get their credentials through channels.
func launchOurs(b *testing.B) *turnServer {
	b.Helper()
	dir := b.TempDir()
	data, settings, metrics := filepath.Join(dir, "data"), filepath.Join(dir, "millrace.yml"), freeAddress(b)
	s := &turnServer{name: "millrace", port: freePort(b), wild: true, metrics: metrics}
	text := fmt.Sprintf("turn:\n  listen: [\":%d\"]\n  advertise: [%s]\n  relay_ports: %s\n  allow_peers: [127.0.0.0/8]\n", s.port, turnHost, turnPorts)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	said, err := exec.Command(*binary, "init", "--data", data).Output()
	if err != nil {
		b.Fatal(err)
	}
	key := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)=(\S+)$`).FindAllSubmatch(said, -1) {
		key[string(m[1])] = string(m[2])
	}
	s.process = launch(b, data, false, "--config", settings, "--metrics", metrics)
	c := s.client(b, data)
	c.Credentials.AccessKey, c.Credentials.Secret = key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"]
	var arns []string
	s.issue = func(n int) (user, password string) {
		for len(arns) <= n {
			var out wire.CreateSignalingChannelOutput
			name := fmt.Sprintf("turn-%d", len(arns))
			if err := c.Call(context.Background(), wire.ByName("CreateSignalingChannel"), &wire.CreateSignalingChannelInput{ChannelName: &name}, &out); err != nil {
				b.Fatal(err)
			}
			arns = append(arns, *out.ChannelARN)
		}
		var out wire.GetIceServerConfigOutput
		if err := c.Call(context.Background(), wire.GetIceServerConfig, &wire.GetIceServerConfigInput{ChannelARN: &arns[n]}, &out); err != nil || len(out.IceServerList) == 0 {
			b.Fatalf("%d servers: %v", len(out.IceServerList), err)
		}
		return *out.IceServerList[0].Username, *out.IceServerList[0].Password
	}
	return s
}

// launchCoturn starts turnserver without what the comparison does not need: no TLS, no log, no
// command line; its threads, buffers and lifetimes are what it has by itself.
func launchCoturn(b *testing.B) *turnServer {
	b.Helper()
	path, err := exec.LookPath("turnserver")
	if err != nil {
		b.Fatal("the relay is compared with turnserver, which is not installed: apt-get install coturn")
	}
	const secret = "bench"
	dir := b.TempDir()
	first, last, _ := strings.Cut(turnPorts, "-")
	s := &turnServer{name: "coturn", port: freePort(b)}
	s.issue = func(n int) (user, password string) {
		user = fmt.Sprintf("%d:%d", time.Now().Add(time.Hour).Unix(), n)
		h := hmac.New(sha1.New, []byte(secret))
		_, _ = h.Write([]byte(user))
		return user, base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	cmd := exec.Command(path, "-n", "--listening-ip", turnHost, "--listening-port", strconv.Itoa(s.port), "--relay-ip", turnHost,
		"--min-port", first, "--max-port", last, "--realm", "bench", "--use-auth-secret", "--static-auth-secret", secret,
		"--allow-loopback-peers", "--cli-password", secret, "--no-cli", "--no-tls", "--no-dtls", "--no-stdout-log", "--simple-log", "--log-file", "/dev/null",
		"--userdb", filepath.Join(dir, "turndb"), "--pidfile", filepath.Join(dir, "pid"))
	s.process = &process{command: cmd}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 500 {
		if s.answers() {
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatalf("turnserver does not answer: %s", strings.Join(cmd.Args, " "))
	return nil
}

// answers says whether the server knows how to bind.
func (s *turnServer) answers() bool {
	conn, err := net.DialUDP("udp", member(1, 0), s.at())
	if err != nil {
		return false
	}
	c := &turnClient{conn: conn}
	defer func() { _ = conn.Close() }()
	_, err = c.exchange(c.request(stunBinding, nil), 100*time.Millisecond)
	return err == nil
}

func (s *turnServer) at() *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(turnHost), uint16(s.port)))
}

// listening is the local address of its sockets.
func (s *turnServer) listening() netip.AddrPort {
	if s.wild {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(s.port))
	}
	return s.at().AddrPort()
}

// freePort is a port that is free for TCP and UDP, most likely.
func freePort(b *testing.B) int {
	b.Helper()
	for range 100 {
		a := netip.MustParseAddrPort(freeAddress(b))
		if c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(a.Port())}); err == nil {
			_ = c.Close()
			return int(a.Port())
		}
	}
	b.Fatal("no port is free")
	return 0
}

// lost is how many packets the system has dropped because nobody read them from the sockets at
// these addresses.
func lost(b *testing.B, at []netip.AddrPort) (n int64) {
	b.Helper()
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		b.Fatal(err)
	}
	var wanted []string
	for _, a := range at {
		ip := a.Addr().As4()
		slices.Reverse(ip[:])
		wanted = append(wanted, fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(ip[:])), a.Port()))
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 12 && slices.Contains(wanted, f[1]) {
			drops, _ := strconv.ParseInt(f[12], 10, 64)
			n += drops
		}
	}
	return n
}

// descriptors is how many files and sockets a process has open.
func (p *process) descriptors(b *testing.B) int {
	b.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.command.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	return len(all)
}
