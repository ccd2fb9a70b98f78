package catalog

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/millrace/millrace/internal/kvs"
)

// sealer makes page tokens nobody else can make, each good for one list only.
//
// A token is the base64 form of 16 bytes of HMAC-SHA-256, then the position. The HMAC
// covers the list's context (whose list, which prefix) and the position. The longest
// position, a stream name of 256 bytes, gives 364 characters; the service's are at most
// 512 (control section 2).
type sealer struct{ key []byte }

const macSize = 16

// seal returns the token for a position in the list that context describes.
func (s sealer) seal(position []byte, context ...string) string {
	return base64.StdEncoding.EncodeToString(append(s.mac(position, context), position...))
}

// open returns the position of a token that seal made for the same context.
func (s sealer) open(token string, context ...string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(token)
	// Encoded again, because the decoder passes over line ends and spare bits.
	if err != nil || len(raw) < macSize || base64.StdEncoding.EncodeToString(raw) != token ||
		!hmac.Equal(raw[:macSize], s.mac(raw[macSize:], context)) {
		return nil, kvs.Errorf(kvs.InvalidArgument, "The NextToken is not one this list gave. Leave it out to begin at the start.")
	}
	return raw[macSize:], nil
}

// SealToken makes the token for a position in a list of the catalog's children, which the
// rest describes.
func (c *Catalog) SealToken(position []byte, list ...string) string {
	return c.tokens.seal(position, list...)
}

// OpenToken returns the position of a token that [Catalog.SealToken] made for the same list,
// else an InvalidArgument.
func (c *Catalog) OpenToken(token string, list ...string) ([]byte, error) {
	return c.tokens.open(token, list...)
}

// mac hashes every part behind its length, so that no two contexts look alike.
func (s sealer) mac(position []byte, context []string) []byte {
	h := hmac.New(sha256.New, s.key)
	part := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, c := range context {
		part([]byte(c))
	}
	part(position)
	return h.Sum(nil)[:macSize:macSize]
}
