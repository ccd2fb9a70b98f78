package lint

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace/millrace/mkv"
)

// valid is what is said of private data without fault.
const valid = "valid"

// private looks at a track's private data: "none", "valid", "present" when its codec is
// not known here, or what is wrong.
func private(t *mkv.Track) string {
	b := t.CodecPrivate
	look := looks[t.CodecID]
	switch {
	case len(b) == 0:
		return "none"
	case look == nil:
		return "present"
	}
	if fault := look(b); fault != "" {
		return fault
	}
	return valid
}

// looks examines private data by codec; "" means that it is right.
var looks = map[string]func([]byte) string{
	"V_MPEG4/ISO/AVC":  avc,
	"V_MPEGH/ISO/HEVC": hevc,
	"A_AAC":            aac,
	"A_OPUS":           opus,
}

// needsPrivate are codecs that nobody can decode without private data.
var needsPrivate = map[string]bool{"V_MPEG4/ISO/AVC": true, "V_MPEGH/ISO/HEVC": true, "A_AAC": true}

// annexB reports whether bytes begin with the start code of a raw stream.
func annexB(b []byte) bool {
	return len(b) >= 4 && b[0] == 0 && b[1] == 0 && (b[2] == 1 || b[2] == 0 && b[3] == 1)
}

const isAnnexB = "start codes (Annex B) where a configuration record must be"

// avc examines an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 5.3.3.1).
func avc(b []byte) string {
	switch {
	case annexB(b):
		return isAnnexB
	case len(b) < 7 || b[0] != 1:
		return fmt.Sprintf("no configuration record: byte 0 is %d, 1 is wanted, and 7 bytes or more; there are %d", b[0], len(b))
	}
	rest, sps, ok := sets(b[6:], int(b[5]&0x1F))
	if !ok || sps == 0 || len(rest) == 0 {
		return "a configuration record without a whole sequence parameter set"
	}
	if _, pps, ok := sets(rest[1:], int(rest[0])); !ok || pps == 0 {
		return "a configuration record without a whole picture parameter set"
	}
	return ""
}

// sets skips n parameter sets, each with a length in front of it.
func sets(b []byte, n int) (rest []byte, count int, ok bool) {
	for range n {
		if len(b) < 2 {
			return nil, 0, false
		}
		size := int(binary.BigEndian.Uint16(b))
		if size == 0 || len(b) < 2+size {
			return nil, 0, false
		}
		b = b[2+size:]
	}
	return b, n, true
}

// hevc examines an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, section 8.3.3.1).
func hevc(b []byte) string {
	switch {
	case annexB(b):
		return isAnnexB
	case len(b) < 23 || b[0] > 1:
		return fmt.Sprintf("no configuration record: byte 0 is %d, 1 is wanted, and 23 bytes or more; there are %d", b[0], len(b))
	}
	rest := b[23:]
	for range int(b[22]) {
		if len(rest) < 3 {
			return "a configuration record that ends too soon"
		}
		var ok bool
		if rest, _, ok = sets(rest[3:], int(binary.BigEndian.Uint16(rest[1:]))); !ok {
			return "a configuration record that ends too soon"
		}
	}
	if b[22] == 0 {
		return "a configuration record without parameter sets"
	}
	return ""
}

// aac examines an AudioSpecificConfig (ISO/IEC 14496-3, section 1.6.2.1).
func aac(b []byte) string {
	if len(b) < 2 {
		return "an AudioSpecificConfig has 2 bytes or more; there is 1"
	}
	if b[0] == 0xFF && b[1]&0xF0 == 0xF0 {
		return "an ADTS header where an AudioSpecificConfig must be"
	}
	kind, frequency := b[0]>>3, (b[0]&7)<<1|b[1]>>7
	if kind == 0 || frequency == 13 || frequency == 14 {
		return fmt.Sprintf("an AudioSpecificConfig with the unknown type %d or frequency index %d", kind, frequency)
	}
	return ""
}

// opus examines an OpusHead (RFC 7845, section 5.1).
func opus(b []byte) string {
	if len(b) < 19 || string(b[:8]) != "OpusHead" {
		return "no OpusHead of 19 bytes or more"
	}
	return ""
}
