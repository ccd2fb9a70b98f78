package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A browser with the official SDK (H7: the script's window.KVSWebRTC) is master and viewer of a
// channel made by the command (H1): frames rise, the tone is there, texts go both ways, and the
// chosen candidates are to be seen (H12).
func TestJavaScriptWebRTC(t *testing.T) {
	s := serve(t)
	b := s.browse(t)
	t.Run("two viewers, H1 H7 H12", func(t *testing.T) {
		t.Parallel()
		said := run(t, s.variables(), program(t), "channel", "create", "yard", "--ttl", "60s")
		master := b.join(t, s, rtcMaster("yard"))
		for _, id := range []string{"anna", "ben"} {
			viewer := b.join(t, s, rtcViewer("yard", id))
			seen := viewer.until(t, want{Calls: []string{""}, Frames: 50, Said: 2, Tone: masterTone})
			seen.untroubled(t)
			call := seen.Calls[""]
			call.film(t)
			call.chosen(t)
			call.heard(t, id, "the master")
			if !strings.Contains(said, seen.ARN) {
				t.Errorf("the page's channel is %s, the command says %s", seen.ARN, said)
			}
			if call.Candidates.Received == 0 || call.Candidates.Sent == 0 {
				t.Errorf("candidates did not trickle: %+v", call.Candidates)
			}
		}
		both := master.until(t, want{Calls: []string{"anna", "ben"}, Said: 2})
		both.untroubled(t)
		for _, id := range []string{"anna", "ben"} {
			both.Calls[id].heard(t, "the master", id)
		}
	})
	t.Run("media both ways without trickle, H4 H5", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "talk")
		ask := rtcMaster("talk")
		ask.Trickle = false
		master := b.join(t, s, ask)
		ask = rtcViewer("talk", "anna")
		ask.Trickle, ask.Send, ask.First = false, []string{"video", "audio"}, 10_000
		viewer := b.join(t, s, ask)
		seen := viewer.until(t, want{Calls: []string{""}, Frames: 50, Said: 2, Tone: masterTone})
		back := master.until(t, want{Calls: []string{"anna"}, Frames: 50, Said: 2, Tone: viewerTone})
		for _, r := range []*peerReport{seen, back} {
			r.untroubled(t)
			for _, call := range r.Calls {
				call.film(t)
				if call.Candidates.Received != 0 {
					t.Errorf("%d candidates trickled", call.Candidates.Received)
				}
			}
		}
		if first := seen.Calls[""].Frames[0]; first >= 10_000 {
			t.Errorf("the viewer sees itself: frame %d", first)
		}
		if first := back.Calls["anna"].Frames[0]; first < 10_000 {
			t.Errorf("the master sees itself: frame %d", first)
		}
	})
	t.Run("the page makes the channel, any NAT option, H6", func(t *testing.T) {
		t.Parallel()
		ask := rtcMaster("made")
		ask.Create, ask.NAT = true, "disabled"
		b.join(t, s, ask)
		for _, nat := range []string{"disabled", "all"} {
			ask := rtcViewer("made", "nat-"+nat)
			ask.NAT = nat
			seen := b.join(t, s, ask).until(t, want{Calls: []string{""}, Frames: 10})
			seen.untroubled(t)
			seen.Calls[""].film(t)
		}
		if out := run(t, s.variables(), program(t), "channel", "describe", "made"); !strings.Contains(out, ":channel/made/") {
			t.Errorf("channel describe says %s", out)
		}
	})
	t.Run("the viewer is first", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "early")
		viewer := b.join(t, s, rtcViewer("early", "anna"))
		viewer.until(t, want{Opened: 1})
		b.join(t, s, rtcMaster("early"))
		seen := viewer.until(t, want{Calls: []string{""}, Frames: 25})
		seen.untroubled(t)
		seen.Calls[""].film(t)
		if seen.Offers != 1 || seen.Opened != 1 {
			t.Errorf("the viewer sent %d offers on %d connections; the first waits", seen.Offers, seen.Opened)
		}
	})
	t.Run("the same client id twice", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "twice")
		b.join(t, s, rtcMaster("twice"))
		ask := rtcViewer("twice", "anna")
		ask.Reconnect = false
		older := b.join(t, s, ask)
		older.until(t, want{Calls: []string{""}, Frames: 10})
		newer := b.join(t, s, ask)
		newer.until(t, want{Calls: []string{""}, Frames: 10})
		if r := older.until(t, want{Closed: 1}); len(r.Endings) != 1 || !strings.Contains(r.Endings[0].Reason, "replaced") {
			t.Errorf("the older connection ended with %+v", r.Endings)
		}
		if r := newer.until(t, want{Opened: 1}); r.Closed != 0 {
			t.Errorf("the newer connection ended: %s", r)
		}
	})
	t.Run("no common codec", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "babel")
		ask := rtcMaster("babel")
		ask.VideoCodec = "video/VP8"
		b.join(t, s, ask)
		ask = rtcViewer("babel", "anna")
		ask.VideoCodec = "video/H264"
		b.join(t, s, ask).until(t, want{Calls: []string{""}, Said: 2, Tone: masterTone})
		s.out.wait(t, `msg="no common codec" channel=babel client=anna .*medium=video .*offered=.*H264`)
	})
	t.Run("refused connections are errors", func(t *testing.T) {
		t.Parallel()
		s.channel(t, "shut")
		expired := rtcViewer("shut", "anna")
		expired.Age = 3600
		role := rtcMaster("shut")
		role.EndpointRole = "VIEWER" // which needs a client id, and a master has none
		for name, ask := range map[string]peerAsk{"an expired URL": expired, "the other role": role} {
			ask.Reconnect = false
			if r := b.join(t, s, ask).until(t, want{Errors: 1, Closed: 1}); r.Opened != 0 {
				t.Errorf("%s: %s", name, r)
			}
		}
	})
}

