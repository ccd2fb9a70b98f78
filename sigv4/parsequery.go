package sigv4

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parameters of a presigned URL. They are looked up in exactly this spelling;
// another one would not be covered by what real signers sign.
const (
	paramAlgorithm  = "X-Amz-Algorithm"
	paramCredential = "X-Amz-Credential"
	paramDate       = "X-Amz-Date"
	paramExpires    = "X-Amz-Expires"
	paramSigned     = "X-Amz-SignedHeaders"
	paramSignature  = "X-Amz-Signature"
	paramToken      = "X-Amz-Security-Token"
	paramPayload    = "x-amz-content-sha256" // in any spelling: signers hoist the header
)

// inQuery reports whether the query holds a signature. X-Amz-Expires and the like do
// not make one: some clients leave them in a URL that they sign in the header.
func (a *Auth) inQuery() bool {
	return slices.ContainsFunc(a.params, func(p param) bool {
		return p.name == paramAlgorithm || p.name == paramCredential || p.name == paramSignature
	})
}

// readQuery reads the signature of a presigned URL.
func (a *Auth) readQuery() error {
	a.Presigned = true
	v := map[string]string{}
	for _, p := range a.params {
		if err := take(v, p); err != nil {
			return err
		}
	}
	for _, name := range []string{paramAlgorithm, paramCredential, paramSignature, paramSigned, paramDate} {
		if v[name] == "" {
			return refuse(IncompleteSignature, "AWS query-string parameters must include '%s'.", name)
		}
	}
	if v[paramAlgorithm] != algorithm {
		return refuse(IncompleteSignature, "Unsupported AWS 'algorithm': '%.64s'; it must be '%s'.", v[paramAlgorithm], algorithm)
	}
	a.signature, a.SessionToken = v[paramSignature], v[paramToken]
	a.params = slices.DeleteFunc(a.params, func(p param) bool { return p.name == paramSignature })
	if err := a.setPayload(v[paramPayload]); err != nil {
		return err
	}
	if err := a.setExpires(v[paramExpires]); err != nil {
		return err
	}
	if err := a.setCredential(v[paramCredential]); err != nil {
		return err
	}
	if err := a.setSigned(v[paramSigned]); err != nil {
		return err
	}
	return a.setTime(v[paramDate])
}

// take puts a parameter of the signature into v; other parameters are left alone.
func take(v map[string]string, p param) error {
	name := p.name
	switch {
	case strings.EqualFold(name, paramPayload):
		name = paramPayload
	case !strings.HasPrefix(name, "X-Amz-"):
		return nil
	case name != paramAlgorithm && name != paramCredential && name != paramDate && name != paramExpires &&
		name != paramSigned && name != paramSignature && name != paramToken:
		return nil
	}
	if _, ok := v[name]; ok {
		return refuse(IncompleteSignature, "The query has '%s' twice.", name)
	}
	value, err := url.PathUnescape(p.value) // a token may hold a bare plus sign
	if err != nil {
		return refuse(IncompleteSignature, "The query parameter '%s' is not escaped correctly.", name)
	}
	v[name] = value
	return nil
}

// setPayload takes the payload hash named in the query, else in a header.
func (a *Auth) setPayload(text string) (err error) {
	if a.claim = text; text == "" {
		a.claim, err = a.message.one("x-amz-content-sha256")
	}
	return err
}

func (a *Auth) setExpires(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return refuse(IncompleteSignature, "X-Amz-Expires must be a whole number of seconds from 1. Got '%.64s'.", text)
	}
	a.Expires = time.Duration(n) * time.Second
	return nil
}
