package archived

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

var (
	seals = tokens{[]byte("0123456789abcdef0123456789abcdef")}
	place = archive.Query{Clock: kvs.ProducerClock, Range: kvs.TimeRange{Start: -5, End: 1_700_000_000_000}, After: archive.Position{Time: 77, N: 12}}
)

func TestTokensSayWhereAListGoesOn(t *testing.T) {
	token := seals.seal(7, place)
	if q, ok := seals.open(7, token); !ok || q != place {
		t.Errorf("got %+v, %v", q, ok)
	}
	// The model's pattern holds for the answer and for the next call.
	in := wire.ListFragmentsInput{StreamName: new("yard"), NextToken: &token}
	if err := in.Check(); err != nil {
		t.Error(err)
	}
}

func TestTokensThatAreNotOurs(t *testing.T) {
	token := seals.seal(7, place)
	if _, ok := seals.open(8, token); ok {
		t.Error("taken for another stream")
	}
	if _, ok := (tokens{[]byte("another key")}).open(7, token); ok {
		t.Error("taken by another server")
	}
	raw, _ := base64.StdEncoding.DecodeString(token)
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			if _, ok := seals.open(7, base64.StdEncoding.EncodeToString(raw)); ok {
				t.Fatalf("bit %d of byte %d makes no difference", bit, i)
			}
			raw[i] ^= 1 << bit
		}
	}
	for _, text := range []string{"", "x", token[:len(token)-4], token + "AAAA", token + "\n", token[:40] + "\r\n" + token[40:],
		strings.TrimRight(token, "="), strings.Repeat("A", 4096)} {
		if _, ok := seals.open(7, text); ok {
			t.Errorf("taken: %q", text)
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add(seals.seal(7, place))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if q, ok := seals.open(7, text); ok && (q != place || seals.seal(7, q) != text) {
			t.Errorf("%q is taken for %+v", text, q)
		}
	})
}
