package keyring

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
)

// Scope is what a wrapped key is bound to: it unwraps in no other.
type Scope struct {
	Account kvs.AccountID
	Stream  kvs.StreamID
}

// Provider makes, wraps and unwraps data keys under wrapping keys that have names
// (KmsKeyId). Its errors should be of type [*Error]; others count as Unavailable.
//
// A method must return when its context ends. One that does not is waited for no
// longer, and asked nothing more about that key until it returns.
type Provider interface {
	// Generate makes a data key and wraps it, into at most 224 bytes.
	Generate(ctx context.Context, keyID string, scope Scope) (plain [32]byte, wrapped []byte, err error)
	// Unwrap returns a data key that Generate wrapped with the same key and scope.
	Unwrap(ctx context.Context, keyID string, scope Scope, wrapped []byte) (plain [32]byte, err error)
}
