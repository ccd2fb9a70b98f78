package login

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// issuer is a provider that says what the test wants.
type issuer struct {
	*httptest.Server
	t          *testing.T
	key        *rsa.PrivateKey
	down       bool
	discovered int
	seen       url.Values // of the authorization request
	form       url.Values // of the token request
	change     func(claims map[string]any)
	sign       *rsa.PrivateKey // in place of key
	now        time.Time
}

// signing takes long to make: one for all tests.
var signing = func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k }()

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, key: signing, change: func(map[string]any) {}, now: time.Unix(1_800_000_000, 0)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.discovered++
		if i.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		answerJSON(w, map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"response_types_supported": []string{"code"}, "id_token_signing_alg_values_supported": []string{"RS256", "none"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
			"n": b64(i.key.N.Bytes()), "e": b64(big.NewInt(int64(i.key.E)).Bytes())}}})
	})
	mux.HandleFunc("POST /token", i.token)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token checks the code as a provider does, and says who the user is.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	if i.down {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	_ = r.ParseForm()
	i.form = r.PostForm
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if r.PostForm.Get("code") != "good" || b64(sum[:]) != i.seen.Get("code_challenge") || r.PostForm.Get("redirect_uri") != i.seen.Get("redirect_uri") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		answerJSON(w, map[string]string{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{"iss": i.URL, "aud": "millrace", "sub": "auth|7", "email": "anna@example.com", "email_verified": true,
		"groups": []string{"other", "staff"}, "nonce": i.seen.Get("nonce"), "iat": i.now.Unix(), "exp": i.now.Add(time.Minute).Unix()}
	i.change(claims)
	answerJSON(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": i.signed(claims)})
}

func (i *issuer) signed(claims map[string]any) string {
	header, _ := json.Marshal(map[string]string{"alg": "RS256", "kid": "1"})
	body, _ := json.Marshal(claims)
	text := b64(header) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	key := i.key
	if i.sign != nil {
		key = i.sign
	}
	mac, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		i.t.Error(err)
	}
	return text + "." + b64(mac)
}

// settings are those of a server that knows the provider.
func (i *issuer) settings() OIDC {
	return OIDC{Issuer: i.URL, ClientID: "millrace", ClientSecret: "hush", Scopes: []string{"email"}, GroupsClaim: "groups",
		Roles: []Group{{"admins", "arn:aws:iam::111122223333:role/admin"}, {"staff", roleARN}}}
}

// depart sends a browser to the provider and returns what it brings back.
func (h *house) depart(i *issuer, query string) *http.Cookie {
	h.t.Helper()
	resp := h.ask(request("GET", "/login/oidc"+query, ""), func(r *http.Request) { r.Header.Del("Origin") })
	to, err := resp.Location()
	c := given(resp, flowCookie)
	if resp.StatusCode != http.StatusFound || err != nil || c == nil {
		text, _ := io.ReadAll(resp.Body)
		h.t.Fatalf("to the provider: %d %s\n%s", resp.StatusCode, text, h.log.String())
	}
	i.seen = to.Query()
	return c
}

// arrive brings a browser back from the provider, by a link of another site.
func (h *house) arrive(i *issuer, c *http.Cookie, change func(url.Values)) *http.Response {
	h.t.Helper()
	q := url.Values{"code": {"good"}, "state": {i.seen.Get("state")}, "iss": {i.URL}}
	if change != nil {
		change(q)
	}
	return h.ask(request("GET", "/login/oidc/callback?"+q.Encode(), "", c), func(r *http.Request) {
		r.Header.Del("Origin")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	})
}

func TestLoginByAProvider(t *testing.T) {
	i := newIssuer(t)
	h := newHouse(t, i.settings())
	c := h.depart(i, "?return=/console/streams&login_hint=anna@example.com&again=1")
	for name, want := range map[string]string{"response_type": "code", "client_id": "millrace", "code_challenge_method": "S256", "scope": "openid email",
		"redirect_uri": "https://" + host + "/login/oidc/callback", "login_hint": "anna@example.com", "prompt": "login"} {
		if got := i.seen.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.MaxAge != 600 {
		t.Errorf("cookie %+v", c)
	}
	resp := h.arrive(i, c, nil)
	page, _ := io.ReadAll(resp.Body)
	session := given(resp, CookieName)
	if resp.StatusCode != 200 || session == nil || given(resp, flowCookie).MaxAge >= 0 || !strings.Contains(string(page), `content="0;url=/console/streams"`) {
		t.Fatalf("%d %s\n%s", resp.StatusCode, page, h.log.String())
	}
	if s := told(t, h.ask(request("GET", "/login/session", "", session), nil)); s.Kind != "role" || s.Name != "operator" || s.Session != "anna@example.com" {
		t.Errorf("%+v", s)
	}
	h.depart(i, "")
	if i.discovered != 1 {
		t.Errorf("%d discoveries", i.discovered)
	}
}

func TestRefusedProviderLogins(t *testing.T) {
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	claim := func(name string, v any) func(*issuer, *house) {
		return func(i *issuer, _ *house) { i.change = func(c map[string]any) { c[name] = v } }
	}
	bring := func(name, v string) func(url.Values) { return func(q url.Values) { q.Set(name, v) } }
	for _, c := range []struct {
		name    string
		prepare func(*issuer, *house)
		query   func(url.Values)
		status  int
		because string // in the log
	}{
		{"another state", nil, bring("state", "x"), 403, "does not belong to the login"},
		{"no state", nil, func(q url.Values) { q.Del("state") }, 403, "does not belong to the login"},
		{"another code", nil, bring("code", "used"), 403, "invalid_grant"},
		{"another provider's answer", nil, bring("iss", "https://evil.example"), 403, "another provider"},
		{"an error", nil, bring("error", "access_denied"), 403, "access_denied"},
		{"too late", func(_ *issuer, h *house) { h.now = h.now.Add(flowLife) }, nil, 403, "took too long"},
		{"another nonce", claim("nonce", "x"), nil, 403, "another login"},
		{"for another program", claim("aud", "other"), nil, 403, "audience"},
		{"for several programs", claim("aud", []string{"millrace", "other"}), nil, 403, "another program"},
		{"from another provider", claim("iss", "https://evil.example"), nil, 403, "evil.example"},
		{"an expired token", claim("exp", 1_799_999_900), nil, 403, "expired"},
		{"a token of tomorrow", claim("nbf", 1_800_090_000), nil, 403, "before the nbf"},
		{"another key", func(i *issuer, _ *house) { i.sign = other }, nil, 403, "verify signature"},
		{"no group", claim("groups", nil), nil, 403, "no group of anna@example.com"},
		{"groups that are none", claim("groups", []any{7, nil}), nil, 403, "no group"},
		{"another group", claim("groups", "visitors"), nil, 403, "no group"},
		{"a role that is gone", func(_ *issuer, h *house) { h.roles = nil }, nil, 403, "does not exist"},
		{"the provider goes down", func(i *issuer, _ *house) { i.down = true }, nil, 503, "no token for the code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t)
			h := newHouse(t, i.settings())
			cookie := h.depart(i, "")
			if c.prepare != nil {
				c.prepare(i, h)
			}
			resp := h.arrive(i, cookie, c.query)
			if resp.StatusCode != c.status || given(resp, CookieName) != nil || given(resp, flowCookie) == nil || !strings.Contains(h.log.String(), c.because) {
				t.Errorf("%d, want %d and %q\n%s", resp.StatusCode, c.status, c.because, h.log.String())
			}
		})
	}
}

// The answer of a provider is for the browser that began the login, once.
func TestForeignFlows(t *testing.T) {
	i := newIssuer(t)
	h := newHouse(t, i.settings())
	for name, c := range map[string]*http.Cookie{
		"none":   nil,
		"forged": {Name: flowCookie, Value: "login"},
		"short":  {Name: flowCookie, Value: "login.00"},
	} {
		h.depart(i, "")
		if resp := h.arrive(i, c, nil); resp.StatusCode != 403 || given(resp, CookieName) != nil {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	first := h.depart(i, "")
	h.depart(i, "")
	if resp := h.arrive(i, first, nil); resp.StatusCode != 403 {
		t.Errorf("the cookie of another login: %d", resp.StatusCode)
	}
}

// Who has no group may try again as somebody else.
func TestTryAgain(t *testing.T) {
	i := newIssuer(t)
	h := newHouse(t, i.settings())
	i.change = func(c map[string]any) { c["groups"] = []string{"visitors"}; c["sub"] = "<script>" }
	resp := h.arrive(i, h.depart(i, ""), nil)
	page, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(page), `href="/login/oidc?again=1&amp;login_hint=anna%40example.com"`) {
		t.Errorf("%s", page)
	}
}

// A provider that is down stops neither the server nor logins with keys, and is not asked
// again by each request.
func TestAProviderThatIsDown(t *testing.T) {
	i := newIssuer(t)
	i.down = true
	h := newHouse(t, i.settings())
	for range 3 {
		if resp := h.ask(request("GET", "/login/oidc", ""), nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%d", resp.StatusCode)
		}
	}
	if i.discovered != tries {
		t.Errorf("asked %d times", i.discovered)
	}
	h.login()
	i.down = false
	h.now = h.now.Add(pauseAfterFailure)
	c := h.depart(i, "")
	i.down = true // what it said is good for a day and longer
	h.now = h.now.Add(rediscover)
	h.depart(i, "")
	i.down = false
	if resp := h.arrive(i, c, nil); resp.StatusCode != 403 { // by now it is too late
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestClockOfTheProvider(t *testing.T) {
	i := newIssuer(t)
	h := newHouse(t, i.settings())
	i.change = func(c map[string]any) { c["exp"] = i.now.Add(-50 * time.Second).Unix(); c["iat"] = c["exp"] }
	if resp := h.arrive(i, h.depart(i, ""), nil); resp.StatusCode != 200 {
		t.Errorf("%d\n%s", resp.StatusCode, h.log.String())
	}
}

func TestTheSecretOfAFile(t *testing.T) {
	i := newIssuer(t)
	o := i.settings()
	o.ClientSecret, o.ClientSecretFile = "", filepath.Join(t.TempDir(), "secret")
	h := newHouse(t, o)
	if resp := h.arrive(i, h.depart(i, ""), nil); resp.StatusCode != 500 {
		t.Errorf("without the file: %d", resp.StatusCode)
	}
	if err := os.WriteFile(o.ClientSecretFile, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := h.provider.secret(); got != "from a file" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if resp := h.arrive(i, h.depart(i, ""), nil); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}

func TestTheCAOfAProvider(t *testing.T) {
	for _, file := range []string{"none", "empty"} {
		path := filepath.Join(t.TempDir(), file)
		if file == "empty" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := New(Options{OIDC: OIDC{Issuer: "https://a.example", CA: path}}); err == nil || !strings.Contains(err.Error(), "login.oidc.ca") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestWhereBrowsersGo(t *testing.T) {
	for path, ours := range map[string]bool{"/": true, "/console/a?b=c#d": true, "": false, "//evil.example": false, "/\\evil.example": false,
		"https://evil.example": false, "/a b": false, "/\tx": false, "/" + strings.Repeat("x", maxReturn): false, "/é": false} {
		if isOurPath(path) != ours {
			t.Errorf("%q: %v", path, !ours)
		}
	}
}

func TestSessionNames(t *testing.T) {
	var got []string
	for _, text := range []string{"anna@example.com", "auth0|7", "", "x", "zoë", strings.Repeat("a", 70)} {
		got = append(got, fmt.Sprint(len(sessionName(text)), " ", sessionName(text)))
	}
	want := []string{"16 anna@example.com", "7 auth0-7", "2 --", "2 x-", "3 zo-", "64 " + strings.Repeat("a", 64)}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// An e-mail that the provider did not check is not the user's.
func TestUnverifiedMail(t *testing.T) {
	i := newIssuer(t)
	h := newHouse(t, i.settings())
	i.change = func(c map[string]any) { c["email_verified"] = false }
	session := given(h.arrive(i, h.depart(i, ""), nil), CookieName)
	if s := told(t, h.ask(request("GET", "/login/session", "", session), nil)); s.Session != "auth-7" {
		t.Errorf("%+v", s)
	}
}
