package signaling

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Type says what a [Message] is.
type Type string

// The types of messages.
const (
	Offer     Type = "SDP_OFFER"     // {"type":"offer","sdp":"..."}
	Answer    Type = "SDP_ANSWER"    // {"type":"answer","sdp":"..."}
	Candidate Type = "ICE_CANDIDATE" // {"candidate":"...","sdpMid":"0","sdpMLineIndex":0}

	// StatusResponse says that the server refused a message that had a CorrelationID.
	StatusResponse Type = "STATUS_RESPONSE"
	// ReconnectICEServer says that the relays are about to change: what [Peer.ICEServers]
	// returns from now on is new.
	ReconnectICEServer Type = "RECONNECT_ICE_SERVER"

	goAway Type = "GO_AWAY" // is not handed out: the Peer connects anew
)

// Message is what peers send each other through a channel, or what the server says.
type Message struct {
	Type Type

	// Peer is the client id of the viewer from which the message came, or to which a master
	// sends it. It is empty when a viewer sends, and when it comes from the master.
	Peer string

	// Payload is JSON as the other side wrote it.
	Payload []byte

	// CorrelationID, when it is not empty, has the server answer with a StatusResponse if it
	// refuses the message: 1 to 256 of [a-zA-Z0-9_.-]. It does not reach the other side.
	CorrelationID string

	// Status is set in a StatusResponse.
	Status *Status
}

// Status is why the server refused a message.
type Status struct {
	CorrelationID string // of the message
	ErrorType     string // such as "InvalidArgumentException"
	StatusCode    string // such as "400"
	Description   string // for people
	Success       bool   // true only from servers that acknowledge, too
}

// MaxPayload is how long a payload may be, in bytes of base64, as this project's server
// takes it; the original service takes 10,000.
const MaxPayload = 18_000

// envelope is a message on the wire, in either direction (wire-webrtc section 4).
type envelope struct {
	Action        Type        `json:"action,omitempty"`
	Recipient     string      `json:"recipientClientId,omitempty"`
	Payload       string      `json:"messagePayload"`
	CorrelationID string      `json:"correlationId,omitempty"`
	Type          Type        `json:"messageType,omitempty"`
	Sender        string      `json:"senderClientId,omitempty"`
	Status        *wireStatus `json:"statusResponse,omitempty"`
}

// wireStatus is a Status on the wire.
type wireStatus struct {
	CorrelationID string `json:"correlationId"`
	ErrorType     string `json:"errorType"`
	StatusCode    string `json:"statusCode"`
	Description   string `json:"description"`
	Success       bool   `json:"success"`
}

var (
	clientID    = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,256}$`)
	correlation = clientID
)

// check refuses what the server would refuse.
func (m *Message) check(master bool) error {
	switch {
	case m.Type != Offer && m.Type != Answer && m.Type != Candidate:
		return fmt.Errorf("signaling: a message of type %q cannot be sent", m.Type)
	case master && !clientID.MatchString(m.Peer):
		return fmt.Errorf("signaling: a master names the viewer to whom a message goes: 1 to 256 of [a-zA-Z0-9_.-], not %.300q", m.Peer)
	case m.CorrelationID != "" && !correlation.MatchString(m.CorrelationID):
		return fmt.Errorf("signaling: a correlation id is 1 to 256 of [a-zA-Z0-9_.-], not %.300q", m.CorrelationID)
	case !json.Valid(m.Payload):
		return errors.New("signaling: the payload of a message is not JSON")
	case base64.StdEncoding.EncodedLen(len(m.Payload)) > MaxPayload:
		return fmt.Errorf("signaling: a payload of %d bytes is too long: in base64 it may have %d", len(m.Payload), MaxPayload)
	}
	return nil
}

// encode writes a message as clients send it.
func (m *Message) encode(master bool) ([]byte, error) {
	e := envelope{Action: m.Type, CorrelationID: m.CorrelationID, Payload: base64.StdEncoding.EncodeToString(m.Payload)}
	if master {
		e.Recipient = m.Peer
	}
	return json.Marshal(e)
}

// errEmpty is the text that some servers send and that says nothing.
var errEmpty = errors.New("an empty message")

// decode reads a message of the server.
func decode(text []byte) (Message, error) {
	var e envelope
	if len(bytes.TrimSpace(text)) == 0 {
		return Message{}, errEmpty
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return Message{}, err
	}
	if e.Type == "" {
		return Message{}, errors.New("a message without messageType")
	}
	payload, err := payloadOf(e.Payload)
	if err != nil {
		return Message{}, fmt.Errorf("messagePayload of %s: %w", e.Type, err)
	}
	m := Message{Type: e.Type, Peer: e.Sender, Payload: payload}
	if e.Status != nil {
		m.Status = new(Status(*e.Status))
	}
	return m, nil
}

// payloadOf reads base64 in the forms in which clients write it, since not every server
// writes it anew.
func payloadOf(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/", "\r", "", "\n", "").Replace(text)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}
