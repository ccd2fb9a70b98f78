package signal

import "strings"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// What a byte of base64 is besides a value of six bits.
const (
	notBase64 = 0xff
	lineBreak = 0xfe
	padding   = 0xfd
)

// sextets has the value of each byte in the standard and the URL-safe alphabet.
var sextets = func() (t [256]byte) {
	for i := range t {
		t[i] = notBase64
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	t['-'], t['_'] = t['+'], t['/']
	t['\r'], t['\n'], t['='] = lineBreak, lineBreak, padding
	return t
}()

// Normalize returns base64 in the standard alphabet with padding and without line breaks,
// and false if received is no base64 of a byte or more. Padding may be missing, but if
// there is some it must be right.
func Normalize[T string | []byte](received T) (string, bool) {
	var out strings.Builder
	out.Grow(len(received) + 2)
	last, pads := byte(0), 0
	for i := range len(received) {
		switch v := sextets[received[i]]; {
		case v == notBase64, v < 64 && pads > 0:
			return "", false
		case v == padding:
			pads++
		case v < 64:
			out.WriteByte(alphabet[v])
			last = v
		}
	}
	n := out.Len()
	if n%4 == 1 || n < 2 || pads > 0 && pads != (4-n%4)%4 {
		return "", false
	}
	if n%4 == 0 {
		return out.String(), true
	}
	return finish(out.String(), last), true
}

// finish clears the bits of the last character that belong to no byte, as some decoders
// insist, and pads.
func finish(s string, last byte) string {
	switch len(s) % 4 {
	case 2:
		return s[:len(s)-1] + string(alphabet[last&^0xf]) + "=="
	default:
		return s[:len(s)-1] + string(alphabet[last&^0x3]) + "="
	}
}
