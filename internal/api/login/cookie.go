package login

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/kvs"
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

// setCookie gives the browser a session: id, token, end and mark, with dots between. The end
// may come before the token's.
func (d *Door) setCookie(a *answer, s Session) {
	end := strconv.FormatInt(s.Expires.Unix(), 10)
	mark := base64.RawURLEncoding.EncodeToString(d.mark("login cookie", s.ID, s.Token, end))
	age := int(s.Expires.Sub(d.o.Now()) / time.Second)
	http.SetCookie(a.w, cookie(CookieName, strings.Join([]string{s.ID, s.Token, end, mark}, "."), max(age, 1), http.SameSiteStrictMode))
}

// cookie makes one as its prefix demands; a negative age removes it.
func cookie(name, value string, age int, site http.SameSite) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: site}
}

// readCookie returns the session of a request. found is false when there is no cookie; ok is
// false when it is none that this door made, or there are several.
func (d *Door) readCookie(r *http.Request) (s Session, found, ok bool) {
	all := r.CookiesNamed(CookieName)
	if len(all) == 0 {
		return s, false, false
	}
	parts := strings.Split(all[0].Value, ".")
	if len(all) > 1 || len(all[0].Value) > maxCookie || len(parts) != 4 {
		return s, true, false
	}
	mark, err := base64.RawURLEncoding.Strict().DecodeString(parts[3])
	if err != nil || !hmac.Equal(mark, d.mark("login cookie", parts[:3]...)) {
		return s, true, false
	}
	end, err := strconv.ParseInt(parts[2], 10, 64)
	return Session{ID: parts[0], Token: parts[1], Expires: time.Unix(end, 0)}, true, err == nil
}

// resume returns who a session stands for.
func (d *Door) resume(ctx context.Context, s Session) (kvs.Principal, error) {
	if !d.o.Now().Before(s.Expires) {
		return kvs.Principal{}, kvs.Errorf(kvs.Expired, "The session has ended: log in again.")
	}
	return d.o.Sessions.Resume(ctx, s.ID, s.Token)
}
