// Package sigv4 signs and verifies requests with AWS Signature Version 4, in the
// Authorization header and in the query of a URL.
//
// A client makes a [Signer] and calls Sign or Presign. A server calls [Parse] on a
// request, [Rules.Check] on what it found, looks the secret of [Auth.AccessKey] up,
// and calls [Auth.Verify]:
//
//	auth, err := sigv4.Parse(r)
//	err = rules.Check(auth)               // region, service, clock
//	err = auth.Verify(secret, sigv4.Body(b)) // nil instead of a body that streams
//
// Every refusal is an [*Error] whose Code names the exception and whose Message is the
// text clients know. The package reads no body, keeps no state, starts no goroutines
// and may be used from any number of them; its work on one request is bounded by the
// limits in limit.go, whatever the request says.
//
// The verifier knows how real signers differ (wire-media section 2): which headers they
// leave out, which text stands for the payload, whether the path is normalized. Every
// difference is accepted by recomputing the signature in that signer's way, never by
// leaving something out of it.
package sigv4

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	stampForm  = "20060102T150405Z" // X-Amz-Date and the string to sign
	dayLen     = len("20060102")    // the scope's date is the stamp's first part
)

// The texts that stand for a payload (canonical request, last line).
const (
	// EmptyPayload is the SHA-256 of no bytes in hexadecimal.
	EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	// UnsignedPayload says that the signature does not cover the body.
	UnsignedPayload = "UNSIGNED-PAYLOAD"
	// StreamingPayload announces chunk signatures. The Java PutMedia client signs this
	// text and then sends plain chunks, so it is taken like UnsignedPayload.
	StreamingPayload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
)
