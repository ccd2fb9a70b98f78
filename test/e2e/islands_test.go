package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// islandsAt is in the environment of a test that runs between two networks: the directory of
// their files.
const islandsAt = "E2E_ISLANDS"

// sail has a test run once more between two networks without a way to each other (islands), as
// a program of its own. It reports whether this is that program.
func sail(t *testing.T) (there bool) {
	t.Helper()
	if os.Getenv(islandsAt) != "" {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	dir := t.TempDir()
	c := exec.CommandContext(ctx, "./islands", dir, self, "-test.run=^"+t.Name()+"$", "-test.timeout="+(2*patience).String(), "-binary="+program(t))
	c.Env = environment(islandsAt + "=" + dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("between the islands: %v\n%s", err, out)
	}
	return false
}

// where prepares a command that runs where the clients of the server are.
func (s *server) where(name string, args ...string) *exec.Cmd {
	if s.island == "" {
		return exec.Command(name, args...)
	}
	return exec.Command("nsenter", append([]string{"--net=" + s.island, name}, args...)...)
}

// hostOf is the host of a URL.
func hostOf(t testing.TB, base string) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u.Hostname()
}

// between starts a server that is reached from both islands, and returns it as each sees it.
func between(t *testing.T, settings string) (s, west, east *server) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yml")
	text := fmt.Sprintf("account: %q\ntls: {names: [10.1.0.1, 10.2.0.1]}\n%s", account, settings)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = serveWith(t, config, "--https", "0.0.0.0:0")
	from := func(name, host string) *server {
		as := *s
		u, err := url.Parse(s.https)
		if err != nil {
			t.Fatal(err)
		}
		as.https = "https://" + net.JoinHostPort(host, u.Port())
		as.island = filepath.Join(os.Getenv(islandsAt), name)
		return &as
	}
	west, east = from("west", "10.1.0.1"), from("east", "10.2.0.1")
	s.https = west.https
	return s, west, east
}

// Two networks without a way to each other, each with the server alone for a neighbour: peers that
// were told nothing of it find each other through the relay, and without one they do not.
func TestIslands(t *testing.T) {
	t.Parallel()
	if !sail(t) {
		return
	}
	const frames = 60 * filmRate
	video, _ := filmFiles(t, frames)
	t.Run("with a relay", func(t *testing.T) {
		t.Parallel()
		s, west, east := between(t, "turn: {listen: ['10.1.0.1:0', '10.2.0.1:0']}\n") // it finds an address by itself
		s.channel(t, "yard")
		master := west.begin(t, "webrtc", "master", "yard", "--video", video, "-v")
		master.says(t, "waiting for viewers", 1)
		file := temporary(t, "seen.mkv")
		viewer := east.begin(t, "webrtc", "viewer", "yard", "-o", file, "--duration", "2s", "--client-id", "ben", "-v")
		viewer.ended(t)
		for who, c := range map[string]*companion{"the viewer": viewer, "the master": master} {
			if !strings.Contains(c.out.text(), `pair="relay relay"`) {
				t.Errorf("%s is not behind the relay:\n%s", who, c.out.tail(20))
			}
		}
		rows(t, numbersOf(t, file), frames, 0)
		s.out.wait(t, `relay ended.* channel=yard client=ben .*packets_in=[1-9]\d\d`)
	})
	t.Run("Chromium, at the relay by IPv6", func(t *testing.T) {
		t.Parallel()
		quay, passenger := "10.2.0.1", "10.2.0.2"
		if hasIPv6() {
			quay, passenger = "[fd02::1]", "[fd02::2]"
		}
		s, west, east := between(t, "turn: {listen: ['10.1.0.1:0', '"+quay+":0'], advertise: [10.1.0.1]}\n")
		s.channel(t, "yard")
		west.begin(t, "webrtc", "master", "yard", "--video", video).says(t, "waiting for viewers", 1)
		viewer := east.browse(t).join(t, east, rtcViewer("yard", "anna"))
		seen := viewer.until(t, want{Calls: []string{""}, Frames: 50})
		seen.untroubled(t)
		seen.Calls[""].chosen(t)
		seen.Calls[""].behind(t, "relay")
		viewer.leave(t)
		s.out.wait(t, `relay ended.* source=`+regexp.QuoteMeta(passenger)+`:\d+ .*packets_in=[1-9]\d`)
	})
	t.Run("behind a 1:1 NAT", func(t *testing.T) {
		t.Parallel()
		run(t, nil, "ip", "address", "add", "10.3.0.1/32", "dev", "lo")
		for _, rule := range []string{"PREROUTING -d 203.0.113.7 -j DNAT --to-destination 10.3.0.1", "POSTROUTING -s 10.3.0.1 -j SNAT --to-source 203.0.113.7"} {
			run(t, nil, "iptables", append([]string{"-t", "nat", "-A"}, strings.Fields(rule)...)...)
		}
		// One side is relayed, the other speaks to the relay address itself: through the NAT, both.
		s, west, east := between(t, "turn: {listen: ['10.3.0.1:0'], advertise: [10.3.0.1=203.0.113.7], allow_peers: [10.1.0.0/24]}\n")
		s.channel(t, "yard")
		west.begin(t, "webrtc", "master", "yard", "--video", video).says(t, "waiting for viewers", 1)
		file := temporary(t, "seen.mkv")
		viewer := east.begin(t, "webrtc", "viewer", "yard", "-o", file, "--duration", "2s", "--client-id", "ben", "-v")
		viewer.ended(t)
		viewer.out.wait(t, `connected to the master.*pair="relay (host|prflx)"`)
		rows(t, numbersOf(t, file), frames, 0)
		s.out.wait(t, `relay ended.* client=ben .* relay=203\.0\.113\.7:.*packets_in=[1-9]\d\d`)
	})
	t.Run("without one", func(t *testing.T) {
		t.Parallel()
		s, west, east := between(t, "")
		s.channel(t, "yard")
		west.begin(t, "webrtc", "master", "yard", "--video", video).says(t, "waiting for viewers", 1)
		viewer := east.begin(t, "webrtc", "viewer", "yard")
		viewer.says(t, "the master has answered", 1)
		viewer.says(t, "asking the master again", 1)
		if strings.Contains(viewer.out.text(), "connected to the master") {
			t.Errorf("there is a way without the relay:\n%s", viewer.out.tail(20))
		}
	})
}
