package probe

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// A packet of ours:
//
//	8 bytes  what all packets of a visit begin with, drawn
//	1 byte   kind
//	4 bytes  number
//	8 bytes  when it was sent, in ns since the beginning of the trip
//	then zeros up to the size
const (
	markSize   = 8
	headerSize = markSize + 1 + 4 + 8
)

// Kinds of packets.
const (
	knock  = 'k' // has its sender let the other side in
	hello  = 'h' // wants an answer; says that the way is open
	ping   = 'p' // wants an answer; is counted
	burden = 'b' // is counted
)

// mark tells packets of a visit from all others.
type mark [markSize]byte

func newMark() (m mark) {
	_, _ = rand.Read(m[:]) // never fails
	return m
}

// put writes the header of a packet.
func (m mark) put(b []byte, kind byte, number int, sent time.Duration) {
	copy(b, m[:])
	b[markSize] = kind
	binary.BigEndian.PutUint32(b[markSize+1:], uint32(number))
	binary.BigEndian.PutUint64(b[markSize+5:], uint64(sent))
}

// read reads the header; ok is false if the packet is not of this visit.
func (m mark) read(b []byte) (kind byte, number int, sent time.Duration, ok bool) {
	if len(b) < headerSize || mark(b[:markSize]) != m {
		return 0, 0, 0, false
	}
	return b[markSize], int(binary.BigEndian.Uint32(b[markSize+1:])), time.Duration(binary.BigEndian.Uint64(b[markSize+5:])), true
}
