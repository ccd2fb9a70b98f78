package directory

import (
	"cmp"
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// home and guest are the accounts of the tests.
const (
	home  kvs.AccountID = "111122223333"
	guest kvs.AccountID = "444455556666"
)

// clock is a clock the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a database with a store of keys and a directory in it.
type house struct {
	*Directory
	t     testing.TB
	ctx   context.Context
	path  string
	db    *db.DB
	keys  *iam.Store
	clock *clock
	root  *iam.RootKey
}

func newHouse(t testing.TB) *house {
	h := &house{t: t, ctx: context.Background(), path: t.TempDir(), clock: &clock{now: time.Date(2026, 5, 17, 8, 30, 15, 0, time.UTC)}}
	var err error
	h.db, err = db.Open(h.ctx, db.Options{Path: filepath.Join(h.path, "keys.db"), ReadCache: iam.ReadCache, Migrations: iam.Migrations()})
	ok(t, err)
	t.Cleanup(func() { _ = h.db.Close() })
	h.keys, err = iam.Open(h.ctx, iam.Options{DB: h.db, KeyFile: filepath.Join(h.path, "key-file"), Now: h.clock.time})
	ok(t, err)
	h.root, err = h.keys.Bootstrap(h.ctx, home)
	ok(t, err)
	_, err = h.keys.AddAccount(h.ctx, "Guest", guest)
	ok(t, err)
	h.Directory = Open(Options{DB: h.db, Keys: h.keys, Now: h.clock.time})
	return h
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error of a kind whose message has some words.
func fails(t testing.TB, err error, kind kvs.Kind, words string) {
	t.Helper()
	if err == nil || kvs.KindOf(err) != kind || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v (kind %d), want kind %d and %q", err, kvs.KindOf(err), kind, words)
	}
}

func (h *house) user(name string) User {
	h.t.Helper()
	u, err := h.CreateUser(h.ctx, home, User{Name: name})
	ok(h.t, err)
	return u
}

func (h *house) group(name string) Group {
	h.t.Helper()
	g, err := h.CreateGroup(h.ctx, home, Group{Name: name})
	ok(h.t, err)
	return g
}

// everybody trusts all accounts.
const everybody = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`

func (h *house) role(name string) Role {
	h.t.Helper()
	r, err := h.CreateRole(h.ctx, home, Role{Name: name, Trust: everybody})
	ok(h.t, err)
	return r
}

func (h *house) policy(name, text string) Policy {
	h.t.Helper()
	p, err := h.CreatePolicy(h.ctx, home, Policy{Name: name}, text)
	ok(h.t, err)
	return p
}

// allow is a policy that allows actions on everything.
func allow(actions ...string) string { return statement("Allow", actions...) }

// deny is one that denies them.
func deny(actions ...string) string { return statement("Deny", actions...) }

func statement(effect string, actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`
}

// principal is the caller that a user's key stands for.
func (u User) principal() kvs.Principal {
	return kvs.Principal{Account: u.Account, Kind: kvs.UserPrincipal, ID: u.ID, ARN: u.ARN(), Name: u.Name, Path: u.Path}
}

// session is a caller that has taken a role on.
func (r Role) session(issued kvs.Millis) kvs.Principal {
	return kvs.Principal{Account: r.Account, Kind: kvs.RolePrincipal, ID: r.ID, Name: r.Name, Path: r.Path, Session: "s",
		ARN: "arn:aws:sts::" + string(r.Account) + ":assumed-role/" + r.Name + "/s", AccessKey: "ASIAEXAMPLE000000000", Issued: issued, Expires: issued + 3_600_000}
}

// may asks whether a principal may do something.
func (h *house) may(p kvs.Principal, action string) bool {
	h.t.Helper()
	set, err := h.Rights(h.ctx, p)
	ok(h.t, err)
	return policy.Decide(&policy.Request{
		Principal: policy.Who{Account: string(p.Account), ARN: p.ARN, ID: p.ID},
		Action:    action, Resource: "arn:aws:kinesisvideo:us-east-1:" + cmp.Or(string(p.Account), "x") + ":stream/gate/1",
	}, set).Allowed
}
