package token

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/temporary"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/seal"
	"github.com/millrace/millrace/sigv4"
)

// owner and guest are the accounts of the tests.
const (
	owner kvs.AccountID = "111122223333"
	guest kvs.AccountID = "444455556666"
)

// start is when the tests begin; signatures are made then.
var start = time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC)

// house is a server with STS alone, two accounts, and a user in each.
type house struct {
	*httptest.Server
	t         *testing.T
	at        time.Time // of entities and credentials
	directory *directory.Directory
	keys      *iam.Store
	issuer    *temporary.Issuer
	log       bytes.Buffer

	root, guestRoot sigv4.Credentials
	anna            sigv4.Credentials // a user of owner
	bob             sigv4.Credentials // a user of guest
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, at: start}
	now := func() time.Time { return h.at }
	rows := h.open("keys.db", iam.Migrations())
	var err error
	h.keys, err = iam.Open(t.Context(), iam.Options{DB: rows, KeyFile: filepath.Join(t.TempDir(), "key"), Now: now})
	must(t, err)
	h.directory = directory.Open(directory.Options{DB: rows, Keys: h.keys, Now: now})
	sealing, err := seal.Open(t.Context(), seal.Options{DB: h.open("seal.db", seal.Migrations()), Wrapping: bytes.Repeat([]byte{7}, 32), Now: now})
	must(t, err)
	purpose, decision := seal.Purpose{Name: "sts"}, seal.Purpose{Name: "decision"}
	h.issuer = temporary.New(temporary.Options{
		Seal: func(b []byte) (string, error) { return sealing.Seal(purpose, b) }, Room: purpose.Room(),
		Unseal: func(token string) ([]byte, error) { return sealing.Open(purpose, token) },
		Key:    bytes.Repeat([]byte{9}, 32), Keys: h.keys, Directory: h.directory, Now: now,
	})
	h.serve(authority.New(authority.Options{Directory: h.directory, Tags: h.directory.PrincipalTags,
		Seal: func(b []byte) (string, error) { return sealing.Seal(decision, b) }}),
		func(_ kvs.AccountID, message string) (string, error) {
			b, err := sealing.Open(decision, message)
			if err != nil {
				return "", kvs.Errorf(kvs.InvalidArgument, "no message")
			}
			return string(b), nil
		})
	h.people()
	return h
}

func (h *house) open(name string, migrations fs.FS) *db.DB {
	h.t.Helper()
	d, err := db.Open(context.Background(), db.Options{Path: filepath.Join(h.t.TempDir(), name), Migrations: migrations})
	must(h.t, err)
	h.t.Cleanup(func() { _ = d.Close() })
	return d
}

// serve begins to serve STS. Signatures are checked by a clock that stands still.
func (h *house) serve(a api.Authorizer, decode func(kvs.AccountID, string) (string, error)) {
	book, err := quota.NewBook(h.t.Context(), quota.BookOptions{})
	must(h.t, err)
	front := api.New(api.Options{
		Region: "us-east-1", Identifier: h.issuer, Authorizer: a, Metrics: metrics.New(), Limits: book,
		Logger: slog.New(slog.NewTextHandler(&h.log, nil)), Now: func() time.Time { return start },
		Rules: func() sigv4.Rules {
			return sigv4.Rules{Regions: []string{"us-east-1"}, Now: func() time.Time { return start }}
		},
		Queries: []api.QueryService{Service(Options{Credentials: h.issuer, Directory: h.directory, Decode: decode, Real: func() time.Time { return start },
			Account: func(ctx context.Context, id string) (kvs.AccountID, error) {
				k, err := h.keys.Lookup(ctx, id)
				return k.Principal.Account, err
			}})},
	})
	h.Server = httptest.NewServer(front)
	h.t.Cleanup(h.Close)
}

