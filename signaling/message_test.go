package signaling

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestRefusedBeforeSending(t *testing.T) {
	long := `"` + strings.Repeat("x", MaxPayload) + `"`
	for want, m := range map[string]Message{
		"type":           {Type: StatusResponse, Peer: "anna", Payload: []byte("{}")},
		"names the":      {Type: Offer, Payload: []byte("{}")},
		"correlation":    {Type: Offer, Peer: "anna", Payload: []byte("{}"), CorrelationID: "a b"},
		"not JSON":       {Type: Offer, Peer: "anna", Payload: []byte("v=0")},
		"is too long":    {Type: Offer, Peer: "anna", Payload: []byte(long)},
		"not \"anna b\"": {Type: Offer, Peer: "anna b", Payload: []byte("{}")},
	} {
		if err := m.check(true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	m := Message{Type: Offer, Payload: []byte(`"` + strings.Repeat("x", 13_498) + `"`)}
	if err := m.check(false); err != nil || base64.StdEncoding.EncodedLen(len(m.Payload)) != MaxPayload {
		t.Errorf("the longest that fits, %d: %v", base64.StdEncoding.EncodedLen(len(m.Payload)), err)
	}
}

func TestPayloadsOfAllClients(t *testing.T) {
	const want = "{\"a\":\"\xfb\xff\xfe>?\"}"
	std := base64.StdEncoding.EncodeToString([]byte(want))
	for _, text := range []string{std, strings.TrimRight(std, "="), base64.URLEncoding.EncodeToString([]byte(want)), std[:4] + "\r\n" + std[4:]} {
		if got, err := payloadOf(text); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", text, got, err)
		}
	}
}

// FuzzDecode: nothing that a server writes makes the reader panic, and what it makes sense of
// has a type.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"", " ", "{}", "null", `{"messageType":"SDP_OFFER","messagePayload":"e30=","senderClientId":"anna"}`,
		`{"MessageType":"GO_AWAY","statusResponse":null}`, `{"messageType":"STATUS_RESPONSE","statusResponse":{"statusCode":"400","success":false}}`,
		`{"messageType":"ICE_CANDIDATE","messagePayload":"!"}`, `[`, `{"messageType":7}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := decode(text)
		if err == nil && m.Type == "" {
			t.Errorf("%q is %+v", text, m)
		}
	})
}
