package mkv

import "math/bits"

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
