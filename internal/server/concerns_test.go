package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/config"
)

// fits are settings that nobody needs to be asked about.
func fits(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS, c.Account = t.TempDir(), "127.0.0.1:0", "", config.DevAccount
	c.Archive.Reserve = 0
	if all := Concerns(c); len(all) != 0 {
		t.Fatalf("%+v", all)
	}
	return c
}

// Secrets that everybody can read are told, not those of a group.
func TestReadableSecrets(t *testing.T) {
	c := fits(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Login.OIDC.ClientSecretFile = file
	c.Signaling.ICEServers = []string{"turn:turn.example.com:3478?transport=udp secret_file=" + file, "turn:turn.example.com:3479?transport=udp username=u credential_file=" + file}
	for mode, want := range map[os.FileMode]string{0o600: "", 0o640: "", 0o644: "login.oidc.client_secret_file signaling.ice_servers signaling.ice_servers"} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range Concerns(c) {
			if got = append(got, m.Setting); !strings.Contains(m.Text, file) || strings.Contains(m.Text, "hush") {
				t.Error(m.Text)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("with mode %o: %q", mode, got)
		}
	}
}

// A range of ports for a handful of clients is told, if there is a relay.
func TestFewRelayPorts(t *testing.T) {
	c := fits(t)
	c.Turn.RelayPorts = "50000-50098"
	if all := Concerns(c); len(all) != 0 {
		t.Errorf("there is no relay: %+v", all)
	}
	c.Turn.Listen, c.Turn.Advertise = []string{"127.0.0.1:0"}, []string{"203.0.113.7"}
	if all := Concerns(c); len(all) != 1 || all[0].Setting != "turn.relay_ports" || !strings.Contains(all[0].Text, "of these 99 ports 50") {
		t.Errorf("%+v", all)
	}
	c.Turn.RelayPorts = "50000-50099"
	if all := Concerns(c); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}
