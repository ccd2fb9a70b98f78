package codec

import (
	"bytes"
	"encoding/binary"
	"math"
)

// split cuts a byte stream at its start codes (ISO/IEC 14496-10, Annex B). ok is false if
// it does not begin with one.
func split(b []byte) (units [][]byte, ok bool) {
	code := []byte{0, 0, 1}
	at := bytes.Index(b, code)
	if at < 0 || len(bytes.Trim(b[:at], "\x00")) > 0 {
		return nil, false
	}
	for at >= 0 {
		b = b[at+len(code):]
		unit := b
		if at = bytes.Index(b, code); at >= 0 {
			unit = b[:at]
		}
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			units = append(units, unit)
		}
	}
	return units, true
}

// sets reads n parameter sets with 16 bits of length in front of each, as avcC and hvcC
// have them. It hands each to visit.
func sets(b []byte, n int, visit func([]byte)) (rest []byte, ok bool) {
	for range n {
		if len(b) < 2 {
			return nil, false
		}
		size := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+size {
			return nil, false
		}
		if size > 0 {
			visit(b[2 : 2+size])
		}
		b = b[2+size:]
	}
	return b, true
}

// appendSets writes them likewise. Longer ones do not pass [fits].
func appendSets(b []byte, units [][]byte) []byte {
	for _, u := range units {
		b = binary.BigEndian.AppendUint16(b, uint16(len(u)))
		b = append(b, u...)
	}
	return b
}

// fits reports whether parameter sets can stand in a configuration record.
func fits(units [][]byte, most int) bool {
	for _, u := range units {
		if len(u) > math.MaxUint16 {
			return false
		}
	}
	return len(units) <= most
}
