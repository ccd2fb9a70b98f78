package mkv

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
)

// Limits of the numbers that this package lets through.
const (
	maxIDLength   = 4                           // RFC 9559 section 4: EBMLMaxIDLength
	maxSizeLength = 8                           // RFC 9559 section 4: EBMLMaxSizeLength
	maxHead       = maxIDLength + maxSizeLength // bytes of the longest element head
	maxTime       = 1 << 62                     // sums of two times below it fit an int64
)

// vintLength is the length that the first byte of a variable-size integer
// announces (RFC 8794 section 4), 1 to 8, or 9 when the byte is 0.
func vintLength(first byte) int { return bits.LeadingZeros8(first) + 1 }

// vintValue is the value of the whole variable-size integer b, marker removed,
// and whether all its value bits are ones: the reserved value.
func vintValue(b []byte) (v uint64, ones bool) {
	v = uint64(b[0]) & (0xFF >> len(b))
	for _, c := range b[1:] {
		v = v<<8 | uint64(c)
	}
	return v, v == 1<<(7*len(b))-1
}

// decodeID reads the element id b, which has the length its first byte
// announces. Ids of zeros only, of ones only, or longer than needed are none
// (RFC 8794 section 5).
func decodeID(b []byte) (id uint32, ok bool) {
	for _, c := range b {
		id = id<<8 | uint32(c)
	}
	v, ones := vintValue(b)
	if v == 0 || ones {
		return id, false
	}
	// A shorter form would do, unless its value bits were all ones.
	shorter := uint64(1)<<(7*(len(b)-1)) - 1
	return id, len(b) == 1 || v >= shorter
}

// decodeSize reads the element size b; -1 is the unknown size
// (RFC 8794 section 6.2).
func decodeSize(b []byte) int64 {
	v, ones := vintValue(b)
	if ones {
		return -1
	}
	return int64(v)
}

// element is an element that lies in memory whole.
type element struct {
	id     uint32
	offset int64 // where its id lies in the input
	start  int64 // where its data lies in the input
	data   []byte
}

// parseElement reads the element at the start of b, whose first byte is at
// offset of the input, and returns what follows it.
func parseElement(b []byte, offset int64) (e element, rest []byte, err error) {
	n := vintLength(b[0])
	if n > maxIDLength || n >= len(b) {
		return e, nil, syntaxError(offset, "byte %02X begins no element id here", b[0])
	}
	id, ok := decodeID(b[:n])
	if !ok {
		return e, nil, syntaxError(offset, "%X is no element id", b[:n])
	}
	m := vintLength(b[n])
	if m > maxSizeLength || n+m > len(b) {
		return e, nil, syntaxError(offset+int64(n), "byte %02X begins no size of %s here", b[n], elementName(id))
	}
	size := decodeSize(b[n : n+m])
	if size < 0 || size > int64(len(b)-n-m) {
		return e, nil, syntaxError(offset, "%s must have a known size and end inside its parent", elementName(id))
	}
	e = element{id: id, offset: offset, start: offset + int64(n+m), data: b[n+m : n+m+int(size)]}
	return e, b[n+m+int(size):], nil
}

// children calls f with each child of the master e, in order.
func (e element) children(f func(child element) error) error {
	for rest := e.data; len(rest) > 0; {
		child, after, err := parseElement(rest, e.start+int64(len(e.data)-len(rest)))
		if err != nil {
			return err
		}
		if err := f(child); err != nil {
			return err
		}
		rest = after
	}
	return nil
}

// uint is the value of an unsigned integer element; an empty one means its
// default (RFC 8794 section 6.1).
func (e element) uint(v *uint64) error {
	if len(e.data) > 8 {
		return syntaxError(e.offset, "%s: an integer has at most 8 bytes, not %d", elementName(e.id), len(e.data))
	}
	if len(e.data) == 0 {
		return nil
	}
	*v = 0
	for _, c := range e.data {
		*v = *v<<8 | uint64(c)
	}
	return nil
}

// int is the value of a signed integer element.
func (e element) int(v *int64) error {
	var u uint64
	if err := e.uint(&u); err != nil {
		return err
	}
	if n := len(e.data); n > 0 {
		shift := 64 - 8*n
		*v = int64(u<<shift) >> shift
	}
	return nil
}

// float is the value of a float element. One that is not a finite number
// means nothing here and is passed over like an empty one.
func (e element) float(v *float64) error {
	var got float64
	switch len(e.data) {
	case 0:
		return nil
	case 4:
		got = float64(math.Float32frombits(binary.BigEndian.Uint32(e.data)))
	case 8:
		got = math.Float64frombits(binary.BigEndian.Uint64(e.data))
	default:
		return syntaxError(e.offset, "%s: a float has 0, 4 or 8 bytes, not %d", elementName(e.id), len(e.data))
	}
	if !math.IsNaN(got) && !math.IsInf(got, 0) {
		*v = got
	}
	return nil
}

// text is the value of a string element. It ends at the first NUL
// (RFC 8794 section 13); some writers pad with NULs, GStreamer always adds one.
func (e element) text(v *string) error {
	s, _, _ := bytes.Cut(e.data, []byte{0})
	*v = string(s)
	return nil
}

// bytes is a copy of the value of a binary element.
func (e element) bytes(v *[]byte) error {
	*v = append([]byte{}, e.data...)
	return nil
}