// people are those who call.
func (h *house) people() {
	k, err := h.keys.Bootstrap(h.t.Context(), owner)
	must(h.t, err)
	h.root = signer(k)
	_, err = h.keys.AddAccount(h.t.Context(), "Guest", guest)
	must(h.t, err)
	k, err = h.keys.Create(h.t.Context(), iam.NewKey{Account: guest})
	must(h.t, err)
	h.guestRoot = signer(k)
	h.anna, h.bob = h.user(owner, "anna"), h.user(guest, "bob")
}

// user makes a user with a key.
func (h *house) user(account kvs.AccountID, name string) sigv4.Credentials {
	h.t.Helper()
	u, err := h.directory.CreateUser(h.t.Context(), account, directory.User{Name: name})
	must(h.t, err)
	k, err := h.keys.Create(h.t.Context(), iam.NewKey{Account: account, User: u.ID})
	must(h.t, err)
	return signer(k)
}

func signer(k *iam.RootKey) sigv4.Credentials {
	return sigv4.Credentials{AccessKey: k.ID, Secret: k.Secret}
}

// allow gives a user a policy of one statement; more of its members may follow the actions.
func (h *house) allow(account kvs.AccountID, user, actions string) {
	h.t.Helper()
	u, err := h.directory.User(h.t.Context(), account, user)
	must(h.t, err)
	must(h.t, h.directory.PutInline(h.t.Context(), account, u.Owner(), "allow", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*","Action":`+actions+`}}`))
}

// role makes a role of owner with one statement of trust: its Principal, and perhaps more.
func (h *house) role(name, principal string) directory.Role {
	h.t.Helper()
	r, err := h.directory.CreateRole(h.t.Context(), owner, directory.Role{Name: name, MaxSession: 2 * time.Hour,
		Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession"],"Principal":` + principal + `}}`})
	must(h.t, err)
	return r
}

// answer is what came back, whichever call it was.
type answer struct {
	status      int
	Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken, Expiration string } `xml:"Credentials"` //nolint:revive // their names
	Packed      string                                                                  `xml:"PackedPolicySize"`
	Role        struct{ AssumedRoleId, Arn string }                                     `xml:"AssumedRoleUser"` //nolint:revive // their names
	UserID      string                                                                  `xml:"UserId"`
	Account     string
	Arn         string
	Decoded     string `xml:"DecodedMessage"`
	Code        string
	Message     string
	text        string
	sealed      string
}

// call calls STS with the parameters, names and values in turn.
func (h *house) call(who sigv4.Credentials, action string, parameters ...string) (a answer) {
	h.t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2011-06-15"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	body := form.Encode()
	r, err := http.NewRequest("POST", h.URL+"/", bytes.NewReader([]byte(body)))
	must(h.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	s := sigv4.Signer{Credentials: who, Region: "us-east-1", Service: "sts", Now: func() time.Time { return start }}
	must(h.t, s.Sign(r, sigv4.PayloadHash([]byte(body))))
	got, err := http.DefaultClient.Do(r)
	must(h.t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(h.t, err)
	a.status, a.text, a.sealed = got.StatusCode, string(text), got.Header.Get("x-millrace-authorization-message")
	inner := struct {
		Result answer `xml:",any"`
	}{}
	must(h.t, xml.Unmarshal(text, &inner))
	inner.Result.status, inner.Result.text, inner.Result.sealed = a.status, a.text, a.sealed
	return inner.Result
}

// assume takes on a role.
func (h *house) assume(who sigv4.Credentials, arn string, more ...string) answer {
	h.t.Helper()
	return h.call(who, "AssumeRole", append([]string{"RoleArn", arn, "RoleSessionName", "shift"}, more...)...)
}

func (a answer) credentials() sigv4.Credentials {
	return sigv4.Credentials{AccessKey: a.Credentials.AccessKeyId, Secret: a.Credentials.SecretAccessKey, SessionToken: a.Credentials.SessionToken}
}

// is wants an answer with a code, "" for a good one, and with some words.
func (a answer) is(t *testing.T, what, code, words string) {
	t.Helper()
	if a.Code != code || (code == "") != (a.status == 200) || !strings.Contains(a.Message, words) {
		t.Errorf("%s: %d %s\nwant %s: %s", what, a.status, a.text, code, words)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
