package login

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/kvs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goodKey    = "AKIATESTTESTTESTTEST"
	goodSecret = "the-secret-of-the-test"
	host       = "video.example.com"
	roleARN    = "arn:aws:iam::111122223333:role/operator"
)

// house is a door with everything behind it, which the test plays.
type house struct {
	*Door
	t     *testing.T
	now   time.Time
	log   bytes.Buffer
	ended map[string]bool
	open  map[string]kvs.Principal // by session id and token
	fail  error                    // of what is behind the door
	roles map[string]bool
}

func newHouse(t *testing.T, o OIDC) *house {
	h := &house{t: t, now: time.Unix(1_800_000_000, 0), ended: map[string]bool{}, open: map[string]kvs.Principal{}, roles: map[string]bool{roleARN: true}}
	var err error
	h.Door, err = New(Options{Keys: h, Sessions: h, Roles: h, Seal: seal, Unseal: unseal, Secret: bytes.Repeat([]byte{5}, 32), Life: time.Hour, OIDC: o,
		Now: func() time.Time { return h.now }, Logger: slog.New(slog.NewTextHandler(&h.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.provider != nil {
			h.provider.http.CloseIdleConnections()
		}
		for _, secret := range []string{goodSecret, "wrong-secret", "sealed-token", h.csrf("ASIA0")} {
			if strings.Contains(h.log.String(), secret) {
				t.Errorf("the log shows %s:\n%s", secret, h.log.String())
			}
		}
	})
	return h
}

func (h *house) Identify(_ context.Context, key, token string) (kvs.Principal, string, bool, error) {
	if p, ok := h.open[key]; ok && token == "Cisealed-token~" {
		return p, goodSecret, true, h.fail
	}
	if key != goodKey || token != "" {
		return kvs.Principal{}, "", false, h.fail
	}
	return kvs.Principal{Account: "111122223333", Kind: kvs.UserPrincipal, Name: "anna", ARN: "arn:aws:iam::111122223333:user/anna", AccessKey: key}, goodSecret, true, h.fail
}

func (h *house) Begin(_ context.Context, p kvs.Principal, life time.Duration) (Session, error) {
	s := Session{ID: fmt.Sprint("ASIA", len(h.open)), Token: "Cisealed-token~", Expires: h.now.Add(life)}
	p.Expires = kvs.MillisOf(s.Expires)
	p.AccessKey = s.ID
	h.open[s.ID] = p
	return s, nil
}

func (h *house) Resume(_ context.Context, id, token string) (kvs.Principal, error) {
	p, ok := h.open[id]
	if !ok || token != "Cisealed-token~" || h.ended[id] || !h.now.Before(p.Expires.Time()) {
		return kvs.Principal{}, kvs.Errorf(kvs.Denied, "The session is over.")
	}
	return p, h.fail
}

func (h *house) End(_ context.Context, p kvs.Principal) error {
	h.ended[p.AccessKey] = true
	return h.fail
}

func (h *house) Role(_ context.Context, arn, session string) (kvs.Principal, error) {
	if !h.roles[arn] {
		return kvs.Principal{}, kvs.Errorf(kvs.NotFound, "The role cannot be found.")
	}
	return kvs.Principal{Account: "111122223333", Kind: kvs.RolePrincipal, Name: "operator", Session: session, ARN: "arn:aws:sts::111122223333:assumed-role/operator/" + session}, nil
}

func seal(content []byte) (string, error) { return fmt.Sprintf("login.%x", content), nil }

func unseal(text string) (b []byte, err error) {
	hex, ok := strings.CutPrefix(text, "login.")
	if !ok {
		return nil, errors.New("forged")
	}
	_, err = fmt.Sscanf(hex, "%x", &b)
	return b, err
}

// request is one of a page of ours over TLS.
func request(method, path, body string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(method, "https://"+host+path, strings.NewReader(body))
	r.Header.Set("Origin", "https://"+host)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, c := range cookies {
		if c != nil {
			r.AddCookie(c)
		}
	}
	return r
}

// ask sends a request; change may spoil it.
func (h *house) ask(r *http.Request, change func(*http.Request)) *http.Response {
	h.t.Helper()
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Access-Control-Allow-Origin": ""} {
		if got := resp.Header.Get(name); got != want {
			h.t.Errorf("%s %s: %s is %q", r.Method, r.URL.Path, name, got)
		}
	}
	return resp
}

func given(resp *http.Response, name string) *http.Cookie {
	for _, c := range resp.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

const keyBody = `{"AccessKeyId":"` + goodKey + `","SecretAccessKey":"` + goodSecret + `"}`

// login logs in with the key and returns the cookie and the value for calls.
func (h *house) login() (*http.Cookie, string) {
	h.t.Helper()
	resp := h.ask(request("POST", "/login/key", keyBody), nil)
	c := given(resp, CookieName)
	if resp.StatusCode != 200 || c == nil {
		h.t.Fatalf("login: %d %v", resp.StatusCode, c)
	}
	return c, told(h.t, resp).CSRF
}

func told(t *testing.T, resp *http.Response) (s shown) {
	t.Helper()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoginWithAKey(t *testing.T) {
	h := newHouse(t, OIDC{})
	c, csrf := h.login()
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 3600 {
		t.Errorf("cookie %+v", c)
	}
	resp := h.ask(request("GET", "/login/session", "", c), nil)
	if s := told(t, resp); resp.StatusCode != 200 || s.Kind != "user" || s.Name != "anna" || s.CSRF != csrf || s.Expires != "2027-01-15T09:00:00Z" {
		t.Errorf("session: %d %+v", resp.StatusCode, s)
	}
	call := func() *http.Request { return withCSRF(request("POST", "/listStreams", "{}", c), csrf) }
	if p, present, err := h.Login(t.Context(), call()); err != nil || !present || p.Name != "anna" {
		t.Errorf("a call: %+v %v %v", p, present, err)
	}
	if resp := h.ask(withCSRF(request("POST", "/login/logout", "", c), csrf), nil); resp.StatusCode != 200 || given(resp, CookieName).MaxAge >= 0 {
		t.Errorf("logout: %d", resp.StatusCode)
	}
	if _, _, err := h.Login(t.Context(), call()); kvs.KindOf(err) != kvs.Denied {
		t.Errorf("a call after the logout: %v", err)
	}
	if resp := h.ask(request("GET", "/login/session", "", c), nil); resp.StatusCode != 401 {
		t.Errorf("session after the logout: %d", resp.StatusCode)
	}
}

func withCSRF(r *http.Request, value string) *http.Request {
	r.Header.Set(CSRFHeader, value)
	return r
}

func TestRefusedLogins(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   string
		change func(*http.Request)
		want   int
	}{
		{"a wrong secret", strings.Replace(keyBody, goodSecret, "wrong-secret", 1), nil, 403},
		{"a wrong key", strings.Replace(keyBody, goodKey, "AKIAOTHER", 1), nil, 403},
		{"nothing", "{}", nil, 403},
		{"a foreign session token", keyBody[:len(keyBody)-1] + `,"SessionToken":"x"}`, nil, 403},
		{"no JSON", "AccessKeyId=x", nil, 400},
		{"too much", `{"AccessKeyId":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400},
		{"a form", keyBody, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"another site", keyBody, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"no site", keyBody, func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"a sister site", keyBody, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"the plain site", keyBody, func(r *http.Request) { r.Header.Set("Origin", "http://"+host) }, 403},
		{"another port", keyBody, func(r *http.Request) { r.Header.Set("Origin", "https://"+host+":8443") }, 403},
		{"two origins", keyBody, func(r *http.Request) { r.Header.Add("Origin", "https://"+host) }, 403},
		{"without TLS", keyBody, func(r *http.Request) { r.TLS = nil }, 403},
		{"another method", "", func(r *http.Request) { r.Method = "GET" }, 405},
		{"a question before", "", func(r *http.Request) { r.Method = "OPTIONS" }, 405},
		{"another path", keyBody, func(r *http.Request) { r.URL.Path = "/login/keys" }, 404},
		{"a provider that there is not", "", func(r *http.Request) { r.Method, r.URL.Path = "GET", "/login/oidc" }, 404},
	} {
		h := newHouse(t, OIDC{})
		resp := h.ask(request("POST", "/login/key", c.body), c.change)
		if resp.StatusCode != c.want || given(resp, CookieName) != nil {
			t.Errorf("%s: %d, want %d", c.name, resp.StatusCode, c.want)
		}
	}
	h := newHouse(t, OIDC{})
	h.fail = errors.New("the disk is gone")
	if resp := h.ask(request("POST", "/login/key", keyBody), nil); resp.StatusCode != 500 || !strings.Contains(h.log.String(), "the disk is gone") {
		t.Errorf("a failure of ours: %d\n%s", resp.StatusCode, h.log.String())
	}
}

// Programs send no Origin; this machine needs no TLS; a name that the settings give is ours.
func TestAcceptedLogins(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"a program":     func(r *http.Request) { r.Header.Del("Origin"); r.Header.Del("Sec-Fetch-Site") },
		"the port":      func(r *http.Request) { r.Header.Set("Origin", "https://VIDEO.example.com:443") },
		"behind a name": func(r *http.Request) { r.Header.Set("Origin", "https://front.example.com") },
		"this machine": func(r *http.Request) {
			r.TLS, r.RemoteAddr, r.Host = nil, "[::1]:5000", "localhost:8080"
			r.Header.Set("Origin", "http://localhost:8080")
		},
	} {
		h := newHouse(t, OIDC{})
		h.o.Endpoint = "https://front.example.com"
		if resp := h.ask(request("POST", "/login/key", keyBody), change); resp.StatusCode != 200 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
}

func TestRefusedVisitors(t *testing.T) {
	h := newHouse(t, OIDC{})
	c, csrf := h.login()
	other, otherCSRF := h.login()
	if csrf == otherCSRF || c.Value == other.Value {
		t.Error("two sessions have the same cookie")
	}
	swap := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Cookie", CookieName+"="+value) }
	}
	parts := strings.Split(c.Value, ".")
	id, rest := parts[0], strings.Join(parts[1:], ".")
	for name, change := range map[string]func(*http.Request){
		"no header":             func(r *http.Request) { r.Header.Del(CSRFHeader) },
		"another session's":     func(r *http.Request) { r.Header.Set(CSRFHeader, otherCSRF) },
		"two headers":           func(r *http.Request) { r.Header.Add(CSRFHeader, csrf) },
		"another site":          func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"another site's script": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"another id":            swap("ASIA1." + rest),
		"a token without mark":  swap(id + ".Cisealed-token~"),
		"another mark":          swap(id + ".Cisealed-token~." + parts[2] + ".AAAA"),
		"a later end":           swap(id + ".Cisealed-token~.9999999999." + parts[3]),
		"no token":              swap("x"),
		"too long":              swap(strings.Repeat("x.", 4096)),
		"two cookies":           func(r *http.Request) { r.AddCookie(other) },
	} {
		r := withCSRF(request("POST", "/listStreams", "{}", c), csrf)
		change(r)
		if p, present, err := h.Login(t.Context(), r); !present || kvs.KindOf(err) != kvs.Denied || p.Account != "" {
			t.Errorf("%s: %v %v", name, present, err)
		}
	}
	if _, present, err := h.Login(t.Context(), request("POST", "/listStreams", "{}")); present || err != nil {
		t.Errorf("no cookie: %v %v", present, err)
	}
	h.now = h.now.Add(time.Hour)
	if _, _, err := h.Login(t.Context(), withCSRF(request("POST", "/listStreams", "{}", c), csrf)); kvs.KindOf(err) != kvs.Expired {
		t.Errorf("an hour later: %v", err)
	}
	if resp := h.ask(request("GET", "/login/session", "", c), nil); resp.StatusCode != 401 || given(resp, CookieName).MaxAge >= 0 {
		t.Errorf("session an hour later: %d", resp.StatusCode)
	}
}

// Temporary credentials are a session themselves, for an hour at most and no longer than they
// last; a session token in a cookie is worth nothing by itself.
func TestLoginWithTemporaryCredentials(t *testing.T) {
	for life, want := range map[time.Duration]int{12 * time.Hour: 3600, time.Minute: 60} {
		h := newHouse(t, OIDC{})
		s, err := h.Begin(t.Context(), kvs.Principal{Kind: kvs.RolePrincipal, Name: "viewer"}, life)
		if err != nil {
			t.Fatal(err)
		}
		body := `{"AccessKeyId":"` + s.ID + `","SecretAccessKey":"` + goodSecret + `","SessionToken":"` + s.Token + `"}`
		resp := h.ask(request("POST", "/login/key", body), nil)
		c := given(resp, CookieName)
		if c == nil || c.MaxAge != want || !strings.HasPrefix(c.Value, s.ID+"."+s.Token+".") || len(h.open) != 1 {
			t.Fatalf("%d, %+v", resp.StatusCode, c)
		}
		call := withCSRF(request("POST", "/listStreams", "{}", c), told(t, resp).CSRF)
		if p, _, err := h.Login(t.Context(), call); err != nil || p.Name != "viewer" {
			t.Errorf("%+v, %v", p, err)
		}
		h.now = h.now.Add(time.Duration(want) * time.Second)
		if _, _, err := h.Login(t.Context(), call); err == nil {
			t.Error("the session goes on")
		}
	}
}

func TestRefusedLogouts(t *testing.T) {
	h := newHouse(t, OIDC{})
	c, _ := h.login()
	for name, x := range map[string]struct {
		r    *http.Request
		want int
	}{
		"nobody":       {request("POST", "/login/logout", ""), 401},
		"no header":    {request("POST", "/login/logout", "", c), 403},
		"another site": {withCSRF(request("POST", "/login/logout", "", c), h.csrf("ASIA0")), 403},
	} {
		if name == "another site" {
			x.r.Header.Set("Origin", "https://evil.example")
		}
		if resp := h.ask(x.r, nil); resp.StatusCode != x.want || len(h.ended) > 0 {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, x.want)
		}
	}
	if resp := h.ask(request("GET", "/login/session", "", c), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }); resp.StatusCode != 403 {
		t.Errorf("another site asks for the session: %d", resp.StatusCode)
	}
}

// A mistake of ours is an answer and a log line.
func TestPanicsAreAnswered(t *testing.T) {
	h := newHouse(t, OIDC{})
	h.o.Keys = nil
	if resp := h.ask(request("POST", "/login/key", keyBody), nil); resp.StatusCode != 500 || !strings.Contains(h.log.String(), "panic") {
		t.Errorf("%d\n%s", resp.StatusCode, h.log.String())
	}
}

// Whatever a cookie holds, it is either one of ours or nobody's.
func FuzzCookie(f *testing.F) {
	d, err := New(Options{Secret: bytes.Repeat([]byte{5}, 32)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("ASIA0.Citoken~.AAAA")
	f.Add("..")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		r := &http.Request{Header: http.Header{"Cookie": {CookieName + "=" + value}}, TLS: &tls.ConnectionState{}}
		if s, _, ok := d.readCookie(r); ok {
			t.Errorf("%q is taken for %+v", value, s)
		}
	})
}
