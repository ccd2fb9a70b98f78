package codec

// bitReader reads a bit string, the most significant first. What lies behind its end reads as
// zeros and sets short.
type bitReader struct {
	b     []byte
	at    int // in bits
	short bool
}

// u reads a number of n bits, 32 at most.
func (r *bitReader) u(n int) (v uint32) {
	if r.at+n > 8*len(r.b) {
		r.at, r.short = 8*len(r.b), true
		return 0
	}
	for range n {
		v = v<<1 | uint32(r.b[r.at>>3]>>(7-r.at&7)&1)
		r.at++
	}
	return v
}

func (r *bitReader) flag() bool { return r.u(1) == 1 }

func (r *bitReader) skip(n int) {
	for ; n > 32; n -= 32 {
		r.u(32)
	}
	r.u(n)
}

// ue reads an unsigned Exp-Golomb number (ISO/IEC 14496-10, 9.1).
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.short && !r.flag() {
		if zeros++; zeros > 31 {
			r.short = true
		}
	}
	if r.short {
		return 0
	}
	return 1<<zeros - 1 + r.u(zeros)
}

// se reads a signed one.
func (r *bitReader) se() int64 {
	v := int64(r.ue())
	if v&1 == 1 {
		return v/2 + 1
	}
	return -v / 2
}

// unescape removes the bytes that keep start codes out of a NAL unit (ISO/IEC 14496-10,
// 7.3.1): the 3 in 0, 0, 3.
func unescape(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, c := range nal {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if zeros++; c != 0 {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}
