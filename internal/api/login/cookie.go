package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// CookieName is the name of the session cookie. Browsers take a name with this prefix only
// from the host itself, over TLS, and for all paths.
const CookieName = "__Host-millrace"

// CSRFHeader carries the value that /login/session gave to a page of ours, which other
// sites cannot read, nor can they send the header without being asked first.
const CSRFHeader = "x-millrace-csrf"

// maxCookie is longer than any cookie of ours: browsers keep 4,096 bytes.
const maxCookie = 4096

// mark is what only this door can make of a text.
func (d *Door) mark(purpose string, parts ...string) []byte {
	h := hmac.New(sha256.New, d.o.Secret)
	h.Write([]byte(purpose))
	for _, p := range parts {
		h.Write([]byte{0})
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// csrf is the value that pages send along with the calls of a session.
func (d *Door) csrf(id string) string {
	return base64.RawURLEncoding.EncodeToString(d.mark("login csrf", id))
}

// setCookie gives the browser a session: id, token and mark, with dots between.
func (d *Door) setCookie(a *answer, s Session) {
	mark := base64.RawURLEncoding.EncodeToString(d.mark("login cookie", s.ID, s.Token))
	age := int(s.Expires.Sub(d.o.Now()) / time.Second)
	http.SetCookie(a.w, cookie(CookieName, s.ID+"."+s.Token+"."+mark, max(age, 1), http.SameSiteStrictMode))
}

// cookie makes one as its prefix demands; a negative age removes it.
func cookie(name, value string, age int, site http.SameSite) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: site}
}

// readCookie returns the session of a request. present is false when there is no cookie; ok
// is false when it is none that this door made, or there are several.
func (d *Door) readCookie(r *http.Request) (id, token string, present, ok bool) {
	all := r.CookiesNamed(CookieName)
	if len(all) == 0 {
		return "", "", false, false
	}
	value := all[0].Value
	i, j := strings.IndexByte(value, '.'), strings.LastIndexByte(value, '.')
	if len(all) > 1 || len(value) > maxCookie || i < 0 || i == j {
		return "", "", true, false
	}
	id, token = value[:i], value[i+1:j]
	mark, err := base64.RawURLEncoding.Strict().DecodeString(value[j+1:])
	if err != nil || !hmac.Equal(mark, d.mark("login cookie", id, token)) {
		return "", "", true, false
	}
	return id, token, true, true
}
