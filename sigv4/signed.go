package sigv4

import (
	"slices"
	"strings"
)

// setSigned takes the list of signed headers: lower-case names separated by semicolons.
func (a *Auth) setSigned(text string) error {
	if strings.Count(text, ";") >= maxSigned {
		return refuse(IncompleteSignature, "More than %d headers are signed.", maxSigned)
	}
	a.Signed = strings.Split(text, ";")
	return nil
}

// checkSigned makes sure that the signature covers what it must.
//
// Host is always covered. So is every x-amz-* and x-amzn-* header of the request,
// because those steer what the request does, with three exceptions real clients force
// on us (wire-media section 2.1): the C producers add the session token after signing,
// the Java producer adds the payload hash after signing, and proxies add trace ids.
// None of the three can be used to alter a request: the token must belong to the key,
// the payload hash is itself the last line of what is signed, nobody reads the trace id.
//
// A listed header that the request does not have is refused here, since an absent and
// an empty header sign alike.
func (a *Auth) checkSigned() error {
	if !slices.Contains(a.Signed, "host") {
		return unsigned("host")
	}
	size := 0
	for _, name := range a.Signed {
		if name == "host" {
			continue
		}
		values := a.message.values(name)
		if len(values) == 0 {
			return mismatch()
		}
		for _, v := range values {
			size += len(v) + 1
		}
	}
	if size > maxSignedBytes {
		return refuse(IncompleteSignature, "The signed headers have %d bytes; they may have %d.", size, maxSignedBytes)
	}
	return a.checkSteering()
}

// checkSteering looks for x-amz-* and x-amzn-* headers that are not signed.
func (a *Auth) checkSteering() error {
	for key := range a.message.header {
		if !strings.HasPrefix(key, "X-Amz") {
			continue
		}
		switch name := strings.ToLower(key); name {
		case "x-amz-security-token", "x-amz-content-sha256", "x-amzn-trace-id":
		default:
			if !slices.Contains(a.Signed, name) {
				return unsigned(name)
			}
		}
	}
	return nil
}

func unsigned(name string) error {
	return refuse(InvalidSignature, "'%.64s' must be a 'SignedHeader' in the AWS Authorization.", name)
}
