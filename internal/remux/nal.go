package remux

import (
	"bytes"
	"encoding/binary"
)

// startCode stands in front of each NAL unit of a frame without lengths (ISO/IEC
// 14496-10, Annex B); a fourth byte, zero, may stand in front of it.
var startCode = []byte{0, 0, 1}

// convert appends a frame with a length of four bytes in front of each NAL unit in place
// of start codes: without empty units, and without the zeros behind a unit, which are
// none of its own. It reports false for a frame that does not begin with a start code.
func convert(dst, frame []byte) ([]byte, bool) {
	at := bytes.Index(frame, startCode)
	if at < 0 || zeros(frame[:at]) != at {
		return dst, false
	}
	for rest := frame[at+len(startCode):]; rest != nil; {
		unit := rest
		if at = bytes.Index(rest, startCode); at >= 0 {
			unit, rest = rest[:at], rest[at+len(startCode):]
		} else {
			rest = nil
		}
		if unit = unit[:len(unit)-zeros(unit)]; len(unit) > 0 {
			dst = binary.BigEndian.AppendUint32(dst, uint32(len(unit)))
			dst = append(dst, unit...)
		}
	}
	return dst, true
}

// zeros counts the zeros at the end.
func zeros(b []byte) int {
	n := 0
	for n < len(b) && b[len(b)-1-n] == 0 {
		n++
	}
	return n
}

// lengths reports whether a frame is NAL units, each behind its length of so many bytes,
// and nothing else.
func lengths(frame []byte, size int) bool {
	for len(frame) > 0 {
		_, rest, ok := Unit(frame, size)
		if !ok {
			return false
		}
		frame = rest
	}
	return true
}

// Unit takes the first NAL unit off a sample whose units stand behind lengths of so many
// bytes, 1 to 4. It reports false if the sample ends too soon.
func Unit(sample []byte, size int) (unit, rest []byte, ok bool) {
	if size < 1 || size > 4 || len(sample) < size {
		return nil, nil, false
	}
	var length uint64
	for _, b := range sample[:size] {
		length = length<<8 | uint64(b)
	}
	if sample = sample[size:]; length > uint64(len(sample)) {
		return nil, nil, false
	}
	return sample[:length], sample[length:], true
}
