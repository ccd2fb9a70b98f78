package flac

// sampleBits is how many bits a sample of the FLAC stream has.
const sampleBits = 16

// wasted is how many of a value's low bits are always zero: A-law counts in steps of 8,
// mu-law in steps of 4.
func (l Law) wasted() int {
	if l == ALaw {
		return 3
	}
	return 2
}

// bits is how many bits of a value are left.
func (l Law) bits() int { return sampleBits - l.wasted() }

// values has, for each law and code, the value without its wasted bits.
var values = [2][256]int16{ALaw: table(ALaw, alaw), ULaw: table(ULaw, ulaw)}

func table(l Law, of func(byte) int) (t [256]int16) {
	for code := range t {
		t[code] = int16(of(byte(code)) >> l.wasted())
	}
	return t
}

// alaw gives the value of an A-law code at 16 bits: a sign, a segment of 3 bits and 4
// bits of steps, whose middle counts. Every other bit is inverted on the line.
func alaw(code byte) int {
	code ^= 0x55
	v := int(code&0x0F)<<4 + 8
	if segment := code >> 4 & 7; segment > 0 {
		v = (v + 0x100) << (segment - 1)
	}
	if code&0x80 == 0 {
		return -v
	}
	return v
}

// ulaw gives the value of a mu-law code at 16 bits. All bits are inverted on the line, and
// the segments begin at 33 steps of 4, which are taken off at the end.
func ulaw(code byte) int {
	const bias = 33 * 4
	code = ^code
	v := (int(code&0x0F)<<3+bias)<<(code>>4&7) - bias
	if code&0x80 != 0 {
		return -v
	}
	return v
}
