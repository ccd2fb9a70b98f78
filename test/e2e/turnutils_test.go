package e2e

import (
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
	ctx, as := t.Context(), s.client(t)
	var made wire.CreateSignalingChannelOutput
	if err := as.Call(ctx, wire.ByName("CreateSignalingChannel"), &wire.CreateSignalingChannelInput{ChannelName: new("relayed")}, &made); err != nil {
		t.Fatal(err)
	}
	var told wire.GetIceServerConfigOutput
	if err := as.Call(ctx, wire.ByName("GetIceServerConfig"), &wire.GetIceServerConfigInput{ChannelARN: made.ChannelARN}, &told); err != nil {
		t.Fatal(err)
	}
	if len(told.IceServerList) != 1 || len(told.IceServerList[0].Uris) != 3 || *told.IceServerList[0].Ttl != 300 {
		t.Fatalf("%+v", told)
	}
	ice = told.IceServerList[0]
	u, err := url.Parse("turn://" + strings.TrimPrefix(ice.Uris[0], "turn:"))
	if err != nil {
		t.Fatal(err)
	}
	return s, ice, u.Port()
}

// TestTurnutils lets the programs of coturn call each other through the relay, over
// UDP, TCP, TLS and DTLS, with channels and with indications.
func TestTurnutils(t *testing.T) {
	s, ice, port := relayed(t)
	for name, flags := range map[string][]string{
		"UDP": nil, "UDP with indications": {"-s"}, "TCP": {"-t"}, "TLS": {"-t", "-S", "-s"}, "DTLS": {"-S"},
	} {
		t.Run(name, func(t *testing.T) {
			// -y: clients of the program are each other's peers, all behind the relay.
			args := append([]string{"-c", "-y", "-u", *ice.Username, "-w", *ice.Password, "-p", port, "-m", "4", "-n", "5", "-l", "170"}, flags...)
			out, errs, err := try(t, nil, nil, "turnutils_uclient", append(args, "127.0.0.1")...)
			if out += errs; err != nil || !strings.Contains(out, "Total lost packets 0 (") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		out, errs, err := try(t, nil, nil, "turnutils_uclient", "-c", "-y", "-u", *ice.Username, "-w", "wrong", "-p", port, "-n", "1", "127.0.0.1")
		if out += errs; err == nil || strings.Contains(out, "Total lost packets 0 (") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	s.out.wait(t, "relay ended")
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
