package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/wire"
)

// gathering does what a trickle-ICE page does with one ICE server: it asks for candidates, and
// shows those that came and the errors.
const gathering = `(async (server) => {
  const c = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: 'relay' });
  const found = [], errors = [];
  c.onicecandidate = ({ candidate }) => { if (candidate?.candidate) found.push({ type: candidate.type, way: candidate.relayProtocol }); };
  c.onicecandidateerror = ({ errorCode, errorText }) => errors.push({ code: errorCode, text: errorText });
  const done = new Promise((resolve) => { c.onicegatheringstatechange = () => { if (c.iceGatheringState === 'complete') resolve(); }; });
  c.createDataChannel('any');
  await c.setLocalDescription();
  await done;
  c.close();
  return { found, errors };
})(%s)`

// gathered is what it shows.
type gathered struct {
	Found  []struct{ Type, Way string }
	Errors []struct {
		Code int
		Text string
	}
}

func (p *tab) gather(t testing.TB, uri, user, password string) (g gathered) {
	t.Helper()
	server, err := json.Marshal(object{"urls": uri, "username": user, "credential": password})
	if err != nil {
		t.Fatal(err)
	}
	p.evaluate(t, fmt.Sprintf(gathering, server), &g)
	return g
}

// H11 to its end: what the aws command says of a channel's endpoints and relays (joinChannel has
// the other forms), typed into a trickle-ICE page, gives a relay address with each URI, and a
// reason to whoever mistypes it.
func TestAWSCLIServersInATrickleICEPage(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal(err)
	}
	s := relaying(t, "")
	a := awsCommand{s, program}
	arn := s.channel(t, "door")
	var endpoints wire.GetSignalingChannelEndpointOutput
	a.awsTo(t, &endpoints, "kinesisvideo", "get-signaling-channel-endpoint", "--channel-arn", arn,
		"--single-master-channel-endpoint-configuration", "Protocols=WSS,HTTPS,Role=MASTER")
	var https string
	for _, e := range endpoints.ResourceEndpointList {
		if *e.Protocol == "HTTPS" {
			https = *e.ResourceEndpoint
		}
	}
	if len(endpoints.ResourceEndpointList) != 2 || https == "" {
		t.Fatalf("get-signaling-channel-endpoint: %+v", endpoints)
	}
	var ice wire.GetIceServerConfigOutput
	a.https = https
	a.awsTo(t, &ice, "kinesis-video-signaling", "get-ice-server-config", "--channel-arn", arn, "--service", "TURN", "--client-id", "me")
	if len(ice.IceServerList) != 1 || len(ice.IceServerList[0].Uris) != 3 || *ice.IceServerList[0].Ttl != 300 {
		t.Fatalf("get-ice-server-config: %+v", ice)
	}
	told := ice.IceServerList[0]
	b := s.browse(t)
	page := b.open(t, b.origin+"/webrtc.html", "window.RTCPeerConnection")
	for i, transport := range []string{"udp", "tls", "tls"} { // turns is TLS over TCP in Chromium, whatever the URI says
		g := page.gather(t, told.Uris[i], *told.Username, *told.Password)
		for _, f := range g.Found {
			if f.Type != "relay" || transport == "tls" && f.Way != transport {
				t.Errorf("%s: %+v", told.Uris[i], g)
			}
		}
		if len(g.Found) == 0 || len(g.Errors) > 0 {
			t.Errorf("%s: %+v, want relays", told.Uris[i], g)
		}
		s.out.wait(t, `relay ended.* channel=door client=me .*transport=`+transport)
	}
	g := page.gather(t, told.Uris[0], *told.Username, "wrong")
	g.refused(t, 401)
	g = page.gather(t, strings.Replace(told.Uris[2], portOf(told.Uris[2]), deaf(t), 1), *told.Username, *told.Password)
	g.refused(t, 701)
}

// refused checks that there is no candidate, and why.
func (g gathered) refused(t testing.TB, code int) {
	t.Helper()
	if len(g.Found) > 0 || len(g.Errors) == 0 || g.Errors[0].Code != code {
		t.Errorf("%+v, want the error %d", g, code)
	}
}

// portOf is the port of a URI that GetIceServerConfig says.
func portOf(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return uri[strings.LastIndex(uri, ":")+1:]
}

// deaf returns a port whose server hangs up on everybody.
func deaf(t testing.TB) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
