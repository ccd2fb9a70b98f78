package signaling

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/wire"
)

// What clients on devices cannot take. Each was seen with the real client.

// hangs reports whether a client must not be told GO_AWAY or RECONNECT_ICE_SERVER: the C SDK
// (1.10 to 1.16 at least) then waits for the end of its own thread, and never comes back. When its
// connection is just closed it connects again. Nobody else asks for this subprotocol but its
// successor for small devices, which does the same in both cases.
func hangs(r *http.Request) bool { return hasProtocol(r, "wss") }

func hasProtocol(r *http.Request, name string) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(p) == name {
				return true
			}
		}
	}
	return false
}

// needsServer reports whether a client cannot call anybody when there are no ICE servers: the
// samples of the C SDK take the first one without looking whether it is there.
func needsServer(r *http.Request) bool {
	agent := r.UserAgent()
	return strings.HasPrefix(agent, "AWS-WEBRTC-KVS-AGENT/") || strings.HasPrefix(agent, "AWS-SDK-KVS/")
}

// noServer is a list for those who need one where there is none: the discard port of the device
// itself, where nobody answers, and quickly.
func noServer() []wire.IceServer {
	return []wire.IceServer{ICEServer([]string{"stun:127.0.0.1:9"}, "", "", 300)}
}

// ICEServer is one that clients are told of, for so many seconds. A STUN server has a name and a
// password as well, which nobody asks for: some clients end without them.
func ICEServer(urls []string, username, password string, life int64) wire.IceServer {
	username, password = cmp.Or(username, "none"), cmp.Or(password, "none")
	return wire.IceServer{Uris: urls, Username: &username, Password: &password, Ttl: &life}
}
