package keyring_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func newLocal(t *testing.T, own byte, others map[string]keyring.LocalKey) *keyring.Local {
	t.Helper()
	l, err := keyring.NewLocal(secret(own), others)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Which key a KmsKeyId names: the service's own in all its spellings, those of the
// settings also by ARN, and no others.
func TestNamesOfKeys(t *testing.T) {
	l := newLocal(t, 1, map[string]keyring.LocalKey{
		"alias/mine":                           {Secret: secret(2)},
		"1234abcd-12ab-34cd-56ef-1234567890ab": {Secret: secret(3)},
		"alias/off":                            {Secret: secret(4), Disabled: true},
	})
	const arn = "arn:aws:kms:us-east-1:111122223333:"
	for id, want := range map[string]keyring.Failure{
		"":                                     0,
		"aws/kinesisvideo":                     0,
		"aws/kinesis-video":                    0,
		"alias/aws/kinesisvideo":               0,
		arn + "alias/aws/kinesisvideo":         0,
		arn + "alias/aws/kinesis-video":        0,
		"alias/mine":                           0,
		arn + "alias/mine":                     0,
		"1234abcd-12ab-34cd-56ef-1234567890ab": 0,
		arn + "key/1234abcd-12ab-34cd-56ef-1234567890ab": 0,
		"alias/off":       keyring.Disabled,
		arn + "alias/off": keyring.Disabled,
		"mine":            keyring.NotFound,
		arn + "key/mine":  keyring.NotFound,
		"alias/other":     keyring.NotFound,
		"arn:aws:s3:us-east-1:111122223333:key/alias/mine": keyring.NotFound,
	} {
		_, wrapped, err := l.Generate(t.Context(), id, keyring.Scope{})
		if failure(err) != want || (err == nil) != (want == 0) {
			t.Errorf("%s: %v", id, err)
		}
		if err == nil && len(wrapped) != 69 {
			t.Errorf("%s: wrapped into %d bytes", id, len(wrapped))
		}
	}
}

// A wrapped key opens with the same key for the same stream and account, and nowhere else.
func TestWrappedKeysAreBound(t *testing.T) {
	home := keyring.Scope{Account: "111122223333", Stream: 5}
	mine := map[string]keyring.LocalKey{"mine": {Secret: secret(2)}}
	l := newLocal(t, 1, mine)
	plain, wrapped, err := l.Generate(t.Context(), "", home)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := l.Unwrap(t.Context(), "alias/aws/kinesisvideo", home, wrapped); err != nil || got != plain {
		t.Errorf("under another name of the same key: %v", err)
	}
	if bytes.Contains(wrapped, plain[:8]) {
		t.Error("the key stands in its wrapped form")
	}
	for name, open := range map[string]func() ([32]byte, error){
		"another stream": func() ([32]byte, error) {
			return l.Unwrap(t.Context(), "", keyring.Scope{Account: home.Account, Stream: 6}, wrapped)
		},
		"another account": func() ([32]byte, error) {
			return l.Unwrap(t.Context(), "", keyring.Scope{Account: "111122223334", Stream: 5}, wrapped)
		},
		"another key":  func() ([32]byte, error) { return l.Unwrap(t.Context(), "mine", home, wrapped) },
		"another file": func() ([32]byte, error) { return newLocal(t, 9, nil).Unwrap(t.Context(), "", home, wrapped) },
		"cut off":      func() ([32]byte, error) { return l.Unwrap(t.Context(), "", home, wrapped[:40]) },
		"nothing":      func() ([32]byte, error) { return l.Unwrap(t.Context(), "", home, nil) },
	} {
		if _, err := open(); failure(err) != keyring.Validation {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range wrapped {
		spoilt := bytes.Clone(wrapped)
		spoilt[i] ^= 0x10
		if _, err := l.Unwrap(t.Context(), "", home, spoilt); failure(err) != keyring.Validation {
			t.Fatalf("with bit 4 of byte %d changed: %v", i, err)
		}
	}
}

// Keys can be switched off and taken away while the server runs.
func TestReplaceKeys(t *testing.T) {
	l := newLocal(t, 1, map[string]keyring.LocalKey{"mine": {Secret: secret(2)}})
	ask := func() error { _, _, err := l.Generate(t.Context(), "mine", keyring.Scope{}); return err }
	if err := ask(); err != nil {
		t.Error(err)
	}
	if err := l.Replace(map[string]keyring.LocalKey{"mine": {Secret: secret(2), Disabled: true}}); err != nil || failure(ask()) != keyring.Disabled {
		t.Errorf("%v, %v", err, ask())
	}
	if err := l.Replace(nil); err != nil || failure(ask()) != keyring.NotFound {
		t.Errorf("%v, %v", err, ask())
	}
}

// Rotation wraps anew what the old own key wrapped, and nothing else; the data keys are
// the same, and the old key opens none of them.
func TestRewrap(t *testing.T) {
	others := map[string]keyring.LocalKey{"mine": {Secret: secret(7)}}
	from, to := newLocal(t, 1, others), newLocal(t, 2, others)
	g := newRig(t)
	g.options.Provider = from
	ids := map[kvs.StreamID]string{1: "", 2: "mine", 3: "alias/aws/kinesisvideo", 4: ""}
	g.options.Owner = func(_ context.Context, s kvs.StreamID) (keyring.Owner, error) {
		if g.gone[s] {
			return keyring.Owner{}, kvs.Errorf(kvs.NotFound, "gone")
		}
		return keyring.Owner{Account: "000000000001", KeyID: ids[s]}, nil
	}
	g.open(t)
	before := map[kvs.StreamID][32]byte{}
	for s := range ids {
		before[s] = g.current(t, s, 0).Secret
	}
	old := g.Entries()
	g.gone[4] = true
	if err := g.Rewrap(t.Context(), keyring.Rewrapper(from, to)); err != nil {
		t.Fatal(err)
	}
	if len(old) != 4 || len(g.Entries()) != 3 {
		t.Errorf("%d keys, then %d", len(old), len(g.Entries()))
	}
	for _, e := range g.Entries() {
		scope := keyring.Scope{Account: "000000000001", Stream: e.Stream}
		if got, err := to.Unwrap(t.Context(), ids[e.Stream], scope, e.Wrapped); err != nil || got != before[e.Stream] {
			t.Errorf("stream %d: %v", e.Stream, err)
		}
		if _, err := from.Unwrap(t.Context(), ids[e.Stream], scope, e.Wrapped); (err == nil) != (ids[e.Stream] == "mine") {
			t.Errorf("stream %d, with the old key: %v", e.Stream, err)
		}
	}
	if err := g.Rewrap(t.Context(), keyring.Rewrapper(from, to)); err != nil {
		t.Errorf("again: %v", err)
	}
}
