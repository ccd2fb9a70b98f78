package identity

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/sigv4"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("internal/poll.runtime_pollWait"))
}

const (
	home  kvs.AccountID = "111122223333"
	guest kvs.AccountID = "444455556666"
)

// documents that the scripts name.
var papers = map[string]string{
	"$allow": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kinesisvideo:Get*","Resource":"*"}]}`,
	"$put":   `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kinesisvideo:PutMedia","Resource":"arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"}}`,
	"$deny":  `{"Statement":[{"Effect":"Deny","Action":"kinesisvideo:GetClip","Resource":"*"}]}`,
	"$trust": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:AssumeRole"}]}`,
	"$bad":   "{\n \"Statement\": [{\"Effect\": \"Perhaps\"}]}",
}

// house is a front that serves IAM alone, over a directory of its own. It is the front's
// authorizer, too: it writes down what was asked.
type house struct {
	t         *testing.T
	directory *directory.Directory
	keys      *iam.Store
	server    *httptest.Server
	callers   map[string]sigv4.Credentials // by the name that scripts use
	deny      bool
	asked     []string
	ids       map[string]string // shown id by unique id
	seconds   atomic.Int64      // the time: each call takes one
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, callers: map[string]sigv4.Credentials{}, ids: map[string]string{}}
	h.seconds.Store(time.Date(2026, 5, 17, 8, 30, 0, 0, time.UTC).Unix())
	now := func() time.Time { return time.Unix(h.seconds.Load(), 0) }
	rows, err := db.Open(t.Context(), db.Options{Path: filepath.Join(t.TempDir(), "keys.db"), Migrations: iam.Migrations()})
	ok(t, err)
	t.Cleanup(func() { _ = rows.Close() })
	h.keys, err = iam.Open(t.Context(), iam.Options{DB: rows, KeyFile: filepath.Join(t.TempDir(), "key-file"), Now: now})
	ok(t, err)
	root, err := h.keys.Bootstrap(t.Context(), home)
	ok(t, err)
	_, err = h.keys.AddAccount(t.Context(), "Guest", guest)
	ok(t, err)
	other, err := h.keys.Create(t.Context(), iam.NewKey{Account: guest})
	ok(t, err)
	h.directory = directory.Open(directory.Options{DB: rows, Keys: h.keys, Now: now})
	h.callers["root"] = sigv4.Credentials{AccessKey: root.ID, Secret: root.Secret}
	h.callers["guest"] = sigv4.Credentials{AccessKey: other.ID, Secret: other.Secret}
	h.callers["session"] = sigv4.Credentials{AccessKey: "ASIASESSIONSESSIONSE", Secret: "secret"}
	book, err := quota.NewBook(t.Context(), quota.BookOptions{})
	ok(t, err)
	front := api.New(api.Options{Identifier: h, Authorizer: h, Limits: book, Metrics: metrics.New(), Logger: slog.New(slog.DiscardHandler),
		Rules:   func() sigv4.Rules { return sigv4.Rules{} },
		Queries: []api.QueryService{Service(Options{Directory: h.directory, Keys: h.keys, MarkerKey: []byte("key")})}})
	h.server = httptest.NewServer(front)
	t.Cleanup(h.server.Close)
	return h
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Identify knows the keys of the store, and a session of a role.
func (h *house) Identify(ctx context.Context, id, _ string) (kvs.Principal, string, bool, error) {
	if id == h.callers["session"].AccessKey {
		return kvs.Principal{Account: home, Kind: kvs.RolePrincipal, ARN: "arn:aws:sts::111122223333:assumed-role/op/s", Name: "op", Session: "s"}, "secret", true, nil
	}
	k, err := h.keys.Lookup(ctx, id)
	return k.Principal, k.Secret, err == nil && k.Active, nil
}

// Still is for long calls; IAM has none.
func (h *house) Still(context.Context, *kvs.Principal) (bool, error) { return true, nil }

// Authorize writes the question down.
func (h *house) Authorize(_ context.Context, a *authority.Ask) error {
	text := fmt.Sprintf("asks %s on %s", a.Action, a.Resource)
	if a.Shown != "" {
		text += " (" + a.Shown + ")"
	}
	if a.Owner != "" {
		text += " of " + string(a.Owner)
	}
	if len(a.Tags) > 0 {
		text += fmt.Sprintf(" tagged %v", a.Tags)
	}
	for _, key := range []string{"aws:tagkeys", "aws:requesttag/team", "iam:policyarn", "iam:permissionsboundary"} {
		if a.Keys == nil {
			continue
		}
		if v, ok := a.Keys.Lookup(key); ok {
			text += fmt.Sprintf(" %s=%v", key, v)
		}
	}
	h.asked = append(h.asked, text)
	if h.deny {
		return kvs.Errorf(kvs.Denied, "User %s may not %s on %s", a.Principal.ARN, a.Action, a.Shown)
	}
	return nil
}

