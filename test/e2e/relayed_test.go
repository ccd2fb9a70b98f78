package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// relaying starts a server with a relay on loopback, which denies what is denied by default,
// and with further settings.
func relaying(t *testing.T, settings string) *server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yml")
	text := fmt.Sprintf("account: %q\nturn:\n  listen: ['127.0.0.1:0']\n  advertise: [127.0.0.1]\n%s", account, settings)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serveWith(t, config)
}

// behind checks that the browser is behind the relay, and what kind of address the other side has.
func (c *callReport) behind(t testing.TB, remote string) {
	t.Helper()
	if c.Pair == nil || c.Pair.Local.Type != "relay" || c.Pair.Remote.Type != remote {
		t.Errorf("the chosen pair is %+v, want relay and %s", c.Pair, remote)
	}
}

// relayWays are what a browser is left of GetIceServerConfig, and what its statistics call
// that. TCP without TLS is not among what the server names (three URIs, wire-webrtc section 5.1,
// and no client asks for it where there is TLS), but its port serves it: relay.md section 1.
var relayWays = []struct{ way, protocol, transport string }{
	{"turn udp", "udp", "udp"},
	{"turn tcp", "tcp", "tcp"},
	{"turns tcp", "tls", "tls"},
}

// Both sides may only use the relay, each by one transport: the pictures come, and the browser
// says that they came so. Nothing is allowed that is denied by default.
func TestJavaScriptWebRTCRelayed(t *testing.T) {
	t.Parallel()
	s := relaying(t, "")
	b := s.browse(t)
	for i, to := range relayWays {
		from := relayWays[(i+1)%len(relayWays)] // the master's
		t.Run(from.protocol+" and "+to.protocol, func(t *testing.T) {
			t.Parallel()
			name := from.protocol + "-" + to.protocol
			s.channel(t, name)
			ask := rtcMaster(name)
			ask.NAT, ask.Way = "relay", from.way
			master := b.join(t, s, ask)
			ask = rtcViewer(name, "anna")
			ask.NAT, ask.Way = "relay", to.way
			viewer := b.join(t, s, ask)
			seen := viewer.until(t, want{Calls: []string{""}, Frames: 50, Said: 2, Tone: masterTone})
			back := master.until(t, want{Calls: []string{"anna"}, Said: 2})
			for _, r := range []*peerReport{seen, back} {
				r.untroubled(t)
				for _, call := range r.Calls {
					call.chosen(t)
					call.behind(t, "relay")
				}
			}
			call := seen.Calls[""]
			call.film(t)
			if call.Decoded < 50 {
				t.Errorf("%d frames were decoded", call.Decoded)
			}
			for _, side := range []struct {
				got  string
				want string
			}{{call.Pair.Local.RelayProtocol, to.protocol}, {back.Calls["anna"].Pair.Local.RelayProtocol, from.protocol}} {
				if side.got != side.want {
					t.Errorf("the way to the relay is %q, want %q", side.got, side.want)
				}
			}
			viewer.leave(t)
			master.leave(t)
			for _, side := range []string{to.transport, from.transport} { // the SDK's examples do not say which client asks
				s.out.wait(t, `relay ended.* channel=`+name+` .*transport=`+side+` .*packets_in=[1-9]\d`)
			}
		})
	}
	t.Run("our viewer", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "theirs")
		ask := rtcMaster("theirs")
		ask.NAT = "relay"
		b.join(t, s, ask)
		file := temporary(t, "seen.mkv")
		viewer := s.begin(t, "webrtc", "viewer", "theirs", "-o", file, "--duration", "2s", "--relay-only")
		viewer.ended(t)
		viewer.says(t, `pair="relay relay"`, 1)
		if numbers := numbersOf(t, file); len(numbers) < 10 || numbers[0] < 0 {
			t.Errorf("the recording has frames %v", numbers)
		}
	})
	t.Run("our master", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "ours")
		video, sound := filmFiles(t, 60*filmRate)
		master := s.begin(t, "webrtc", "master", "ours", "--video", video, "--audio", sound, "--relay-only")
		ask := rtcViewer("ours", "anna")
		ask.NAT = "relay"
		seen := b.join(t, s, ask).until(t, want{Calls: []string{""}, Frames: 50, Tone: masterTone})
		seen.untroubled(t)
		seen.Calls[""].film(t)
		seen.Calls[""].behind(t, "relay")
		master.says(t, `pair="relay relay"`, 1)
	})
}

// Credentials begin calls and do not end them: pictures come when they have been without force
// for longer than they had it.
func TestCallsOutliveTheirCredentials(t *testing.T) {
	t.Parallel()
	const age = 15 * time.Second // a browser that is held up must still be able to begin
	s := relaying(t, fmt.Sprintf("limits: {relay.credential-age: %s}\n", age))
	b := s.browse(t)
	s.channel(t, "yard")
	video, _ := filmFiles(t, 60*filmRate)
	s.begin(t, "webrtc", "master", "yard", "--video", video, "--relay-only").says(t, "waiting for viewers", 1)
	file := temporary(t, "seen.mkv")
	ours := s.begin(t, "webrtc", "viewer", "yard", "--relay-only", "-o", file)
	ask := rtcViewer("yard", "anna")
	ask.NAT, ask.Reconnect = "relay", false
	theirs := b.join(t, s, ask)
	seen := theirs.until(t, want{Calls: []string{""}, Frames: 25})
	grows(t, file, 10_000)
	told := seen.IceServers[0]
	expiry, _, _ := strings.Cut(told.Username, ":")
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || time.Until(time.Unix(seconds, 0)) > age {
		t.Fatalf("the credentials are of %q, now it is %d", told.Username, time.Now().Unix())
	}
	pause(time.Until(time.Unix(seconds, 0).Add(age + time.Second)))
	// Nobody begins with them any more.
	port := portOf(fmt.Sprint(told.URLs.([]any)[0]))
	out, errs, err := try(t, nil, nil, "turnutils_uclient", "-c", "-y", "-u", told.Username, "-w", told.Credential, "-p", port, "-n", "1", "127.0.0.1")
	if err == nil || !strings.Contains(out+errs, "Cannot complete Allocation") {
		t.Errorf("the credentials hold for longer than %s: %v\n%s%s", age, err, out, errs)
	}
	theirs.forget(t)
	after := theirs.until(t, want{Calls: []string{""}, Frames: 25})
	after.untroubled(t)
	after.Calls[""].behind(t, "relay")
	grows(t, file, 10_000)
	ours.ends(t)
	rows(t, numbersOf(t, file), 60*filmRate, 0)
	if after.Offers != 1 || after.Opened != 1 || strings.Contains(ours.out.text(), "asking the master again") {
		t.Errorf("the calls were begun anew: %s\n%s", after, ours.out.tail(20))
	}
}
