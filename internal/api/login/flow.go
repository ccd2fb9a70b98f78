package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"
)

// flowCookie carries a login from its way to the provider back to us. Browsers must send it
// along when another site sends them, so it is not strict.
const flowCookie = "__Host-millrace-login"

// flowLife is how long a user may take at the provider.
const flowLife = 10 * time.Minute

// afterLogin is where browsers go that did not say.
const afterLogin = Path + "session"

const (
	seedSize  = 32
	maxReturn = 64 // bytes: the sealed text stays short
)

// flow is one login by the provider. State, nonce and verifier follow from its seed, which
// nobody sees: the cookie is sealed.
//
//	32 bytes  seed
//	 8 bytes  end of its life, in milliseconds since the epoch
//	 n bytes  path to return to
type flow struct {
	seed [seedSize]byte
	end  time.Time
	path string
}

func newFlow(now time.Time, path string) (f flow) {
	_, _ = rand.Read(f.seed[:]) // never fails
	f.end = now.Add(flowLife)
	if isOurPath(path) {
		f.path = path
	}
	return f
}

// isOurPath reports whether a browser stays with us when it is sent to a path. Two slashes,
// or a slash and a backslash, begin the name of another host.
func isOurPath(path string) bool {
	if len(path) > maxReturn || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return false
	}
	return strings.IndexFunc(path, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) < 0
}

// derive is a value for one use, which says nothing about the others.
func (f flow) derive(use string) string {
	h := hmac.New(sha256.New, f.seed[:])
	h.Write([]byte(use))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// state ties the provider's answer to the browser.
func (f flow) state() string { return f.derive("state") }

// nonce ties the id token to the login.
func (f flow) nonce() string { return f.derive("nonce") }

// verifier ties the code to us (RFC 7636): 43 characters.
func (f flow) verifier() string { return f.derive("verifier") }

// back is where the browser goes after the login.
func (f flow) back() string {
	if f.path == "" {
		return afterLogin
	}
	return f.path
}

// setFlow gives the browser the login to bring back.
func (d *Door) setFlow(a *answer, f flow) error {
	b := binary.BigEndian.AppendUint64(f.seed[:], uint64(f.end.UnixMilli()))
	text, err := d.o.Seal(append(b, f.path...))
	if err != nil {
		return err
	}
	http.SetCookie(a.w, cookie(flowCookie, text, int(flowLife/time.Second), http.SameSiteLaxMode))
	return nil
}

// takeFlow returns the login that the browser brings back, and removes it: it is for one
// answer.
func (d *Door) takeFlow(a *answer, r *http.Request) (f flow, err error) {
	all := r.CookiesNamed(flowCookie)
	if len(all) != 1 {
		return f, refuse(http.StatusForbidden, "This browser has not begun a login here, or it was finished already.")
	}
	http.SetCookie(a.w, cookie(flowCookie, "", -1, http.SameSiteLaxMode))
	b, err := d.o.Unseal(all[0].Value)
	if err == nil && len(b) >= seedSize+8 {
		copy(f.seed[:], b)
		f.end = time.UnixMilli(int64(binary.BigEndian.Uint64(b[seedSize:])))
		f.path = string(b[seedSize+8:])
		if d.o.Now().Before(f.end) {
			return f, nil
		}
	}
	return flow{}, refuse(http.StatusForbidden, "The login took too long: begin again.").because(err)
}
