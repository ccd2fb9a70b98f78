package credential

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// NonceAge is how long a nonce holds: the hour that RFC 8656 recommends.
const NonceAge = time.Hour

// NonceSize is how many characters a nonce has.
const NonceSize = 16

// Nonce makes one for a source. The port is not part of it: clients behind a NAT lose theirs.
func (s Secret) Nonce(now time.Time, source netip.Addr) string {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 12), uint32(now.Unix()))
	b = append(b, s.mark(b, source)...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Fresh says whether a nonce was made for the source with this secret and still holds.
func (s Secret) Fresh(now time.Time, source netip.Addr, nonce []byte) bool {
	var b [12]byte
	if len(nonce) != NonceSize {
		return false
	}
	if n, err := base64.RawURLEncoding.Strict().Decode(b[:], nonce); err != nil || n != len(b) {
		return false
	}
	// The difference of two 32-bit times is right beyond the year 2106, too.
	age := int32(uint32(now.Unix()) - binary.BigEndian.Uint32(b[:]))
	return age >= -60 && age <= int32(NonceAge/time.Second) && hmac.Equal(b[4:], s.mark(b[:4], source))
}

func (s Secret) mark(stamp []byte, source netip.Addr) []byte {
	a := source.As16()
	return sum(s.nonces, string(stamp), string(a[:]))[:8]
}
