package codec

import (
	"fmt"

	"github.com/millrace/millrace/mkv"
)

// Types of NAL units (ISO/IEC 14496-10, table 7-1).
const (
	avcSPS    = 7
	avcPPS    = 8
	avcSPSExt = 13
)

// readAVC reads the private data of H.264: an AVCDecoderConfigurationRecord (ISO/IEC
// 14496-15, 5.3.3.1) or the parameter sets between start codes.
func readAVC(c *Track, t *mkv.Track) fault {
	c.Kind, c.LengthSize = H264, 4
	var sps []byte
	if b := t.CodecPrivate; b[0] == 1 {
		if sps = avcRecordSPS(b); sps == nil {
			return invalid("no whole avcC record with a sequence and a picture parameter set")
		}
		c.Config, c.LengthSize = b, int(b[4]&3)+1
		if c.LengthSize == 3 {
			return invalid("NAL units with lengths of 3 bytes")
		}
	} else {
		units, ok := split(b)
		if !ok {
			return invalid("neither an avcC record nor parameter sets behind start codes")
		}
		c.AnnexB = true
		if c.Config, sps = avcRecord(units); sps == nil {
			return invalid("start codes without a sequence and a picture parameter set")
		}
	}
	s, ok := parseAVC(sps)
	if !ok {
		return invalid("a sequence parameter set that cannot be read")
	}
	c.Width, c.Height, c.Reorder = s.width, s.height, s.reorder
	c.FrameRate = rate(s.rate, t)
	c.String = fmt.Sprintf("avc1.%02X%02X%02X", c.Config[1], c.Config[2], c.Config[3])
	return fault{}
}

// avcRecordSPS returns the first sequence parameter set of a record, nil if the record is
// cut off or has no parameter sets. What may follow them is of no interest.
func avcRecordSPS(b []byte) (sps []byte) {
	if len(b) < 7 {
		return nil
	}
	rest, ok := sets(b[6:], int(b[5]&0x1F), func(u []byte) {
		if sps == nil && u[0]&0x1F == avcSPS {
			sps = u
		}
	})
	if !ok || len(rest) == 0 {
		return nil
	}
	pictures := 0
	if _, ok = sets(rest[1:], int(rest[0]), func([]byte) { pictures++ }); !ok || pictures == 0 {
		return nil
	}
	return sps
}

// avcRecord makes a record of raw parameter sets and returns the first sequence parameter
// set with it, nil if there is none or none of pictures.
func avcRecord(units [][]byte) (record, sps []byte) {
	kinds := map[byte][][]byte{}
	for _, u := range units {
		kinds[u[0]&0x1F] = append(kinds[u[0]&0x1F], u)
	}
	sequence, picture, more := kinds[avcSPS], kinds[avcPPS], kinds[avcSPSExt]
	if len(sequence) == 0 || len(picture) == 0 || len(sequence[0]) < 4 ||
		!fits(sequence, 31) || !fits(picture, 255) || !fits(more, 255) {
		return nil, nil
	}
	sps = sequence[0]
	record = append(record, 1, sps[1], sps[2], sps[3], 0xFF, 0xE0|byte(len(sequence)))
	record = appendSets(record, sequence)
	record = append(record, byte(len(picture)))
	record = appendSets(record, picture)
	if s, ok := parseAVC(sps); ok && avcHigh(sps[1]) {
		record = append(record, 0xFC|s.chroma, 0xF8|s.luma, 0xF8|s.depth, byte(len(more)))
		record = appendSets(record, more)
	}
	return record, sps
}
