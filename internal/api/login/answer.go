package login

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// refusal is why somebody is not let in, as the caller is told.
type refusal struct {
	status int
	text   string
	after  time.Duration // when to come again, 0 = whenever
	hint   string        // login hint for the next try at the provider
	again  bool          // the provider should ask who it is
	cause  error         // for the log only
}

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// Error returns the text.
func (r *refusal) Error() string { return r.text }

// Unwrap returns what only the log says.
func (r *refusal) Unwrap() error { return r.cause }

// because adds what only the log says.
func (r *refusal) because(err error) *refusal {
	r.cause = err
	return r
}

// answer is what the browser gets.
type answer struct {
	w    http.ResponseWriter
	page bool // for a person, not for a script
	sent bool
}

// protect sets what every answer carries: nobody keeps it, frames it, or reads it from
// another site.
func protect(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

// json answers a script.
func (a *answer) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	a.send(status, "application/json", string(b))
	return nil
}

// refuse says why not.
func (a *answer) refuse(r *refusal) {
	if a.sent {
		return
	}
	if r.after > 0 {
		a.w.Header().Set("Retry-After", strconv.Itoa(int((r.after+time.Second-1)/time.Second)))
	}
	if !a.page {
		_ = a.json(r.status, map[string]string{"Message": r.text}) // texts can be marshalled
		return
	}
	again := oidcPath
	if r.again {
		again += "?" + url.Values{"again": {"1"}, "login_hint": {r.hint}}.Encode()
	}
	a.send(r.status, "text/html; charset=utf-8", fmt.Sprintf(refusedPage, html.EscapeString(r.text), html.EscapeString(again)))
}

const refusedPage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Not logged in</title>
<h1>Not logged in</h1><p id="why">%s</p><p><a id="again" href="%s">Try again</a></p></html>
`

// welcome sends the browser on by a page of ours. A redirection would still be one of the
// provider's, and on those browsers keep back cookies with SameSite=Strict.
func (a *answer) welcome(to string) {
	a.send(http.StatusOK, "text/html; charset=utf-8", fmt.Sprintf(welcomePage, html.EscapeString(to)))
}

const welcomePage = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Logged in</title>
<meta http-equiv="refresh" content="0;url=%[1]s"><p>Logged in. <a href="%[1]s">Go on</a></p></html>
`

func (a *answer) send(status int, contentType, body string) {
	a.sent = true
	h := a.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	a.w.WriteHeader(status)
	_, _ = a.w.Write([]byte(body))
}
