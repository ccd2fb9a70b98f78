package sigv4

import (
	"crypto/subtle"
	"strings"
)

// Verify reports whether the holder of secret signed the request, by signing it again.
// body is nil for a request whose body streams: then the signature need not cover it.
// body is called at most once, and only when the result depends on it.
//
// The comparison takes the same time wherever the signatures differ.
func (a *Auth) Verify(secret string, body BodyHash) error {
	payloads, err := a.payloads(body)
	if err != nil {
		return err
	}
	s := scope{a.Date, a.Region, a.Service}
	key := s.signingKey(secret)
	var buf [2048]byte
	paths, hosts, queries := paths(a.message.path), a.hosts(), a.queries()
	for _, path := range paths.all() {
		for _, query := range queries.all() {
			for _, host := range hosts.all() {
				for _, payload := range payloads.all() {
					b := a.message.appendCanonical(buf[:0], form{path, query, host, payload}, a.Signed)
					want := s.signature(key, a.stamp, b)
					if subtle.ConstantTimeCompare(want[:], []byte(a.signature)) == 1 {
						return nil
					}
				}
			}
		}
	}
	return mismatch()
}

// hosts are the values that the signer may have used for Host. Signers of URLs work before
// there is a request: some leave a port out that the request has, or write the usual one.
func (a *Auth) hosts() variants {
	v := a.message.hosts()
	if !a.Presigned {
		return v
	}
	host := a.message.host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		v.add(host[:i])
	} else if host != "" {
		v.add(host + ":443")
	}
	return v
}

// queries are the canonical queries the signer may have used: the parameters as they
// travel, or escaped where they were not; and both without the session token, which
// some clients add to a URL after they have signed it.
func (a *Auth) queries() variants {
	v := only(queryText(a.params))
	if a.message.query == "" {
		return v
	}
	v.add(queryText(escapeParams(a.params)))
	if a.Presigned && a.SessionToken != "" {
		rest := make([]param, 0, len(a.params))
		for _, p := range a.params {
			if p.name != paramToken {
				rest = append(rest, p)
			}
		}
		v.add(queryText(rest))
		v.add(queryText(escapeParams(rest)))
	}
	return v
}
