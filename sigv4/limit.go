package sigv4

// What a request may hold. Signers stay far below these numbers; they bound the work
// that somebody without a key can cause.
const (
	maxAuthorization = 8 << 10  // bytes of the Authorization header
	maxPath          = 8 << 10  // bytes of the escaped path
	maxQuery         = 16 << 10 // bytes of the raw query
	maxParams        = 256      // parameters in the query
	maxSigned        = 64       // signed headers
	maxSignedBytes   = 64 << 10 // bytes of the values of the signed headers
	maxField         = 128      // bytes of the access key id, region and service
)
