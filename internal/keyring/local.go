package keyring

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// A key wrapped by a [Local] is: version 1, 8 bytes that name the wrapping key, 12 bytes
// of nonce, the data key encrypted with AES-256-GCM, its tag. Account and stream are the
// additional data.
const (
	localVersion = 1
	nameSize     = 8
	localHead    = 1 + nameSize
)

// LocalKey is a wrapping key of a [Local] provider.
type LocalKey struct {
	Secret   []byte // 32 bytes, from a key file
	Disabled bool   // it wraps and unwraps nothing
}

// Local is the provider whose wrapping keys lie in files of this machine. It answers at
// once. All methods may be called from any number of goroutines.
type Local struct {
	own *wrapper // the service's

	mu     sync.RWMutex
	others map[string]localKey
}

type localKey struct {
	*wrapper
	disabled bool
}

// NewLocal returns a provider whose own key, that of streams made without a KmsKeyId,
// is derived from the data directory's. others are further keys by their ids.
func NewLocal(own []byte, others map[string]LocalKey) (*Local, error) {
	w, err := newWrapper(own)
	if err != nil {
		return nil, err
	}
	l := &Local{own: w}
	return l, l.Replace(others)
}

// Replace takes other further keys. After an error those before stay.
func (l *Local) Replace(others map[string]LocalKey) error {
	keys := map[string]localKey{}
	for id, k := range others {
		w, err := newWrapper(k.Secret)
		if err != nil {
			return fmt.Errorf("key %s: %w", id, err)
		}
		keys[id] = localKey{w, k.Disabled}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others = keys
	return nil
}

// Generate makes a data key and wraps it.
func (l *Local) Generate(_ context.Context, keyID string, scope Scope) (plain [32]byte, wrapped []byte, err error) {
	w, err := l.find(keyID)
	if err != nil {
		return plain, nil, err
	}
	_, _ = rand.Read(plain[:]) // never fails
	return plain, w.wrap(plain, scope), nil
}

// Unwrap returns the data key that was wrapped.
func (l *Local) Unwrap(_ context.Context, keyID string, scope Scope, wrapped []byte) (plain [32]byte, err error) {
	w, err := l.find(keyID)
	if err != nil {
		return plain, err
	}
	return w.unwrap(wrapped, scope)
}

// find returns the wrapping key of an id. A further key may be named by its ARN.
func (l *Local) find(keyID string) (*wrapper, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	k, ok := l.others[keyID]
	if !ok {
		k, ok = l.others[shortID(keyID)]
	}
	switch {
	case ok && k.disabled:
		return nil, &Error{Failure: Disabled}
	case ok:
		return k.wrapper, nil
	case IsOwn(keyID):
		return l.own, nil
	}
	return nil, &Error{Failure: NotFound, Cause: errors.New("no such key is in the settings (keys.files), or its file is missing")}
}

var arnPattern = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(?:key/(.+)|(alias/.+))$`)

// shortID is the key id or alias in an ARN; other ids stay as they are.
func shortID(keyID string) string {
	if m := arnPattern.FindStringSubmatch(keyID); m != nil {
		return m[1] + m[2]
	}
	return keyID
}

// IsOwn reports whether a KmsKeyId names the service's own key (identity sheet, section
// 7, which has it in two spellings).
func IsOwn(keyID string) bool {
	switch strings.TrimPrefix(shortID(keyID), "alias/") {
	case "", "aws/kinesisvideo", "aws/kinesis-video":
		return true
	}
	return false
}

// Rewrapper returns a function for [Ring.Rewrap]: what the own key of from wrapped, to's
// wraps again. Everything else stays as it is.
func Rewrapper(from, to *Local) func(Entry, Owner) ([]byte, error) {
	return func(e Entry, o Owner) ([]byte, error) {
		if !from.own.made(e.Wrapped) {
			return e.Wrapped, nil
		}
		scope := Scope{o.Account, e.Stream}
		plain, err := from.own.unwrap(e.Wrapped, scope)
		if err != nil {
			return nil, err
		}
		return to.own.wrap(plain, scope), nil
	}
}

// wrapper is one wrapping key.
type wrapper struct {
	aead cipher.AEAD
	name []byte // nameSize bytes; says nothing about the key
}

// newWrapper derives a wrapping key from what a key file holds. That also seals other
// things, so it is never used itself.
func newWrapper(secret []byte) (*wrapper, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "millrace data keys", 32)
	if err != nil {
		return nil, err
	}
	name, err := hkdf.Key(sha256.New, secret, nil, "millrace data keys: name", nameSize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &wrapper{aead, name}, err
}

func (w *wrapper) wrap(plain [32]byte, scope Scope) []byte {
	head := append([]byte{localVersion}, w.name...)
	return w.aead.Seal(head, nil, plain[:], bound(scope))
}

func (w *wrapper) unwrap(wrapped []byte, scope Scope) (plain [32]byte, err error) {
	switch {
	case len(wrapped) < localHead || wrapped[0] != localVersion:
		return plain, &Error{Failure: Validation, Cause: errors.New("the data key was not wrapped by this provider, or by a newer program")}
	case !w.made(wrapped):
		return plain, &Error{Failure: Validation, Cause: errors.New("the data key was wrapped under another wrapping key: its key file was replaced")}
	}
	b, err := w.aead.Open(nil, nil, wrapped[localHead:], bound(scope))
	if err != nil || len(b) != len(plain) {
		return plain, &Error{Failure: Validation, Cause: errors.New("the wrapped data key is damaged, or another stream's")}
	}
	copy(plain[:], b)
	clear(b)
	return plain, nil
}

// made reports whether this key wrapped something.
func (w *wrapper) made(wrapped []byte) bool {
	return len(wrapped) >= localHead && wrapped[0] == localVersion && bytes.Equal(wrapped[1:localHead], w.name)
}

// bound is the additional data of a scope.
func bound(s Scope) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(s.Stream))
	return append(b, s.Account...)
}
