package codec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/millrace/millrace/mkv"
)

// Types of NAL units (ISO/IEC 23008-2, table 7-1).
const (
	hevcVPS = 32
	hevcSPS = 33
	hevcPPS = 34
)

// recordHead is how many bytes of an hvcC record stand in front of its arrays, their
// number included.
const recordHead = 23

// readHEVC reads the private data of H.265: an HEVCDecoderConfigurationRecord (ISO/IEC
// 14496-15, 8.3.3.1) or the parameter sets between start codes.
func readHEVC(c *Track, t *mkv.Track) fault {
	c.Kind, c.LengthSize = H265, 4
	var s hevcSequence
	var ok bool
	if b := t.CodecPrivate; b[0] == 1 {
		var sps []byte
		if c.Config, sps = completeRecord(b); sps == nil {
			return invalid("no whole hvcC record with video, sequence and picture parameter sets")
		}
		if s, ok = parseHEVC(sps); !ok {
			return invalid("a sequence parameter set that cannot be read")
		}
		if c.LengthSize = int(b[21]&3) + 1; c.LengthSize == 3 {
			return invalid("NAL units with lengths of 3 bytes")
		}
	} else {
		units, begins := split(b)
		if !begins {
			return invalid("neither an hvcC record nor parameter sets behind start codes")
		}
		c.AnnexB = true
		if c.Config, s, ok = hevcRecord(units); !ok {
			return invalid("start codes without video, sequence and picture parameter sets that can be read")
		}
	}
	c.Width, c.Height, c.Reorder = s.width, s.height, s.reorder
	c.FrameRate = rate(s.rate, t)
	c.String = hevcString(c.Config)
	return fault{}
}

// completeRecord returns a copy of a record that says its parameter sets are all there
// are, which is what the sample entry hvc1 promises, and its first sequence parameter
// set. That is nil if the record is cut off or a kind of set is missing.
func completeRecord(b []byte) (record, sps []byte) {
	if len(b) < recordHead {
		return nil, nil
	}
	record = slices.Clone(b)
	seen := 0
	rest := record[recordHead:]
	for range int(record[recordHead-1]) {
		if len(rest) < 3 {
			return nil, nil
		}
		kind, n := rest[0]&0x3F, int(binary.BigEndian.Uint16(rest[1:]))
		if kind >= hevcVPS && kind <= hevcPPS {
			rest[0] |= 0x80
		}
		var ok bool
		rest, ok = sets(rest[3:], n, func(u []byte) {
			if kind >= hevcVPS && kind <= hevcPPS {
				seen |= 1 << (kind - hevcVPS)
			}
			if kind == hevcSPS && sps == nil {
				sps = u
			}
		})
		if !ok {
			return nil, nil
		}
	}
	if seen != 7 {
		return nil, nil
	}
	return record, sps
}

// hevcRecord makes a record of raw parameter sets.
func hevcRecord(units [][]byte) (record []byte, s hevcSequence, ok bool) {
	kinds := map[byte][][]byte{}
	for _, u := range units {
		kinds[u[0]>>1&0x3F] = append(kinds[u[0]>>1&0x3F], u)
	}
	for kind := byte(hevcVPS); kind <= hevcPPS; kind++ {
		if len(kinds[kind]) == 0 || !fits(kinds[kind], 256) {
			return nil, s, false
		}
	}
	if s, ok = parseHEVC(kinds[hevcSPS][0]); !ok {
		return nil, s, false
	}
	record = append(record, 1)
	record = append(record, s.profile[:]...) // profile, tier and level as they are there
	record = append(record, 0xF0, 0, 0xFC, 0xFC|s.chroma, 0xF8|s.luma, 0xF8|s.depth, 0, 0,
		s.layers<<3|s.nested<<2|3, hevcPPS-hevcVPS+1)
	for kind := byte(hevcVPS); kind <= hevcPPS; kind++ {
		record = append(record, 0x80|kind)
		record = binary.BigEndian.AppendUint16(record, uint16(len(kinds[kind])))
		record = appendSets(record, kinds[kind])
	}
	return record, s, true
}

// hevcString describes the profile of a record (ISO/IEC 14496-15, annex E.3).
func hevcString(record []byte) string {
	var b strings.Builder
	b.WriteString("hvc1.")
	if space := record[1] >> 6; space > 0 {
		b.WriteByte('A' + space - 1)
	}
	tier := 'L'
	if record[1]&0x20 != 0 {
		tier = 'H'
	}
	fmt.Fprintf(&b, "%d.%X.%c%d", record[1]&0x1F, bits.Reverse32(binary.BigEndian.Uint32(record[2:])), tier, record[12])
	constraints := record[6:12]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, c := range constraints {
		fmt.Fprintf(&b, ".%X", c)
	}
	return b.String()
}
