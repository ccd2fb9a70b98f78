package e2e

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// relayed starts a server with a relay on loopback and returns what a channel's clients are told.
func relayed(t *testing.T) (s *server, ice wire.IceServer, port string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yml")
	text := "account: \"" + account + "\"\nturn:\n  listen: [\"127.0.0.1:0\"]\n  advertise: [127.0.0.1]\n  allow_peers: [127.0.0.0/8]\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = serveWith(t, config)
	all := s.iceServers(t, "relayed")
	if len(all) != 1 || len(all[0].Uris) != 3 || *all[0].Ttl != 300 {
		t.Fatalf("%+v", all)
	}
	_, port = hostPort(t, all[0])
	return s, all[0], port
}

// iceServers makes a channel and asks which servers its viewer v7 is told of.
func (s *server) iceServers(t *testing.T, channel string) []wire.IceServer {
	t.Helper()
	ctx, as := t.Context(), s.client(t)
	var made wire.CreateSignalingChannelOutput
	if err := as.Call(ctx, wire.ByName("CreateSignalingChannel"), &wire.CreateSignalingChannelInput{ChannelName: &channel}, &made); err != nil {
		t.Fatal(err)
	}
	var told wire.GetIceServerConfigOutput
	if err := as.Call(ctx, wire.ByName("GetIceServerConfig"), &wire.GetIceServerConfigInput{ChannelARN: made.ChannelARN, ClientId: new("v7")}, &told); err != nil {
		t.Fatal(err)
	}
	return told.IceServerList
}

// hostPort is where the first address of a server leads.
func hostPort(t *testing.T, ice wire.IceServer) (host, port string) {
	t.Helper()
	u, err := url.Parse("turn://" + strings.TrimPrefix(ice.Uris[0], "turn:"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname(), u.Port()
}

// TestTurnutils has the programs of coturn call through the relay in every way they know:
// each transport and kind of call, many at once, badly, past the expiry of their credentials,
// while the server starts again, and through coturn instead.
func TestTurnutils(t *testing.T) {
	r, lasting := newCoturn(t, "limits: {relay.allocations: none}"), newCoturn(t, "limits: {relay.credential-age: 15s}")
	r.peer = turnutilsPeer(t)
	wait := inBackground(func() { lasting.pastExpiry(t) }, func() { r.exerciseAll(t); r.unharmed(t) })
	t.Run("restart", restartTurn)
	t.Run("another relay", sharedSecret)
	wait()
}

// inBackground calls functions at once; wait returns when they have.
func inBackground(all ...func()) (wait func()) {
	done := make(chan bool)
	for _, f := range all {
		go func() { defer func() { done <- true }(); f() }()
	}
	return func() {
		for range all {
			<-done
		}
	}
}

// TestTurnutilsOfSTUN ask how they are seen.
func TestTurnutilsOfSTUN(t *testing.T) {
	_, _, port := relayed(t)
	for _, command := range [][]string{{"turnutils_stunclient", "-p", port, "127.0.0.1"}, {"turnutils_natdiscovery", "-m", "-f", "-p", port, "127.0.0.1"}} {
		out, errs, err := try(t, nil, nil, command[0], command[1:]...)
		if out += errs; err != nil || !strings.Contains(out, "UDP reflexive addr: 127.0.0.1:") {
			t.Errorf("%v: %v\n%s", command, err, out)
		}
	}
}

// hasIPv6 says whether this machine has the loopback address of IPv6.
func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	return err == nil && l.Close() == nil
}
