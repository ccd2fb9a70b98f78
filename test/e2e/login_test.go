package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// openID is a real OpenID provider, oidc-provider of npm.
type openID struct {
	issuer string
	in     io.WriteCloser
	out    *output
}

// startOpenID starts the provider; it answers 503 until it knows its client.
func startOpenID(t *testing.T) *openID {
	t.Helper()
	c := exec.Command("node", "provider.mjs")
	p := &openID{out: newOutput()}
	c.Env, c.Stdout, c.Stderr = environment(), p.out, p.out
	var err error
	if p.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = c.Process.Kill()
		_ = c.Wait()
		if t.Failed() {
			t.Logf("the provider said:\n%s", p.out.tail(20))
		}
	})
	p.issuer = p.out.wait(t, `^(http://localhost:\d+)$`)
	return p
}

// know tells the provider of a server.
func (p *openID) know(t *testing.T, s *server) {
	t.Helper()
	about, err := json.Marshal(map[string]string{"client": "millrace", "secret": openIDSecret, "redirect": s.https + "/login/oidc/callback"})
	if err == nil {
		_, err = p.in.Write(append(about, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
	p.out.wait(t, `^(ready)$`)
}

const openIDSecret = "what-only-server-and-provider-know"

// serveLogins starts a server that takes logins by the provider; members of staff are
// operators.
func serveLogins(t *testing.T, p *openID, life string) *server {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	config := fmt.Sprintf(`account: %q
login:
  life: %s
  oidc:
    issuer: %s
    client_id: millrace
    client_secret_file: %s
    roles: ["night=arn:aws:iam::%[1]s:role/watchers/night", "staff=arn:aws:iam::%[1]s:role/operator"]
`, account, life, p.issuer, secret)
	config = strings.ReplaceAll(config, `::"`+account+`"`, "::"+account)
	for path, text := range map[string]string{secret: openIDSecret + "\n", filepath.Join(dir, "c.yml"): config} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return serveWith(t, filepath.Join(dir, "c.yml"))
}

// makeRole makes a role with an inline policy.
func (s *server) makeRole(t *testing.T, name, path, statement string) {
	t.Helper()
	millrace := func(in string, args ...string) {
		t.Helper()
		_, stderr, err := try(t, environment(), strings.NewReader(in), program(t), append(args, "--data", s.data)...)
		if err != nil {
			t.Fatalf("millrace %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
	}
	millrace(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+s.account+`"},"Action":"sts:AssumeRole"}}`,
		"role", "create", name, "--path", path, "--trust", "-")
	millrace(`{"Version":"2012-10-17","Statement":`+statement+`}`, "policy", "put", "all", "-", "--role", name)
}

const operatorMay = `{"Effect":"Allow","Action":["kinesisvideo:List*","kinesisvideo:Describe*","kinesisvideo:PutMedia"],"Resource":"*"}`

// arn is that of a stream.
func (s *server) arn(t *testing.T, stream string) string {
	t.Helper()
	var d struct{ StreamInfo streamInfo }
	s.caller(t).must(t, "DescribeStream", object{"StreamName": stream}, &d)
	return d.StreamInfo.StreamARN
}

// surfer is a browser without scripts: it has cookies and follows redirections.
type surfer struct {
	t   *testing.T
	s   *server
	web *http.Client
}

func (s *server) surfer(t *testing.T) *surfer {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	web := client.NewHTTP(s.roots(t))
	web.Jar = jar
	return &surfer{t, s, web}
}

// do sends a request as a page of the server does; change may spoil it.
func (u *surfer) do(method, path, body string, change func(*http.Request)) (int, http.Header, []byte) {
	u.t.Helper()
	r, err := http.NewRequestWithContext(u.t.Context(), method, u.s.https+path, strings.NewReader(body))
	if err != nil {
		u.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Origin", u.s.https)
		r.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(r)
	}
	return u.send(r)
}

func (u *surfer) send(r *http.Request) (int, http.Header, []byte) {
	u.t.Helper()
	resp, err := u.web.Do(r)
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header, readAll(u.t, resp.Body)
}

var formAction = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)

// signIn logs in at the provider and returns the server's answer, and the URL that the
// provider sent the browser to.
func (u *surfer) signIn(path, user string) (status int, page, callback string) {
	u.t.Helper()
	u.web.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/login/oidc/callback" {
			callback = r.URL.String()
		}
		return nil
	}
	r, err := http.NewRequestWithContext(u.t.Context(), http.MethodGet, u.s.https+path, nil)
	if err != nil {
		u.t.Fatal(err)
	}
	for range 4 { // login, then what the client may know
		resp, err := u.web.Do(r)
		if err != nil {
			u.t.Fatal(err)
		}
		text := readAll(u.t, resp.Body)
		resp.Body.Close()
		m := formAction.FindSubmatch(text)
		if m == nil {
			return resp.StatusCode, string(text), callback
		}
		action, err := resp.Request.URL.Parse(html.UnescapeString(string(m[1])))
		if err != nil {
			u.t.Fatal(err)
		}
		form := url.Values{"prompt": {"consent"}}
		if bytes.Contains(text, []byte(`name="login"`)) {
			form = url.Values{"prompt": {"login"}, "login": {user}, "password": {"any"}}
		}
		if r, err = http.NewRequestWithContext(u.t.Context(), http.MethodPost, action.String(), strings.NewReader(form.Encode())); err != nil {
			u.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	u.t.Fatal("the provider asks for ever")
	return 0, "", ""
}

// loggedIn is what /login/session answers.
type loggedIn struct{ Account, Arn, Kind, Name, Session, Expires, Csrf string }

func (u *surfer) session() (int, loggedIn) {
	u.t.Helper()
	status, _, text := u.do(http.MethodGet, "/login/session", "", nil)
	var l loggedIn
	if err := json.Unmarshal(text, &l); err != nil {
		u.t.Fatalf("%d %s", status, text)
	}
	return status, l
}

func csrf(value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("x-millrace-csrf", value) }
}

// Somebody whom a provider knows logs in without any key, may do what the role of the group
// may, and nothing after the logout.
func TestLoginByAnOpenIDProvider(t *testing.T) {
	p := startOpenID(t)
	s := serveLogins(t, p, "1h")
	if status, _, _ := s.surfer(t).do(http.MethodGet, "/login/oidc", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("a provider that is down: %d", status)
	}
	p.know(t, s)
	s.makeRole(t, "operator", "/", operatorMay)
	s.create(t, "garden")
	u := s.surfer(t)
	eventually(t, "the provider is asked again", func() error {
		if status, _, text := s.surfer(t).do(http.MethodGet, "/login/oidc", "", nil); status != http.StatusFound {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
	status, page, callback := u.signIn("/login/oidc?return=/console/", "anna.guests.staff")
	if status != http.StatusOK || !strings.Contains(page, `url=/console/`) {
		t.Fatalf("%d %s", status, page)
	}
	status, l := u.session()
	if status != http.StatusOK || l.Kind != "role" || l.Name != "operator" || l.Session != "anna@example.com" ||
		l.Arn != "arn:aws:sts::"+account+":assumed-role/operator/anna@example.com" {
		t.Fatalf("%d %+v", status, l)
	}
	for _, c := range []struct {
		name, path, body string
		change           func(*http.Request)
		status           int
		says             string
	}{
		{"a call", "/describeStream", `{"StreamName":"garden"}`, csrf(l.Csrf), 200, `"StreamName":"garden"`},
		{"what the role may not", "/deleteStream", `{"StreamARN":"` + s.arn(t, "garden") + `"}`, csrf(l.Csrf), 403, "not authorized to perform: kinesisvideo:DeleteStream"},
		{"an operation of our own", "/millrace/ListLimits", `{}`, csrf(l.Csrf), 403, "not authorized to perform: millrace:ListLimits"},
		{"without the header", "/listStreams", `{}`, nil, 403, "x-millrace-csrf"},
		{"with another header", "/listStreams", `{}`, csrf(l.Csrf + "x"), 403, "x-millrace-csrf"},
		{"another site", "/listStreams", `{}`, func(r *http.Request) { csrf(l.Csrf)(r); r.Header.Set("Origin", "https://evil.example") }, 403, "another site"},
		{"media", "/putMedia", "x", csrf(l.Csrf), 403, "Missing"},
	} {
		status, _, text := u.do(http.MethodPost, c.path, c.body, c.change)
		if status != c.status || !strings.Contains(string(text), c.says) {
			t.Errorf("%s: %d %s", c.name, status, text)
		}
	}

	for _, action := range []string{"ListUsers&Version=2010-05-08", "GetCallerIdentity&Version=2011-06-15"} { // IAM and STS
		_, _, text := u.do(http.MethodPost, "/", "Action="+action, func(r *http.Request) {
			csrf(l.Csrf)(r)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
		if bytes.Contains(text, []byte("Result>")) {
			t.Errorf("%s with a cookie: %s", action, text)
		}
	}

	// Neither the answer of the provider nor the code in it is good a second time.
	if status, _, text := u.do(http.MethodGet, strings.TrimPrefix(callback, s.https), "", nil); status != http.StatusForbidden {
		t.Errorf("the callback again: %d %s", status, text)
	}
	other := s.surfer(t)
	if status, _, text := other.do(http.MethodGet, strings.TrimPrefix(callback, s.https), "", nil); status != http.StatusForbidden {
		t.Errorf("the callback in another browser: %d %s", status, text)
	}
	other.stale(callback)

	if status, _, text := u.do(http.MethodPost, "/login/logout", "", csrf(l.Csrf)); status != http.StatusOK {
		t.Errorf("logout: %d %s", status, text)
	}
	if status, _ := u.session(); status != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", status)
	}
	for _, secret := range []string{openIDSecret, l.Csrf} {
		if strings.Contains(s.out.text(), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// stale brings back a code that was used, with a login of its own: the state is right, the
// provider knows the code no more.
func (u *surfer) stale(callback string) {
	u.t.Helper()
	u.web.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	_, h, _ := u.do(http.MethodGet, "/login/oidc", "", nil)
	to, err := url.Parse(h.Get("Location"))
	if err != nil {
		u.t.Fatal(err)
	}
	old, err := url.Parse(callback)
	if err != nil {
		u.t.Fatal(err)
	}
	q := old.Query()
	q.Set("state", to.Query().Get("state"))
	status, h, text := u.do(http.MethodGet, "/login/oidc/callback?"+q.Encode(), "", nil)
	if status != http.StatusForbidden || !strings.Contains(string(text), "begin again") || strings.Contains(h.Get("Set-Cookie"), "__Host-millrace=") {
		u.t.Errorf("a used code: %d %s", status, text)
	}
}

// A copied cookie is as dead as the browser's own after a logout, and a session ends by
// itself, also one that began with an access key.
func TestLoginsEnd(t *testing.T) {
	s := serveLogins(t, &openID{issuer: "http://localhost:1"}, "1h")
	u := s.surfer(t)
	keys := func(secret string) string {
		return fmt.Sprintf(`{"AccessKeyId":%q,"SecretAccessKey":%q}`, s.key, secret)
	}
	if status, _, text := u.do(http.MethodPost, "/login/key", keys("wrong"), nil); status != http.StatusForbidden {
		t.Errorf("a wrong secret: %d %s", status, text)
	}
	status, h, text := u.do(http.MethodPost, "/login/key", keys(s.secret), nil)
	var l loggedIn
	if err := json.Unmarshal(text, &l); err != nil || status != http.StatusOK || l.Kind != "root" {
		t.Fatalf("%d %s", status, text)
	}
	cookie, _, _ := strings.Cut(h.Get("Set-Cookie"), ";")
	copied := func(r *http.Request) { csrf(l.Csrf)(r); r.Header.Set("Cookie", cookie) }
	plain := s.surfer(t)
	if status, _, text := plain.do(http.MethodPost, "/millrace/ListLimits", `{}`, copied); status != http.StatusOK {
		t.Errorf("a copied cookie: %d %s", status, text)
	}
	if status, _, _ := u.do(http.MethodPost, "/login/logout", "", csrf(l.Csrf)); status != http.StatusOK {
		t.Errorf("logout: %d", status)
	}
	if status, _, text := plain.do(http.MethodPost, "/listStreams", `{}`, copied); status != http.StatusForbidden {
		t.Errorf("a copied cookie after the logout: %d %s", status, text)
	}
	if strings.Contains(s.out.text(), s.secret) && !strings.Contains(s.out.text(), "AWS_SECRET_ACCESS_KEY="+s.secret) {
		t.Error("the log has the secret")
	}

	short := serveLogins(t, &openID{issuer: "http://localhost:1"}, "2s")
	u = short.surfer(t)
	if status, _, text := u.do(http.MethodPost, "/login/key", fmt.Sprintf(`{"AccessKeyId":%q,"SecretAccessKey":%q}`, short.key, short.secret), nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	eventually(t, "the session ends", func() error {
		if status, _, _ := u.do(http.MethodGet, "/login/session", "", nil); status != http.StatusUnauthorized {
			return fmt.Errorf("%d", status)
		}
		return nil
	})
}

// visit is what a browser with scripts saw.
type visit struct {
	Why, Again, Visible string
	Session             loggedIn
	Cookies             []struct {
		Name, SameSite, Path string
		HTTPOnly, Secure     bool
	}
	Call, Without, Foreign, Logout, After struct {
		Status int
		Body   string
	}
}

// In a browser the strict cookie is there after the way over another site, scripts do not
// see it, and another site's page cannot use it.
func TestLoginInABrowser(t *testing.T) {
	p := startOpenID(t)
	s := serveLogins(t, p, "1h")
	p.know(t, s)
	s.makeRole(t, "operator", "/", operatorMay)
	v := s.visit(t, p, "anna.staff", false)
	if v.Session.Name != "operator" || v.Call.Status != 200 || v.Without.Status != 403 || v.Logout.Status != 200 || v.After.Status != 403 {
		t.Errorf("%+v", v)
	}
	if v.Foreign.Status != 0 { // the browser keeps the answer from the page; there is no cookie in the call either
		t.Errorf("another site: %+v", v.Foreign)
	}
	if strings.Contains(v.Visible, "millrace") || len(v.Cookies) != 1 || v.Cookies[0].Name != "__Host-millrace" || !v.Cookies[0].HTTPOnly || !v.Cookies[0].Secure || v.Cookies[0].SameSite != "Strict" {
		t.Errorf("scripts see %q; cookies %+v", v.Visible, v.Cookies)
	}
	v = s.visit(t, p, "mallory.guests", true)
	if !strings.Contains(v.Why, "none of your groups") || !strings.Contains(v.Again, "mallory%40example.com") {
		t.Errorf("somebody without a group: %+v", v)
	}
}

// visit logs in with Chromium.
func (s *server) visit(t *testing.T, p *openID, user string, refused bool) (v visit) {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	trust(t, home, s.ca())
	ask, err := json.Marshal(map[string]any{"browser": browser, "home": home, "server": s.https, "other": p.issuer + "/.well-known/openid-configuration",
		"user": user, "refused": refused, "patience": patience / 2 / time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c := exec.CommandContext(ctx, "node", "login.mjs")
	diagnostics := newOutput()
	c.Env, c.Stdin, c.Stderr = environment("HOME="+home), bytes.NewReader(ask), diagnostics
	out, err := c.Output()
	if err == nil {
		err = json.Unmarshal(out, &v)
	}
	if err != nil {
		t.Fatalf("%v in %.500s\n%s", err, out, diagnostics.tail(20))
	}
	return v
}
