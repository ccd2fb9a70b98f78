// Package signal reads and writes the messages that travel over a signaling channel's
// websockets, as clients send them and as they are delivered.
//
// A client's message is a JSON object in one text frame:
//
//	{"action":"SDP_OFFER","recipientClientId":"anna","messagePayload":"<base64>","correlationId":"7"}
//
// and what we send is another:
//
//	{"messagePayload":"<base64>","messageType":"SDP_OFFER","senderClientId":"anna"}
//
// Clients differ in the case of names, in the alphabet of base64 and in what they say
// besides; [Decode] takes all of them, in time and memory linear in the text, and the
// Append functions write what every known client reads. Nothing here knows who may send
// what: that is the hub's. All functions may be called from many goroutines.
package signal

import "strings"

// Type is what a message is for.
type Type uint8

// The types of messages. The first three are what clients send (their `action`), the
// rest are the server's own.
const (
	None Type = iota
	Offer
	Answer
	Candidate
	StatusResponse
	GoAway
	ReconnectICE
)

var typeNames = [...]string{"", "SDP_OFFER", "SDP_ANSWER", "ICE_CANDIDATE", "STATUS_RESPONSE", "GO_AWAY", "RECONNECT_ICE_SERVER"}

// String returns the type as the wire has it, "" for None.
func (t Type) String() string { return typeNames[t] }

// Limits of texts that clients send.
const (
	MaxText  = 64 << 10 // bytes of a whole message
	MaxDepth = 32       // of JSON values in one another
	MaxID    = 256      // characters of a client id or a correlation id
)

// Message is what a client sent.
type Message struct {
	Action Type // Offer, Answer or Candidate

	// Recipient is the client id that the message names: "" if none or null, [NotAnID] if
	// it is no text. It is not checked, since that of a viewer does not matter; see [CheckID].
	Recipient string

	// CorrelationID is how the sender will know a STATUS_RESPONSE, "" if it wants none.
	CorrelationID string

	Payload string // base64 in the standard alphabet with padding; never empty
	Size    int    // characters of the payload as it was received
}

// NotAnID stands for an id that is a number, a list or the like. It is not valid as one.
const NotAnID = "?"

// ValidID reports whether s may be a client id or a correlation id: 1 to 256 characters
// of letters, digits, underscore, dot and hyphen.
func ValidID(s string) bool {
	if s == "" || len(s) > MaxID {
		return false
	}
	for i := range len(s) {
		if !idByte(s[i]) {
			return false
		}
	}
	return true
}

func idByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-'
}

// ValidClientID reports whether a client may call itself id: a valid id that does not
// begin with AWS_, in any case.
func ValidClientID(id string) bool {
	const reserved = "AWS_"
	return ValidID(id) && (len(id) < len(reserved) || !strings.EqualFold(id[:len(reserved)], reserved))
}
