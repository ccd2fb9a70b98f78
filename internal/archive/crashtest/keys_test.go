package crashtest

import (
	"bytes"
	"context"
	"path/filepath"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// wraps is a key provider with two wrapping keys, of which one is in use, and both exist:
// so it is while keys are rotated.
type wraps struct {
	*keyring.Local
	other *keyring.Local
}

func newWraps() wraps {
	w := wraps{}
	for i, l := range []**keyring.Local{&w.Local, &w.other} {
		var err error
		if *l, err = keyring.NewLocal(bytes.Repeat([]byte{byte(i + 1)}, 32), nil); err != nil {
			panic(err)
		}
	}
	return w
}

func (w wraps) Unwrap(ctx context.Context, keyID string, scope keyring.Scope, wrapped []byte) ([32]byte, error) {
	plain, err := w.Local.Unwrap(ctx, keyID, scope, wrapped)
	if err != nil {
		plain, err = w.other.Unwrap(ctx, keyID, scope, wrapped)
	}
	return plain, err
}

func (t *truth) owner(ctx context.Context, id kvs.StreamID) (keyring.Owner, error) {
	_, err := t.policy(ctx, id)
	return keyring.Owner{Account: "123456789012"}, err
}

func openKeys(dir string, d disk.FS, t *truth) (*keyring.Ring, error) {
	return keyring.Open(keyring.Options{Path: filepath.Join(dir, "keys"), Disk: d, Provider: newWraps(), Owner: t.owner, Now: t.time})
}

// unwrap is what a check needs to unseal.
func unwrap(ctx context.Context, stream kvs.StreamID, wrapped []byte) ([32]byte, error) {
	return newWraps().Unwrap(ctx, "", keyring.Scope{Account: "123456789012", Stream: stream}, wrapped)
}
