package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
)

// BodyHash returns the SHA-256 of a request's body in lower-case hexadecimal. It may
// read the body to find out; an error it returns comes back from Verify unchanged.
type BodyHash func() (string, error)

// Body is the hash of a body that was read already.
func Body(b []byte) BodyHash {
	return func() (string, error) { return PayloadHash(b), nil }
}

// PayloadHash is the SHA-256 of a body in lower-case hexadecimal.
func PayloadHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// payloads are the texts the signer may have used for the payload.
//
// A text named in x-amz-content-sha256 is used, whether that header is signed or not:
// a request in which it was exchanged signs differently. If the body is at hand the
// text must be its hash, or say that the body is not covered. Without the header it is
// the hash of the body; for a stream, where there is none yet, that of no bytes (C and
// Go producers) or UNSIGNED-PAYLOAD (wire-media section 2.1).
func (a *Auth) payloads(body BodyHash) (variants, error) {
	switch {
	case body == nil && a.claim != "", a.claim == UnsignedPayload, a.claim == StreamingPayload:
		return only(a.claim), nil
	case body == nil:
		v := only(EmptyPayload)
		v.add(UnsignedPayload)
		return v, nil
	}
	hash, err := body()
	if err != nil {
		return variants{}, err
	}
	if a.claim != "" && a.claim != hash {
		return variants{}, mismatch()
	}
	v := only(hash)
	if a.claim == "" && a.Presigned {
		v.add(UnsignedPayload)
	}
	return v, nil
}
