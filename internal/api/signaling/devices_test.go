package signaling

import (
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/devicetest"
	"github.com/millrace/millrace/internal/quota"
)

// The samples of the C SDK take the first ICE server without looking whether there is one.
func TestTheCSDKAlwaysGetsAnICEServer(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	ask := `{"ChannelARN":"` + bell.ARN().String() + `"}`
	for agent, want := range map[string]string{
		"AWS-WEBRTC-KVS-AGENT/1.16.0/1.6.0 GCC/12.2.0 Linux/6.1.0 x86_64": `{"IceServerList":[{"Password":"none","Ttl":300,"Uris":["stun:127.0.0.1:9"],"Username":"none"}]}`,
		"AWS-SDK-KVS/3.0.0 Clang/12.0.0 Darwin/19.6.0 x86_64":             `{"IceServerList":[{"Password":"none","Ttl":300,"Uris":["stun:127.0.0.1:9"],"Username":"none"}]}`,
		"Boto3/1.43.11": `{"IceServerList":[]}`,
	} {
		if status, body := s.callAs(agent, "/v1/get-ice-server-config", ask); status != 200 || body != want {
			t.Errorf("%s: %d %s", agent, status, body)
		}
	}
}

// The C SDK hangs for ever when it is told that the server or the relay goes. Everybody else
// is told, in a message that every device can read.
func TestTheCSDKIsNotToldToGo(t *testing.T) {
	s := newStudio(t, quota.Open, Addresses{})
	told := s.join(viewerPath, "X-Amz-ClientId=anna")
	camera, _, err := websocket.Dial(t.Context(), s.sign(masterPath, byARN), &websocket.DialOptions{Subprotocols: []string{"wss"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = camera.CloseNow() }()
	seated(t, s, 1)
	s.hub.RenewICE()
	s.hub.Stop(time.Hour)
	for range 2 {
		if err := devicetest.Message([]byte(hear(t, told))); err != nil {
			t.Error(err)
		}
	}
	s.end() // the grace is over
	_, text, err := camera.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("got %s, %v; want to be closed", text, err)
	}
}
