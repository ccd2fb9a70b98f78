package stun

import (
	"encoding/binary"
	"errors"
)

// ChannelHead is how many bytes stand before the payload in ChannelData: the channel's
// number and the payload's length, two bytes each.
const ChannelHead = 4

// The numbers that channels may have. RFC 8656 ends them at 0x4FFF; those of RFC 5766, 11,
// are taken, too: its clients pick any of them, coturn's also the last, which is allowed in
// one place there and not in another.
const (
	FirstChannel = 0x4000
	LastChannel  = 0x7FFF
)

// ErrFrame says that a stream has something in it that is neither a STUN message nor
// ChannelData, so that nobody knows where the next message begins.
var ErrFrame = errors.New("neither a STUN message nor ChannelData")

// IsChannel says whether b begins like ChannelData.
func IsChannel(b []byte) bool { return len(b) >= ChannelHead && b[0] >= 0x40 && b[0] <= 0x7F }

// Channel takes ChannelData apart. The payload is a view; padding behind it is dropped.
func Channel(b []byte) (number uint16, payload []byte, ok bool) {
	if !IsChannel(b) {
		return 0, nil, false
	}
	end := ChannelHead + int(binary.BigEndian.Uint16(b[2:]))
	if end > len(b) {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(b), b[ChannelHead:end:end], true
}

// PutChannel writes the head of ChannelData to the first four bytes of b.
func PutChannel(b []byte, number uint16, length int) {
	binary.BigEndian.PutUint16(b, number)
	binary.BigEndian.PutUint16(b[2:], uint16(length))
}

// Frame says how many bytes of a stream the message at its beginning has, padding
// included; 0 = more bytes are needed to know.
func Frame(b []byte) (n int, err error) {
	switch {
	case len(b) < 4:
		return 0, nil
	case IsChannel(b):
		return ChannelHead + padded(int(binary.BigEndian.Uint16(b[2:]))), nil
	case b[0] >= 4 || b[3]&3 != 0:
		return 0, ErrFrame
	case len(b) < 8:
		return 0, nil
	case binary.BigEndian.Uint32(b[4:]) != cookie:
		return 0, ErrFrame
	}
	return headerSize + int(binary.BigEndian.Uint16(b[2:])), nil
}

// Padding is how many bytes follow a message of n bytes in a stream.
func Padding(n int) int { return padded(n) - n }
