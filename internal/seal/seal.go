// Package seal makes tokens that only this installation can make and read: what a caller
// is given to bring back later. What a token is for is its [Purpose]; it opens for no other.
//
// A token is text for URLs: "Ci", the base64url form of the bytes below, and "~".
//
//	4 bytes   id of the sealing key
//	12 bytes  random nonce
//	n bytes   the content, encrypted
//	16 bytes  tag; the key's id and the purpose are its associated data
//
// It is AES-256-GCM under a sealing key. A new key is made each day and kept until 37
// hours after its successor began, so a token can be opened for 37 hours at least: longer
// than the 36 hours that credentials of a session may live. The keys
// stand in a database, sealed under the server's wrapping key: neither file alone gives
// one away. A key that another process made is found when a token names it.
//
// All methods may be called from any number of goroutines; the package starts none (see
// [Store.Run]).
package seal

import (
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// What an open fails with. The texts hold nothing of the token.
var (
	// ErrForged says that the token is none that this installation made for the purpose.
	ErrForged = errors.New("the token is not one of this server")
	// ErrExpired says that the token names a key that was removed, so that it is older than
	// 37 hours if it ever was one.
	ErrExpired = errors.New("the key of the token is no longer kept")
)

const (
	prefix, suffix = "Ci", "~"
	idSize         = 4
	nonceSize      = 12
	tagSize        = 16
	overhead       = idSize + nonceSize + tagSize

	// MaxToken is the length of the longest token of any purpose: producers on small devices
	// take an answer of 2,048 bytes with a token in it (wire-media section 8.2).
	MaxToken = 1400
)

// Purpose is what tokens are sealed for.
type Purpose struct {
	Name string // covered by the seal: a token opens under the name that it was made with
	Max  int    // characters of its longest token; 0 = [MaxToken], and never more
}

// Longest is how many characters the purpose's longest token has.
func (p Purpose) Longest() int {
	if p.Max <= 0 {
		return MaxToken
	}
	return min(p.Max, MaxToken)
}

// Room is how many bytes of content fit into a token of the purpose.
func (p Purpose) Room() int {
	return (p.Longest()-len(prefix)-len(suffix))*3/4 - overhead
}

// alphabet takes each token in one spelling only.
var alphabet = base64.RawURLEncoding.Strict()

// Seal returns the token that holds content, which is good for the same purpose only. It
// fails when content is longer than the purpose's [Purpose.Room].
func (s *Store) Seal(purpose Purpose, content []byte) (string, error) {
	if over := len(content) - purpose.Room(); over > 0 {
		return "", fmt.Errorf("%d bytes too many for a token of %d characters", over, purpose.Longest())
	}
	k := s.keys.Load().newest
	b := make([]byte, idSize, overhead+len(content))
	binary.BigEndian.PutUint32(b, k.id)
	b = k.aead.Seal(b, nil, content, associated(k.id, purpose.Name))
	return prefix + alphabet.EncodeToString(b) + suffix, nil
}

// Open returns the content of a token that Seal made for the purpose, [ErrForged] or
// [ErrExpired].
func (s *Store) Open(purpose Purpose, token string) ([]byte, error) {
	if len(token) > purpose.Longest() || len(token) < len(prefix)+len(suffix) ||
		token[:len(prefix)] != prefix || token[len(token)-len(suffix):] != suffix {
		return nil, ErrForged
	}
	text := token[len(prefix) : len(token)-len(suffix)]
	b, err := alphabet.DecodeString(text)
	// The decoder passes over line ends; a token has none.
	if err != nil || len(b) < overhead || alphabet.EncodedLen(len(b)) != len(text) {
		return nil, ErrForged
	}
	id := binary.BigEndian.Uint32(b)
	aead, err := s.find(id)
	if err != nil {
		return nil, err
	}
	content, err := aead.Open(nil, nil, b[idSize:], associated(id, purpose.Name))
	if err != nil {
		return nil, ErrForged
	}
	return content, nil
}

// associated is what the seal covers beside the content.
func associated(id uint32, purpose string) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, idSize+len(purpose)), id), purpose...)
}

// find returns the key of an id. Keys are looked for again when there may be a newer one
// than those that are known.
func (s *Store) find(id uint32) (cipher.AEAD, error) {
	ring := s.keys.Load()
	if id > ring.newest.id && s.mayLook() {
		if err := s.load(s.background); err != nil {
			s.log.Warn("sealing keys could not be read", "error", err)
		}
		ring = s.keys.Load()
	}
	switch k, ok := ring.all[id]; {
	case ok:
		return k.aead, nil
	case id > 0 && id < ring.newest.id:
		return nil, ErrExpired
	}
	return nil, ErrForged
}
