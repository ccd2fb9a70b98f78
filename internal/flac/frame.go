package flac

// Fields of a frame's header (RFC 9639, section 9.1).
const (
	sync       = 0xFFF9 // and: block sizes vary, so the header counts samples
	blockSize8 = 6 << 4 // the size less one follows in 8 bits
	blockSize  = 7 << 4 // ... in 16 bits
	bits16     = 4 << 1
	maxHeader  = 16 // bytes
)

// rateCodes are the sampling rates that the header can name. Others stand in STREAMINFO.
var rateCodes = map[int]byte{
	88200: 1, 176400: 2, 192000: 3, 8000: 4, 16000: 5, 22050: 6,
	24000: 7, 32000: 8, 44100: 9, 48000: 10, 96000: 11,
}

// appendHeader appends the header of a frame of so many samples per channel.
func (e *Encoder) appendHeader(b []byte, block int, first uint64) []byte {
	start := len(b)
	size := byte(blockSize)
	if block <= 1<<8 {
		size = blockSize8
	}
	b = append(b, sync>>8, sync&0xFF, size|rateCodes[e.rate], byte(e.channels-1)<<4|bits16)
	b = appendNumber(b, first&(1<<36-1))
	if size == blockSize {
		b = append(b, byte((block-1)>>8))
	}
	b = append(b, byte(block-1))
	return append(b, crc8(b[start:]))
}

// appendNumber writes a number of up to 36 bits in the way of UTF-8 (section 9.1.5).
func appendNumber(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	more := 1 // bytes with six bits each
	for v >= 1<<(6+5*more) {
		more++
	}
	b = append(b, byte(0xFF<<(7-more)|int(v>>(6*more))))
	for more--; more >= 0; more-- {
		b = append(b, 0x80|byte(v>>(6*more))&0x3F)
	}
	return b
}

// A bitWriter appends bits, the most significant first.
type bitWriter struct {
	b       []byte
	pending uint64 // the low n bits wait for a byte to be full
	n       int    // less than 8 between calls
}

// write appends the low bits of v, at most 56.
func (w *bitWriter) write(v uint64, bits int) {
	w.pending = w.pending<<bits | v&(1<<bits-1)
	for w.n += bits; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.pending>>(w.n-8)))
	}
}

// close fills the last byte with zeros.
func (w *bitWriter) close() []byte {
	w.write(0, (8-w.n)%8)
	return w.b
}

var crc8Table, crc16Table = crcTables()

// crcTables computes the checksums of section 9.1.8 and 9.3 for one byte each.
func crcTables() (t8 [256]uint8, t16 [256]uint16) {
	for i := range 256 {
		c8, c16 := uint8(i), uint16(i)<<8
		for range 8 {
			c8 = c8<<1 ^ 0x07*(c8>>7)
			c16 = c16<<1 ^ 0x8005*(c16>>15)
		}
		t8[i], t16[i] = c8, c16
	}
	return t8, t16
}

func crc8(b []byte) (c uint8) {
	for _, v := range b {
		c = crc8Table[c^v]
	}
	return c
}

func crc16(b []byte) (c uint16) {
	for _, v := range b {
		c = c<<8 ^ crc16Table[byte(c>>8)^v]
	}
	return c
}
