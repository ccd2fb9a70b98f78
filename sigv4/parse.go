package sigv4

import (
	"net/http"
	"strings"
	"time"
)

// Auth is what a request says about its signature. Nothing in it is proved before
// Verify returns nil.
type Auth struct {
	AccessKey    string
	Date         string // the scope's day, YYYYMMDD
	Region       string
	Service      string
	SessionToken string        // "" without one; it need not be signed
	Signed       []string      // names of the signed headers, as the request lists them
	Time         time.Time     // when it was signed
	Expires      time.Duration // how long a presigned URL is good; 0 when it does not say
	Presigned    bool          // the signature is in the query

	message   message
	params    []param // of the query, without X-Amz-Signature when Presigned
	stamp     string
	signature string
	claim     string // the payload hash the request names, "" when it names none
}

// Parse reads the signature of a request that a server received, from the
// Authorization header or, without one, from the query. It does not touch the body.
// The returned value refers to r's headers.
func Parse(r *http.Request) (*Auth, error) {
	a := &Auth{message: received(r)}
	if err := a.measure(); err != nil {
		return nil, err
	}
	a.params = splitQuery(a.message.query)
	if err := a.read(); err != nil {
		return nil, err
	}
	return a, a.checkSigned()
}

func (a *Auth) read() error {
	header, err := a.message.one("authorization")
	if err != nil {
		return err
	}
	inQuery := a.inQuery()
	switch {
	case header != "" && inQuery:
		return refuse(IncompleteSignature, "The request is signed in the Authorization header and in the query; it must be signed in one.")
	case header != "":
		return a.readHeader(header)
	case inQuery:
		return a.readQuery()
	}
	return refuse(MissingAuthenticationToken, "Missing Authentication Token")
}

// measure bounds what the rest of the work may cost.
func (a *Auth) measure() error {
	m := &a.message
	switch {
	case len(m.path) > maxPath:
		return refuse(IncompleteSignature, "The path has %d bytes; a signed request may have %d.", len(m.path), maxPath)
	case len(m.query) > maxQuery || strings.Count(m.query, "&") >= maxParams:
		return refuse(IncompleteSignature, "The query is too long; a signed request may have %d bytes and %d parameters.", maxQuery, maxParams)
	}
	return nil
}

// readHeader reads "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...".
// The parts come in any order, separated by a comma with or without spaces.
func (a *Auth) readHeader(text string) error {
	if len(text) > maxAuthorization {
		return refuse(IncompleteSignature, "The Authorization header has %d bytes; it may have %d.", len(text), maxAuthorization)
	}
	name, rest, _ := strings.Cut(text, " ")
	if name != algorithm {
		return refuse(IncompleteSignature, "Unsupported AWS 'algorithm': '%.64s'; it must be '%s'.", name, algorithm)
	}
	var p parts
	for s := range strings.SplitSeq(rest, ",") {
		if err := p.take(strings.Trim(s, " \t")); err != nil {
			return err
		}
	}
	if err := p.complete(); err != nil {
		return err
	}
	a.signature = p.signature
	if err := a.setCredential(p.credential); err != nil {
		return err
	}
	if err := a.setSigned(p.signed); err != nil {
		return err
	}
	return a.readHeaders()
}

// parts are the three parts of an Authorization header.
type parts struct{ credential, signed, signature string }

func (p *parts) take(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return refuse(IncompleteSignature, "'%.64s' not a valid key=value pair (missing equal-sign) in Authorization header.", s)
	}
	var to *string
	switch name {
	case "Credential":
		to = &p.credential
	case "SignedHeaders":
		to = &p.signed
	case "Signature":
		to = &p.signature
	default:
		return refuse(IncompleteSignature, "'%.64s' is no parameter of the Authorization header.", name)
	}
	if *to != "" {
		return refuse(IncompleteSignature, "Authorization header has '%s' twice.", name)
	}
	*to = value
	return nil
}

func (p *parts) complete() error {
	var lacks []string
	for _, v := range []struct{ name, value string }{
		{"Credential", p.credential}, {"Signature", p.signature}, {"SignedHeaders", p.signed},
	} {
		if v.value == "" {
			lacks = append(lacks, "Authorization header requires '"+v.name+"' parameter.")
		}
	}
	if lacks != nil {
		return refuse(IncompleteSignature, "%s", strings.Join(lacks, " "))
	}
	return nil
}

// readHeaders reads the date, the session token and the claimed payload hash of the
// header form.
func (a *Auth) readHeaders() (err error) {
	m := &a.message
	if a.SessionToken, err = m.one("x-amz-security-token"); err != nil {
		return err
	}
	if a.claim, err = m.one("x-amz-content-sha256"); err != nil {
		return err
	}
	text, err := m.one("x-amz-date")
	if err != nil {
		return err
	}
	if text == "" {
		if text, err = m.one("date"); err != nil {
			return err
		}
		if t, err := http.ParseTime(strings.Replace(text, " -0000", " GMT", 1)); err == nil {
			text = stamp(t)
		}
	}
	if text == "" {
		return refuse(IncompleteSignature, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	return a.setTime(text)
}

// setTime takes the time of signing, which must lie on the day of the scope.
func (a *Auth) setTime(text string) error {
	t, err := time.Parse(stampForm, text)
	if err != nil {
		return refuse(IncompleteSignature, "Date must be in ISO-8601 'basic format' (20060102T150405Z). Got '%.64s'.", text)
	}
	if text[:dayLen] != a.Date {
		return refuse(InvalidSignature, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			a.Date, text[:dayLen], text)
	}
	a.Time, a.stamp = t, text
	return nil
}

// setCredential takes keyid/date/region/service/aws4_request.
func (a *Auth) setCredential(text string) error {
	f := strings.Split(text, "/")
	if len(f) != 5 {
		return refuse(IncompleteSignature, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	for _, s := range f {
		if s == "" || len(s) > maxField || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return refuse(IncompleteSignature, "Each element of Credential must have 1 to %d printable characters.", maxField)
		}
	}
	if len(f[1]) != dayLen {
		return refuse(IncompleteSignature, "The date in Credential must have the form YYYYMMDD. Got '%s'.", f[1])
	}
	if f[4] != terminator {
		return refuse(InvalidSignature, "Credential should be scoped with a valid terminator: '%s', not '%s'.", terminator, f[4])
	}
	a.AccessKey, a.Date, a.Region, a.Service = f[0], f[1], f[2], f[3]
	return nil
}
