package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
)

// Credentials are an access key, with the session token if the key is temporary.
type Credentials struct {
	AccessKey    string
	Secret       string
	SessionToken string
}

// scope is what a signing key is good for: one day, one region, one service.
type scope struct {
	date, region, service string
}

func (s scope) append(b []byte) []byte {
	b = append(append(b, s.date...), '/')
	b = append(append(b, s.region...), '/')
	b = append(append(b, s.service...), '/')
	return append(b, terminator...)
}

// signingKey derives the key of a scope from a secret.
func (s scope) signingKey(secret string) [sha256.Size]byte {
	var buf [128]byte
	k := mac(append(append(buf[:0], "AWS4"...), secret...), s.date)
	k = mac(k[:], s.region)
	k = mac(k[:], s.service)
	return mac(k[:], terminator)
}

// signature signs a canonical request: 64 lower-case hexadecimal digits.
func (s scope) signature(key [sha256.Size]byte, stamp string, canonical []byte) [2 * sha256.Size]byte {
	var buf [256]byte
	b := append(buf[:0], algorithm+"\n"...)
	b = append(append(b, stamp...), '\n')
	b = append(s.append(b), '\n')
	sum := sha256.Sum256(canonical)
	b = hex.AppendEncode(b, sum[:])
	signed := mac(key[:], b)
	var out [2 * sha256.Size]byte
	hex.Encode(out[:], signed[:])
	return out
}

// mac is HMAC-SHA-256 (RFC 2104). It is written out because crypto/hmac allocates five
// objects for each of the five MACs of a verification; a test compares the two.
func mac[T string | []byte](key []byte, text T) [sha256.Size]byte {
	var pad [sha256.BlockSize]byte
	if len(key) > len(pad) {
		sum := sha256.Sum256(key)
		copy(pad[:], sum[:])
	} else {
		copy(pad[:], key)
	}
	for i := range pad {
		pad[i] ^= 0x36
	}
	var buf [512]byte
	inner := sha256.Sum256(append(append(buf[:0], pad[:]...), text...))
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	return sha256.Sum256(append(append(buf[:0], pad[:]...), inner[:]...))
}
