package kvs

import (
	"math/big"
)

// FragmentNumber identifies a fragment within its stream. Numbers grow in ingestion
// order, as integers and as text.
//
// On the wire a number is 47 decimal digits of 2^156 + N*2^92 + ServerMillis*2^28 +
// Random (wire-media section 6); inside, only its three parts are kept.
type FragmentNumber struct {
	N      int64  // per-stream counter, from 1
	Server Millis // server timestamp of the fragment
	Random uint32 // 28 bits that make the number hard to guess
}

// RandomMask covers the bits of FragmentNumber.Random that are used.
const RandomMask = 1<<28 - 1

// String returns the 47 digits of the wire form.
func (f FragmentNumber) String() string { return string(f.Append(nil)) }

// Append appends the 47 digits of the wire form to b.
func (f FragmentNumber) Append(b []byte) []byte {
	var words [5]uint32 // 160 bits, most significant first
	n, ms := uint64(f.N), uint64(f.Server)
	words[0] = 1<<28 | uint32(n>>36)
	words[1] = uint32(n >> 4)
	words[2] = uint32(n&0xf)<<28 | uint32(ms>>36)
	words[3] = uint32(ms >> 4)
	words[4] = uint32(ms&0xf)<<28 | f.Random&RandomMask
	return appendDecimal(b, words)
}

// appendDecimal appends the 160-bit number w in decimal. It divides by 10^9 so that
// five divisions give nine digits and nothing is allocated.
func appendDecimal(b []byte, w [5]uint32) []byte {
	const group = 1_000_000_000
	var digits [54]byte
	i := len(digits)
	for w != ([5]uint32{}) {
		var rem uint64
		for k := range w {
			cur := rem<<32 | uint64(w[k])
			w[k] = uint32(cur / group)
			rem = cur % group
		}
		for range 9 {
			i--
			digits[i] = byte('0' + rem%10)
			rem /= 10
		}
	}
	for i < len(digits)-1 && digits[i] == '0' {
		i++
	}
	return append(b, digits[i:]...)
}

// Less reports whether f comes before o in ingestion order.
func (f FragmentNumber) Less(o FragmentNumber) bool {
	if f.N != o.N {
		return f.N < o.N
	}
	if f.Server != o.Server {
		return f.Server < o.Server
	}
	return f.Random < o.Random
}

// ParseFragmentNumber reads any string of 1 to 128 digits as a position among the
// fragments of a stream. A number this server could never have given (too small or
// too large) becomes the smallest or the largest position, because selectors go on
// with the next greater number that exists. It reports false for anything that is
// not 1 to 128 digits.
func ParseFragmentNumber(s string) (FragmentNumber, bool) {
	if len(s) == 0 || len(s) > 128 {
		return FragmentNumber{}, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return FragmentNumber{}, false
		}
	}
	v, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return FragmentNumber{}, false
	}
	return fromBig(v), true
}

// fromBig takes the parts of a number of the wire form.
func fromBig(v *big.Int) FragmentNumber {
	v.Sub(v, new(big.Int).Lsh(big.NewInt(1), 156))
	if v.Sign() < 0 {
		return FragmentNumber{}
	}
	mask := new(big.Int).SetUint64(1<<64 - 1)
	n := new(big.Int).Rsh(v, 92)
	if !n.IsInt64() {
		return FragmentNumber{N: 1<<63 - 1, Server: 1<<63 - 1, Random: RandomMask}
	}
	ms := new(big.Int).And(new(big.Int).Rsh(v, 28), mask)
	if !ms.IsInt64() {
		return FragmentNumber{N: n.Int64(), Server: 1<<63 - 1, Random: RandomMask}
	}
	rnd := new(big.Int).And(v, big.NewInt(RandomMask))
	return FragmentNumber{N: n.Int64(), Server: Millis(ms.Int64()), Random: uint32(rnd.Uint64())}
}
