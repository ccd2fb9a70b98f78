package e2e

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// peerAsk is a master or a viewer of webrtc.js.
type peerAsk struct {
	Role         string            `json:"role"`         // MASTER, VIEWER
	EndpointRole string            `json:"endpointRole"` // that of the endpoint, if it is another one
	ClientID     string            `json:"clientId"`
	Channel      string            `json:"channel"`
	Create       bool              `json:"create"`     // whether the page makes the channel
	Send         []string          `json:"send"`       // video, audio
	First        int               `json:"first"`      // the number of the first frame
	Tone         int               `json:"tone"`       // of its sound, Hz; 0 = 440
	VideoCodec   string            `json:"videoCodec"` // the only one it knows; "" = all
	AudioCodec   string            `json:"audioCodec"`
	Data         bool              `json:"data"` // whether a viewer opens a data channel
	Trickle      bool              `json:"trickle"`
	NAT          string            `json:"nat"`       // disabled, all, relay
	Way          string            `json:"way"`       // the only one to the relay that it knows, such as "turns tcp"; "" = all
	Reconnect    bool              `json:"reconnect"` // whether it comes back when it lost the server or the master
	Age          int               `json:"age"`       // of its signature, seconds
	Endpoint     string            `json:"endpoint"`
	Region       string            `json:"region"`
	Credentials  map[string]string `json:"credentials"`
}

// Tones of a master and of a viewer, Hz.
const masterTone, viewerTone = 440, 660

// rtcMaster sends a moving picture and a tone, as the sample page's master does.
func rtcMaster(channel string) peerAsk {
	return peerAsk{Role: "MASTER", Channel: channel, Send: []string{"video", "audio"}, Tone: masterTone,
		VideoCodec: "video/H264", AudioCodec: "audio/opus", Trickle: true, NAT: "all", Reconnect: true}
}

// rtcViewer sends nothing but texts.
func rtcViewer(channel, id string) peerAsk {
	return peerAsk{Role: "VIEWER", Channel: channel, ClientID: id, Send: []string{}, Tone: viewerTone,
		Data: true, Trickle: true, NAT: "all", Reconnect: true}
}

// peerReport is how a peer is.
type peerReport struct {
	ARN        string
	Endpoints  map[string]string // by protocol
	IceServers []struct {
		URLs                 any
		Username, Credential string
	}
	Opened, Closed, Offers int
	Errors                 []string
	Statuses               []json.RawMessage
	Types                  map[string]int // messages that came, by type
	Endings                []struct {
		Code   int
		Reason string
	}
	Calls   map[string]*callReport // by client id; a viewer's is ""
	Missing bool                   // what was waited for did not come
}

// callReport is how a call is.
type callReport struct {
	State      string
	States     []string
	Frames     []int
	Unreadable int
	Decoded    int // frames, as the browser's statistics count them
	Tones      map[string]int
	Said       []string
	Candidates struct {
		Sent, Received int
		Failed         []string
	}
	Pair *struct {
		State         string
		Local, Remote struct {
			Type, Protocol, Address string
			RelayProtocol           string // by which the browser reaches its relay: udp, tcp, tls
			Port                    int
		}
	}
	Received, Sent struct{ Video, Audio string } // codecs
}

// peer is one in a page of its own.
type peer struct {
	*tab
	ask peerAsk
}

// join opens a page and lets it join a channel.
func (b *chromium) join(t testing.TB, s *server, ask peerAsk) *peer {
	t.Helper()
	p := b.peer(t, s, ask)
	p.call(t, "start", p.ask, nil)
	return p
}

// peer opens a page that is to join a channel.
func (b *chromium) peer(t testing.TB, s *server, ask peerAsk) *peer {
	t.Helper()
	ask.Endpoint, ask.Region = s.https, region
	ask.Credentials = map[string]string{"accessKeyId": s.key, "secretAccessKey": s.secret}
	if s.token != "" {
		ask.Credentials["sessionToken"] = s.token
	}
	return &peer{b.open(t, b.origin+"/webrtc.html", "window.start"), ask}
}

// want is what to wait for. Zero asks for nothing.
type want struct {
	Opened   int      `json:"opened"` // at least so often
	Closed   int      `json:"closed"`
	Errors   int      `json:"errors"`
	Calls    []string `json:"calls"`  // with whom to be connected
	Frames   int      `json:"frames"` // in each call
	Said     int      `json:"said"`
	Tone     int      `json:"tone"`
	Patience int      `json:"patience"` // milliseconds
}

// until waits until a peer has what is wanted.
func (p *peer) until(t testing.TB, w want) *peerReport {
	t.Helper()
	w.Patience = int(patience / time.Millisecond)
	if w.Calls == nil {
		w.Calls = []string{}
	}
	r := &peerReport{}
	p.call(t, "until", w, r)
	if r.Missing {
		t.Fatalf("%s %s has not %+v:\n%s", p.ask.Role, p.ask.ClientID, w, r)
	}
	return r
}

// forget forgets frames, tones and texts so far.
func (p *peer) forget(t testing.TB) { t.Helper(); p.call(t, "forget", nil, nil) }

// leave hangs up and closes the page.
func (p *peer) leave(t testing.TB) { t.Helper(); p.call(t, "leave", nil, nil); p.close(t) }

func (r *peerReport) String() string {
	b, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// untroubled checks that the SDK said nothing of errors, and that candidates were understood.
func (r *peerReport) untroubled(t testing.TB) {
	t.Helper()
	if len(r.Errors)+len(r.Statuses) > 0 {
		t.Errorf("errors %q, statuses %s", r.Errors, r.Statuses)
	}
	for from, c := range r.Calls {
		if len(c.Candidates.Failed) > 0 {
			t.Errorf("candidates of %q: %q", from, c.Candidates.Failed)
		}
	}
}

// film checks that the frames of a call rise and could be read, and that they are H.264 with Opus.
func (c *callReport) film(t testing.TB) {
	t.Helper()
	if !slices.IsSorted(c.Frames) {
		t.Errorf("frames do not rise: %v", c.Frames)
	}
	if c.Unreadable > 0 {
		t.Errorf("%d frames have no number", c.Unreadable)
	}
	if c.Received.Video != "video/H264" || c.Received.Audio != "audio/opus" {
		t.Errorf("the media are %+v", c.Received)
	}
}

// chosen checks that the chosen pair of candidates is to be seen. A pair that works is in
// progress whenever it is asked whether it still does.
func (c *callReport) chosen(t testing.TB) {
	t.Helper()
	if c.Pair == nil || c.Pair.State != "succeeded" && c.Pair.State != "in-progress" || c.Pair.Local.Port == 0 || c.Pair.Remote.Port == 0 || c.Pair.Local.Protocol != "udp" {
		t.Errorf("the chosen pair is %+v", c.Pair)
	}
}

// heard checks that texts went both ways by the data channel.
func (c *callReport) heard(t testing.TB, me, other string) {
	t.Helper()
	for _, text := range []string{"hello from " + other, "heard: hello from " + me} {
		if !slices.Contains(c.Said, text) {
			t.Errorf("%s did not hear %q but %q", me, text, c.Said)
		}
	}
}

// channel makes a channel and returns its ARN. Messages wait for two minutes: the machine may be slow.
func (s *server) channel(t testing.TB, name string) string {
	t.Helper()
	var made struct{ ChannelARN string }
	s.caller(t).must(t, "CreateSignalingChannel", object{"ChannelName": name, "SingleMasterConfiguration": object{"MessageTtlSeconds": 120}}, &made)
	return made.ChannelARN
}