// call makes a call and returns status and body.
func (h *house) call(caller string, form url.Values) (int, string) {
	h.t.Helper()
	who, known := h.callers[caller]
	if !known {
		h.t.Fatalf("nobody is called %s", caller)
	}
	h.seconds.Add(1)
	form.Set("Version", "2010-05-08")
	body := form.Encode()
	r, err := http.NewRequest("POST", h.server.URL+"/", strings.NewReader(body))
	ok(h.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	ok(h.t, sigv4.Signer{Credentials: who, Region: "us-east-1", Service: "iam"}.Sign(r, sigv4.PayloadHash([]byte(body))))
	answer, err := http.DefaultTransport.RoundTrip(r)
	ok(h.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ok(h.t, err)
	return answer.StatusCode, string(text)
}

var (
	unique  = regexp.MustCompile(`(AIDA|AGPA|AROA|ANPA|AKIA)[A-Z2-7]{16}`)
	marker_ = regexp.MustCompile(`<Marker>[^<]+</Marker>`)
	made    = regexp.MustCompile(`<UserName>([^<]*)</UserName><AccessKeyId>([^<]*)</AccessKeyId><Status>Active</Status><SecretAccessKey>([^<]*)</SecretAccessKey>`)
)

// learn remembers the keys and markers that an answer gave.
func (h *house) learn(body string) (marker string) {
	if m := made.FindStringSubmatch(body); m != nil {
		name := m[1]
		if name == "" {
			name = "root2"
		}
		h.callers[name] = sigv4.Credentials{AccessKey: m[2], Secret: m[3]}
	}
	var found struct {
		Inner []struct {
			Marker string
		} `xml:",any"`
	}
	_ = xml.Unmarshal([]byte(body), &found)
	for _, i := range found.Inner {
		marker += i.Marker
	}
	return marker
}

// shown makes an answer the same in every run, and readable.
func (h *house) shown(body string) string {
	body = made.ReplaceAllString(body, `<UserName>$1</UserName><AccessKeyId>$2</AccessKeyId><Status>Active</Status><SecretAccessKey>(secret)</SecretAccessKey>`)
	body = h.numbered(body)
	body = marker_.ReplaceAllString(body, "<Marker>(marker)</Marker>")
	return indented(body)
}

// numbered shows ids by numbers in the order in which they came.
func (h *house) numbered(text string) string {
	return unique.ReplaceAllStringFunc(text, func(id string) string {
		if h.ids[id] == "" {
			h.ids[id] = fmt.Sprintf("%s-%d", id[:4], 1+len(h.ids))
		}
		return h.ids[id]
	})
}

// indented puts each element on a line of its own, without the outermost one and the id of
// the request.
func indented(body string) string {
	var b strings.Builder
	var text string
	depth, open := 0, false // open: the element just begun has nothing in it yet
	d := xml.NewDecoder(strings.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return b.String()
		}
		switch e := token.(type) {
		case xml.StartElement:
			if name := e.Name.Local; name == "ResponseMetadata" || name == "RequestId" {
				_ = d.Skip()
				continue
			}
			if open && depth > 1 {
				b.WriteString("\n")
			}
			if depth++; depth > 1 {
				b.WriteString(strings.Repeat("  ", depth-1) + e.Name.Local)
			}
			open, text = true, ""
		case xml.CharData:
			text += string(e)
		case xml.EndElement:
			if open && depth > 1 {
				b.WriteString(strings.TrimRight(" "+text, " ") + "\n")
			}
			depth, open = depth-1, false
		}
	}
}

// real is a parameter of a script as it is sent.
func (h *house) real(value string) string {
	for name, text := range papers {
		if value == name {
			return text
		}
	}
	for id, shown := range h.ids {
		value = strings.ReplaceAll(value, shown, id)
	}
	return value
}

// served are the names of all actions.
func served() []string {
	names := map[string]bool{}
	for _, a := range actions() {
		names[a.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
