package sigv4

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signer signs requests for one service in one region.
type Signer struct {
	Credentials
	Region  string
	Service string
	Now     func() time.Time // nil = time.Now
}

// Sign puts an Authorization header on r, with X-Amz-Date and, for temporary
// credentials, X-Amz-Security-Token. payloadHash is the SHA-256 of the body in
// hexadecimal or one of the texts that stand for it; "" is EmptyPayload. When it is
// not the hash of the body the caller must say so in X-Amz-Content-Sha256, unless the
// service knows.
//
// Sign covers Host, Content-Length and every header that is on r now, except those
// that proxies and transports change. It leaves out a default port from Host and sorts
// and escapes the query.
func (s Signer) Sign(r *http.Request, payloadHash string) error {
	if err := s.check(r); err != nil {
		return err
	}
	if payloadHash == "" {
		payloadHash = EmptyPayload
	}
	t := s.stamp()
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", t)
	if s.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", s.SessionToken)
	}
	setHost(r)
	setQuery(r, queryText(escapeParams(splitQuery(r.URL.RawQuery))))
	names := signable(r)
	sc := s.scope(t)
	signature := s.signature(r, sc, t, names, payloadHash)
	r.Header.Set("Authorization", algorithm+" Credential="+s.AccessKey+"/"+string(sc.append(nil))+
		", SignedHeaders="+strings.Join(names, ";")+", Signature="+signature)
	return nil
}

// Presign puts a signature into r's URL that is good for expires, at least a second
// and in whole seconds. It covers Host, every header that is on r now, and no body.
func (s Signer) Presign(r *http.Request, expires time.Duration) error {
	if err := s.check(r); err != nil {
		return err
	}
	if expires < time.Second {
		return errors.New("sigv4: a presigned URL must be good for at least a second")
	}
	t := s.stamp()
	setHost(r)
	names, sc := signable(r), s.scope(t)
	auth := []param{
		{paramAlgorithm, algorithm},
		{paramCredential, s.AccessKey + "/" + string(sc.append(nil))},
		{paramDate, t},
		{paramExpires, strconv.FormatInt(int64(expires/time.Second), 10)},
		{paramSigned, strings.Join(names, ";")},
	}
	if s.SessionToken != "" {
		auth = append(auth, param{paramToken, s.SessionToken})
	}
	for i, p := range auth {
		auth[i].value = escape(p.value, unreserved)
	}
	setQuery(r, queryText(append(escapeParams(splitQuery(r.URL.RawQuery)), auth...)))
	setQuery(r, r.URL.RawQuery+"&"+paramSignature+"="+s.signature(r, sc, t, names, EmptyPayload))
	return nil
}

func (s Signer) check(r *http.Request) error {
	switch {
	case s.AccessKey == "" || s.Secret == "":
		return errors.New("sigv4: Signer has no access key or no secret")
	case s.Region == "" || s.Service == "":
		return errors.New("sigv4: Signer has no region or no service")
	case r.Host == "" && r.URL.Host == "":
		return errors.New("sigv4: the request has no host")
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	return nil
}

func (s Signer) stamp() string {
	if s.Now != nil {
		return stamp(s.Now())
	}
	return stamp(time.Now())
}

func (s Signer) scope(stamp string) scope { return scope{stamp[:dayLen], s.Region, s.Service} }

func (s Signer) signature(r *http.Request, sc scope, stamp string, names []string, payload string) string {
	m := outgoing(r)
	f := form{escapePath(m.path), m.query, m.host, payload}
	sig := sc.signature(sc.signingKey(s.Secret), stamp, m.appendCanonical(nil, f, names))
	return string(sig[:])
}

// setQuery also keeps RequestURI in step, which only requests made for a handler have.
func setQuery(r *http.Request, raw string) {
	r.URL.RawQuery = raw
	if r.RequestURI != "" {
		r.RequestURI = r.URL.RequestURI()
	}
}

// setHost makes r.Host what is signed and sent: without a default port, as other
// signers do.
func setHost(r *http.Request) {
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	switch r.URL.Scheme {
	case "https", "wss":
		r.Host = strings.TrimSuffix(r.Host, ":443")
	case "http", "ws":
		r.Host = strings.TrimSuffix(r.Host, ":80")
	}
}

// signable lists the headers of r that a signature can cover, sorted: not those that
// belong to one connection, nor those that transports and proxies set.
func signable(r *http.Request) []string {
	names := []string{"host"}
	if r.ContentLength > 0 {
		names = append(names, "content-length")
	}
	for key := range r.Header {
		switch name := strings.ToLower(key); name {
		case "host", "content-length", "authorization", "user-agent", "x-amzn-trace-id", "expect",
			"transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive":
		default:
			if !strings.HasPrefix(name, "proxy-") && !strings.HasPrefix(name, "sec-") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}
