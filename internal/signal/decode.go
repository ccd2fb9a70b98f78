package signal

import (
	"errors"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/kvs"
)

// ErrEmpty is what Decode returns for a text without anything in it, which some clients
// send and which means nothing.
var ErrEmpty = errors.New("an empty message")

// Decode reads a client's message (signaling.md, section 4). An error other than [ErrEmpty]
// is of kind InvalidArgument and says what is wrong; the message that comes with it has the
// correlation id if there is a usable one, so that the sender can be told.
func Decode(text []byte) (Message, error) {
	p := scanner{text: text}
	p.space()
	if p.at == len(text) {
		return Message{}, ErrEmpty
	}
	var m members
	err := p.message(&m)
	correlation, idErr := m.correlationID()
	out := Message{CorrelationID: correlation}
	switch {
	case err != nil:
		return out, err
	case idErr != nil:
		return out, idErr
	}
	return m.message(out)
}

// value is a member of a message as the text has it.
type value struct {
	raw  []byte // without its quotes if it is a string
	text bool   // it is a string
}

// members are those that mean something; one that is absent or null is nil.
type members struct{ action, payload, recipient, correlation *value }

// member returns where the value of a member belongs, nil if nobody asks for it.
func (m *members) member(name []byte) **value {
	switch {
	case sameName(name, "action"):
		return &m.action
	case sameName(name, "messagePayload"):
		return &m.payload
	case sameName(name, "recipientClientId"):
		return &m.recipient
	case sameName(name, "correlationId"):
		return &m.correlation
	}
	return nil
}

// sameName compares without the case of ASCII letters, and of those only: to Unicode the
// sign of Kelvin is a k.
func sameName(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := range len(want) {
		if lower(name[i]) != lower(want[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// correlationID returns the id if it can be used. An empty one is as none.
func (m *members) correlationID() (string, error) {
	if m.correlation == nil {
		return "", nil
	}
	id := m.correlation.id()
	if id == "" || ValidID(id) {
		return id, nil
	}
	return "", kvs.Errorf(kvs.InvalidArgument, "correlationId must be 1 to %d characters of a-z, A-Z, 0-9, '_', '.' and '-'.", MaxID)
}

// id is the value as an id, NotAnID if it cannot be one.
func (v *value) id() string {
	// An id that is written with escapes is six times as long at most.
	if !v.text || len(v.raw) > 6*MaxID {
		return NotAnID
	}
	return string(unescape(v.raw))
}

// message fills out with what the members say.
func (m *members) message(out Message) (Message, error) {
	if m.action == nil {
		return out, kvs.Errorf(kvs.InvalidArgument, "The message has no action; it must be SDP_OFFER, SDP_ANSWER or ICE_CANDIDATE.")
	}
	if out.Action = m.action.action(); out.Action == None {
		return out, kvs.Errorf(kvs.InvalidArgument, "The action is not known; it must be SDP_OFFER, SDP_ANSWER or ICE_CANDIDATE.")
	}
	if m.recipient != nil {
		out.Recipient = m.recipient.id()
	}
	if m.payload == nil || !m.payload.text {
		return out, kvs.Errorf(kvs.InvalidArgument, "The message has no messagePayload; it must be text in base64.")
	}
	received := unescape(m.payload.raw)
	out.Size = len(received)
	var ok bool
	if out.Payload, ok = Normalize(received); !ok {
		return out, kvs.Errorf(kvs.InvalidArgument, "messagePayload must be base64 of 1 byte or more.")
	}
	return out, nil
}

func (v *value) action() Type {
	if !v.text || len(v.raw) > 6*len("ICE_CANDIDATE") {
		return None
	}
	switch string(unescape(v.raw)) {
	case "SDP_OFFER":
		return Offer
	case "SDP_ANSWER":
		return Answer
	case "ICE_CANDIDATE":
		return Candidate
	}
	return None
}

// CheckID returns an error of kind InvalidArgument if a master's recipient is none.
func CheckID(recipient string) error {
	if recipient == "" {
		return kvs.Errorf(kvs.InvalidArgument, "recipientClientId is required of a master: the client id of a viewer.")
	}
	if !ValidID(recipient) {
		return kvs.Errorf(kvs.InvalidArgument, "recipientClientId must be 1 to %d characters of a-z, A-Z, 0-9, '_', '.' and '-'.", MaxID)
	}
	return nil
}

// message reads the whole text into m. Members that were read before an error stay.
func (p *scanner) message(m *members) error {
	switch {
	case len(p.text) > MaxText:
		return kvs.Errorf(kvs.InvalidArgument, "The message has %d bytes; at most %d are allowed.", len(p.text), MaxText)
	case !utf8.Valid(p.text):
		return kvs.Errorf(kvs.InvalidArgument, "The message is not UTF-8.")
	}
	if ok := p.object(m); !ok {
		if p.deep {
			return kvs.Errorf(kvs.InvalidArgument, "The message is nested more than %d deep.", MaxDepth)
		}
		return kvs.Errorf(kvs.InvalidArgument, "The message is no JSON object, from byte %d on.", p.at)
	}
	return nil
}
