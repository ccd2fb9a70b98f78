// Package stun reads and writes messages of STUN and TURN (RFC 8489, RFC 8656), and finds
// where one ends in a stream of bytes.
//
// Reading copies nothing: a [Message] is a view of the bytes that were parsed. Writing
// appends to a slice of the caller. Only what the relay needs is here; of what it does not
// know it says so ([Message.Unknown]).
//
//	2 bytes   type: 14 bits of method and class; the top two bits are 0
//	2 bytes   length of what follows the header, a multiple of 4
//	4 bytes   magic cookie 0x2112A442
//	12 bytes  transaction id
//	then attributes: 2 bytes type, 2 bytes length, the value, 0 to 3 bytes of padding
package stun

import (
	"encoding/binary"
	"errors"
	"iter"
	"slices"
)

// Method is what a message is about.
type Method uint16

// The methods of STUN and of the part of TURN that the relay serves.
const (
	Binding          Method = 0x001
	Allocate         Method = 0x003
	Refresh          Method = 0x004
	Send             Method = 0x006
	Data             Method = 0x007
	CreatePermission Method = 0x008
	ChannelBind      Method = 0x009
)

// String is the method's name in the RFCs.
func (m Method) String() string {
	switch m {
	case Binding:
		return "Binding"
	case Allocate:
		return "Allocate"
	case Refresh:
		return "Refresh"
	case Send:
		return "Send"
	case Data:
		return "Data"
	case CreatePermission:
		return "CreatePermission"
	case ChannelBind:
		return "ChannelBind"
	}
	return "unknown"
}

// Class is what a message is: a question, an answer or neither.
type Class uint8

// The classes.
const (
	Request Class = iota
	Indication
	Success
	Failure
)

const (
	headerSize = 20
	cookie     = 0x2112A442
	integrity  = 20 // bytes of HMAC-SHA-1
)

// ErrMalformed says that bytes are no message.
var ErrMalformed = errors.New("not a STUN message")

// Message is a view of a message's bytes. The zero value is none; [Parse] makes one.
type Message struct {
	raw []byte // header and all attributes
	end int    // where attributes end that count: behind MESSAGE-INTEGRITY only FINGERPRINT does
}

// Parse checks that b is one whole message with well-formed attributes and, if it has
// one, a fingerprint that fits. The message keeps b.
func Parse(b []byte) (Message, error) {
	if !Is(b) || len(b) != headerSize+int(binary.BigEndian.Uint16(b[2:])) {
		return Message{}, ErrMalformed
	}
	m := Message{raw: b, end: len(b)}
	signed := false
	for at := headerSize; at < len(b); {
		if len(b)-at < 4 {
			return Message{}, ErrMalformed
		}
		kind, length := Attribute(binary.BigEndian.Uint16(b[at:])), int(binary.BigEndian.Uint16(b[at+2:]))
		next := at + 4 + padded(length)
		if next > len(b) {
			return Message{}, ErrMalformed
		}
		switch {
		case kind == Fingerprint:
			// It is the last attribute wherever it is (RFC 8489, 14.7).
			if length != 4 || next != len(b) || binary.BigEndian.Uint32(b[at+4:]) != fingerprint(b[:at]) {
				return Message{}, ErrMalformed
			}
		case kind == MessageIntegrity && !signed:
			if length != integrity {
				return Message{}, ErrMalformed
			}
			// What stands behind it is not covered, so it is as if it were not there.
			signed, m.end = true, next
		}
		at = next
	}
	return m, nil
}

// Is says whether b begins like a message: enough to tell it from ChannelData and DTLS.
func Is(b []byte) bool {
	return len(b) >= headerSize && b[0] < 4 && b[3]&3 == 0 && binary.BigEndian.Uint32(b[4:]) == cookie
}

// Method returns the message's method.
func (m Message) Method() Method {
	t := binary.BigEndian.Uint16(m.raw)
	return Method(t&0xf | t>>1&0x70 | t>>2&0xf80)
}

// Class returns the message's class.
func (m Message) Class() Class {
	t := binary.BigEndian.Uint16(m.raw)
	return Class(t>>4&1 | t>>7&2)
}

// Fingerprinted says whether the message ends with a FINGERPRINT, as its answer then should.
func (m Message) Fingerprinted() bool {
	at := len(m.raw) - 8
	return at >= headerSize && Attribute(binary.BigEndian.Uint16(m.raw[at:])) == Fingerprint && m.last() == at
}

// last is where the last attribute begins.
func (m Message) last() (at int) {
	for next := headerSize; next < len(m.raw); next += 4 + padded(int(binary.BigEndian.Uint16(m.raw[next+2:]))) {
		at = next
	}
	return at
}

// Transaction returns the id by which an answer is found. It is a view.
func (m Message) Transaction() []byte { return m.raw[8:headerSize:headerSize] }

// attributes yields each attribute and where it begins.
func (m Message) attributes() iter.Seq2[int, Attribute] {
	return func(yield func(int, Attribute) bool) {
		for at := headerSize; at < m.end; at += 4 + padded(int(binary.BigEndian.Uint16(m.raw[at+2:]))) {
			if !yield(at, Attribute(binary.BigEndian.Uint16(m.raw[at:]))) {
				return
			}
		}
	}
}

// value returns the value of the attribute that begins at at.
func (m Message) value(at int) []byte {
	end := at + 4 + int(binary.BigEndian.Uint16(m.raw[at+2:]))
	return m.raw[at+4 : end : end]
}

// Get returns a view of the first attribute of a kind. An attribute behind
// MESSAGE-INTEGRITY is not found.
func (m Message) Get(kind Attribute) (value []byte, ok bool) {
	for at, k := range m.attributes() {
		if k == kind {
			return m.value(at), true
		}
	}
	return nil, false
}

// Len is how many bytes the message has.
func (m Message) Len() int { return len(m.raw) }

// Unknown returns the attributes that must be understood and are not; also are understood
// in this case.
func (m Message) Unknown(also ...Attribute) (kinds []Attribute) {
	for _, k := range m.attributes() {
		if k < 0x8000 && !k.known() && !slices.Contains(also, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// Signed says whether there is a MESSAGE-INTEGRITY and it was made with key.
func (m Message) Signed(key []byte) bool {
	at := m.end - integrity - 4
	if at < headerSize {
		return false
	}
	given, ok := m.Get(MessageIntegrity)
	// The length in the header is as if the message ended with this attribute.
	return ok && equal(given, sum(key, m.raw[:at], m.end-headerSize))
}

// padded rounds up to a multiple of 4.
func padded(n int) int { return (n + 3) &^ 3 }
