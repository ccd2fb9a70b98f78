// Package keyringtest gives tests a key provider that misbehaves when told to, and rings on it.
package keyringtest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// New opens a ring in memory on a provider that works. Every stream there is belongs to
// one account.
func New(t testing.TB) *keyring.Ring {
	t.Helper()
	return NewOn(t, NewProvider())
}

// NewOn is [New] with a provider that the test has.
func NewOn(t testing.TB, p keyring.Provider) *keyring.Ring {
	t.Helper()
	r, err := keyring.Open(keyring.Options{
		Path: "/d/keys", Disk: disktest.NewCrash("/d"), Provider: p,
		Owner: func(context.Context, kvs.StreamID) (keyring.Owner, error) {
			return keyring.Owner{Account: "000000000000"}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// Provider is a key provider in memory. Every key id exists until [Provider.Lose]. Make it
// with [NewProvider]; all methods may be called at any time.
type Provider struct {
	mu      sync.Mutex
	keys    map[string]cipher.AEAD
	failure keyring.Failure
	delay   time.Duration
	deaf    bool
	hang    chan struct{} // nil = calls return
	calls   int
	secrets [][32]byte
}

// NewProvider returns a provider that works.
func NewProvider() *Provider { return &Provider{keys: map[string]cipher.AEAD{}} }

// Fail makes every call fail from now on; 0 makes them succeed again.
func (p *Provider) Fail(f keyring.Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failure = f
}

// Delay makes every call last so long. With deaf true it does not even heed the end of
// its context.
func (p *Provider) Delay(d time.Duration, deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.deaf = d, deaf
}

// Hang keeps every call from returning until the returned function is called; with deaf
// true it does not even heed the end of its context.
func (p *Provider) Hang(deaf bool) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hang := make(chan struct{})
	p.hang, p.deaf = hang, deaf
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.hang = nil
		close(hang)
	})
}

// Lose forgets all wrapping keys: what they wrapped can never be unwrapped, and their
// ids are not known to it.
func (p *Provider) Lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
}

// Calls returns how often it was called.
func (p *Provider) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// Secrets returns all data keys that it made.
func (p *Provider) Secrets() [][32]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([][32]byte(nil), p.secrets...)
}

// Generate implements [keyring.Provider].
func (p *Provider) Generate(ctx context.Context, keyID string, scope keyring.Scope) (plain [32]byte, wrapped []byte, err error) {
	aead, err := p.begin(ctx, keyID)
	if err != nil {
		return plain, nil, err
	}
	_, _ = rand.Read(plain[:])
	p.mu.Lock()
	p.secrets = append(p.secrets, plain)
	p.mu.Unlock()
	return plain, aead.Seal(nil, nil, plain[:], bound(scope)), nil
}

// Unwrap implements [keyring.Provider].
func (p *Provider) Unwrap(ctx context.Context, keyID string, scope keyring.Scope, wrapped []byte) (plain [32]byte, err error) {
	aead, err := p.begin(ctx, keyID)
	if err != nil {
		return plain, err
	}
	b, err := aead.Open(nil, nil, wrapped, bound(scope))
	if err != nil {
		return plain, &keyring.Error{Failure: keyring.Validation, Cause: err}
	}
	copy(plain[:], b)
	return plain, nil
}

// begin waits and fails as told, or returns the wrapping key.
func (p *Provider) begin(ctx context.Context, keyID string) (cipher.AEAD, error) {
	p.mu.Lock()
	p.calls++
	delay, deaf, hang := p.delay, p.deaf, p.hang
	p.mu.Unlock()
	if deaf {
		ctx = context.WithoutCancel(ctx)
	}
	if err := wait(ctx, delay, hang); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failure != 0 {
		return nil, &keyring.Error{Failure: p.failure}
	}
	if p.keys == nil {
		return nil, &keyring.Error{Failure: keyring.NotFound}
	}
	if p.keys[keyID] == nil {
		p.keys[keyID] = newKey()
	}
	return p.keys[keyID], nil
}

// wait lasts for d, and until hang is closed if it is not nil.
func wait(ctx context.Context, d time.Duration, hang chan struct{}) error {
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func newKey() cipher.AEAD {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // of a key of the right size: cannot be
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func bound(s keyring.Scope) []byte { return fmt.Appendf(nil, "%s/%d", s.Account, s.Stream) }
