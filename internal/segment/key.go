package segment

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
)

// DataKey seals the records of one stream for about a day. However it is printed, the
// secret is not.
type DataKey struct {
	ID     uint64 // in the file keys; never 0
	Secret [32]byte
}

// String names the key without its secret.
func (k DataKey) String() string { return fmt.Sprintf("data key %d", k.ID) }

// GoString is [DataKey.String], for %#v.
func (k DataKey) GoString() string { return k.String() }

// MarshalText is [DataKey.String], for logs and JSON.
func (k DataKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Format prints [DataKey.String] whatever the verb.
func (k DataKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// Fingerprint tells headers apart without telling what is in them: the beginning of
// HMAC-SHA-256(data key, header).
func Fingerprint(key DataKey, header []byte) (f [16]byte) {
	m := hmac.New(sha256.New, key.Secret[:])
	m.Write(header)
	copy(f[:], m.Sum(nil))
	return f
}