// A lost master is replaced by another one: viewers that run find it by what waits in the channel.
func TestJavaScriptWebRTCMasterLost(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := s.browse(t)
	s.channel(t, "yard")
	master := b.join(t, s, rtcMaster("yard"))
	var viewers []*peer
	for _, id := range []string{"anna", "ben"} {
		v := b.join(t, s, rtcViewer("yard", id))
		v.until(t, want{Calls: []string{""}, Frames: 10})
		viewers = append(viewers, v)
	}
	master.close(t)
	ask := rtcMaster("yard")
	ask.First = 20_000
	b.join(t, s, ask)
	for _, v := range viewers {
		var r *peerReport
		eventually(t, "the frames of the new master", func() error {
			v.forget(t)
			r = v.until(t, want{Calls: []string{""}, Frames: 10})
			return within(r.Calls[""].Frames, 20_000)
		})
		r.Calls[""].film(t)
		if r.Opened != 1 || r.Closed != 0 {
			t.Errorf("the viewer connected %d times", r.Opened)
		}
	}
	seats(t, s, b, viewers)
}

// seats fills the channel: who comes again with the same client id takes the seat of the older
// connection, another one is refused until somebody leaves.
func seats(t *testing.T, s *server, b *chromium, viewers []*peer) {
	t.Helper()
	run(t, s.variables(), program(t), "limit", "set", "ConnectAsViewer.sessions", strconv.Itoa(len(viewers)))
	older := viewers[0]
	older.call(t, "settle", nil, nil)
	again := b.join(t, s, older.ask)
	again.until(t, want{Calls: []string{""}, Frames: 10})
	older.until(t, want{Closed: 1})
	again.leave(t)
	ask := rtcViewer("yard", "carl")
	b.join(t, s, ask).until(t, want{Calls: []string{""}, Frames: 10})
	ask.ClientID, ask.Reconnect = "dora", false
	if r := b.join(t, s, ask).until(t, want{Errors: 1, Closed: 1}); r.Opened != 0 {
		t.Errorf("one viewer too many is let in: %s", r)
	}
}

// within checks that all frames are of those that begin with a number.
func within(frames []int, first int) error {
	if slices.Min(frames) < first {
		return os.ErrNotExist
	}
	return nil
}

// A server that stops says so, and one that comes back finds its peers again; what is between
// them goes on meanwhile.
func TestJavaScriptWebRTCServerRestarts(t *testing.T) {
	t.Parallel()
	gate := newGate(t)
	config := filepath.Join(t.TempDir(), "millrace.yml")
	if err := os.WriteFile(config, []byte("account: \""+account+"\"\nendpoint: "+gate.url+"\nshutdown: 3s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, config)
	gate.to(s)
	b := s.browse(t)
	s.channel(t, "yard")
	through := *s
	through.https = gate.url
	master := b.join(t, &through, rtcMaster("yard"))
	viewer := b.join(t, &through, rtcViewer("yard", "anna"))
	viewer.until(t, want{Calls: []string{""}, Frames: 10, Said: 2})
	s.stop(t)
	for _, p := range []*peer{master, viewer} {
		r := p.until(t, want{Closed: 1})
		if r.Types["GO_AWAY"] != 1 || r.Endings[0].Code != 1001 {
			t.Errorf("%s was told %v and closed with %+v", p.ask.Role, r.Types, r.Endings[0])
		}
	}
	viewer.forget(t)
	viewer.until(t, want{Calls: []string{""}, Frames: 25}) // while there is no server
	next := s.again(t)
	gate.to(next)
	master.until(t, want{Opened: 2})
	viewer.forget(t)
	seen := viewer.until(t, want{Opened: 2, Calls: []string{""}, Frames: 25})
	if seen.Offers != 1 {
		t.Errorf("the viewer sent %d offers: its call did not survive", seen.Offers)
	}
	through.https = gate.url
	b.join(t, &through, rtcViewer("yard", "ben")).until(t, want{Calls: []string{""}, Frames: 10, Said: 2})
}
