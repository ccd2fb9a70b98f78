package directory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// tamper changes rows behind the directory's back, as another process does.
func (h *house) tamper(statement string, args ...any) {
	h.t.Helper()
	ok(h.t, h.db.Write(h.ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(statement, args...)
		return err
	}))
}

// TestChangesFromOutside show after ten seconds, not before: in between nothing is read.
func TestChangesFromOutside(t *testing.T) {
	h := newHouse(t)
	u := h.user("anna")
	s := u.principal()
	s.Issued, s.Expires, s.AccessKey = 1, 2, "ASIAEXAMPLE000000000"
	ok(t, h.PutInline(h.ctx, home, u.Owner(), "a", allow(get)))
	ok(t, h.Valid(h.ctx, s))
	h.tamper("DELETE FROM inline_policy")
	h.tamper("INSERT INTO ended_session VALUES ($1, 1)", s.AccessKey)
	h.clock.move(maxAge - 1)
	if !h.may(u.principal(), get) || h.Valid(h.ctx, s) != nil {
		t.Error("what is remembered was read again")
	}
	h.clock.move(1)
	if h.may(u.principal(), get) || h.Valid(h.ctx, s) == nil {
		t.Error("what is too old was used")
	}
	h.tamper("DELETE FROM entity")
	h.clock.move(maxAge)
	for range 2 {
		_, err := h.Rights(h.ctx, u.principal())
		fails(t, err, kvs.NotFound, "cannot be found")
	}
	if len(h.memory.entries) != 0 {
		t.Error("who is gone is still remembered")
	}
}

// TestNobodyIsNotRemembered: those who guess ids fill no memory.
func TestNobodyIsNotRemembered(t *testing.T) {
	h := newHouse(t)
	for i := range 10 {
		_, err := h.Rights(h.ctx, kvs.Principal{Account: home, Kind: kvs.UserPrincipal, ID: fmt.Sprint("AIDA", i)})
		fails(t, err, kvs.NotFound, "user")
		_, err = h.Rights(h.ctx, kvs.Principal{Account: kvs.AccountID(fmt.Sprint(i)), Kind: kvs.RootPrincipal})
		fails(t, err, kvs.NotFound, "account")
	}
	if n := len(h.memory.entries) + len(h.memory.flights); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

// TestMemoryIsBounded by the number of principals and by the bytes of policies.
func TestMemoryIsBounded(t *testing.T) {
	m := &memory{now: time.Now}
	load := func(bytes int) func(context.Context) (*entry, error) {
		return func(context.Context) (*entry, error) { return &entry{text: bytes}, nil }
	}
	for i := range maxEntries + 100 {
		_, err := m.get(t.Context(), entryKey{id: fmt.Sprint(i)}, load(1))
		ok(t, err)
		m.noteLiving(fmt.Sprint(i), time.Now(), 0)
	}
	if len(m.entries) != maxEntries || len(m.living) != maxEntries || m.held != maxEntries || len(m.flights) != 0 {
		t.Errorf("%d entries of %d bytes, %d credentials, %d flights", len(m.entries), m.held, len(m.living), len(m.flights))
	}
	for i := range 10 {
		_, err := m.get(t.Context(), entryKey{id: fmt.Sprint("large", i)}, load(maxText/4))
		ok(t, err)
	}
	if m.held > maxText {
		t.Errorf("%d bytes", m.held)
	}
	m.forgetAll()
	if m.held != 0 || len(m.entries) != 0 {
		t.Errorf("%d bytes of nobody", m.held)
	}
	large := allow("a:x") + strings.Repeat(" ", 100_000)
	for i := range maxText * 5 / 4 / len(large) {
		_, err := m.compile(documentKey{fmt.Sprint(i), 1}, policy.Identity, large)
		ok(t, err)
	}
	held := 0
	for _, d := range m.documents {
		held += len(d.Text())
	}
	if held != m.text || held > maxText || held < maxText/2 {
		t.Errorf("%d bytes of policies, counted %d", held, m.text)
	}
}

// TestSharedPoliciesAreCompiledOnce for all who have them.
func TestSharedPoliciesAreCompiledOnce(t *testing.T) {
	h := newHouse(t)
	p, g := h.policy("watch", allow(get)), h.group("ops")
	ok(t, h.Attach(h.ctx, home, g.Owner(), p.ARN))
	var docs []*policy.Document
	for _, name := range []string{"anna", "berta"} {
		u := h.user(name)
		ok(t, h.AddToGroup(h.ctx, home, "ops", name))
		set, err := h.Rights(h.ctx, u.principal())
		ok(t, err)
		docs = append(docs, set.Identity[0].Document)
		if want := "group/ops managed " + p.ARN; set.Identity[0].Name != want {
			t.Errorf("%s, want %s", set.Identity[0].Name, want)
		}
	}
	if docs[0] != docs[1] {
		t.Error("compiled twice")
	}
}

// TestOneLoadForAll who ask at the same time; one that began before a change serves none
// who come after it, and is not remembered.
func TestOneLoadForAll(t *testing.T) {
	m, k := &memory{now: time.Now}, entryKey{id: "x"}
	began, goOn := make(chan bool, 10), make(chan bool)
	old, renewed := &entry{}, &entry{}
	slow := func(context.Context) (*entry, error) {
		began <- true
		<-goOn
		return old, nil
	}
	var wg sync.WaitGroup
	ask := func() {
		if e, err := m.get(t.Context(), k, slow); e != old || err != nil {
			t.Errorf("%v, %v", e, err)
		}
	}
	wg.Go(ask)
	<-began
	for range 3 {
		wg.Go(ask)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.get(gone, k, slow); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that went waits: %v", err)
	}
	goOn <- true
	wg.Wait()
	if len(began) != 0 {
		t.Errorf("%d further loads", len(began))
	}
	m.forget("x")
	wg.Go(ask)
	<-began
	m.forget("x")
	if e, err := m.get(t.Context(), k, func(context.Context) (*entry, error) { return renewed, nil }); e != renewed || err != nil {
		t.Errorf("%v, %v", e, err)
	}
	goOn <- true
	wg.Wait()
	if m.entries[k] != renewed {
		t.Error("what was read before a change is remembered")
	}
	m.forget("x")
	wg.Go(ask)
	<-began
	m.forget("somebody else")
	goOn <- true
	wg.Wait()
	if m.entries[k] != old {
		t.Error("what does not concern a principal has its rights forgotten")
	}
}

// TestFailedLoads are not remembered, and what a panic ends leaves nobody waiting.
func TestFailedLoads(t *testing.T) {
	m, k := &memory{now: time.Now}, entryKey{id: "x"}
	broken := errors.New("the disk is broken")
	if _, err := m.get(t.Context(), k, func(context.Context) (*entry, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = m.get(t.Context(), k, func(context.Context) (*entry, error) { panic("broken") })
	}()
	if len(m.flights) != 0 || len(m.entries) != 0 {
		t.Error("something is left")
	}
}

// TestDamagedPolicies deny: rights that cannot be read are no rights.
func TestDamagedPolicies(t *testing.T) {
	h := newHouse(t)
	u := h.user("anna")
	ok(t, h.PutInline(h.ctx, home, u.Owner(), "a", allow("*")))
	h.tamper("UPDATE inline_policy SET text = '{'")
	_, err := h.Rights(h.ctx, u.principal())
	fails(t, err, kvs.Internal, "cannot be read")
}

// TestTogether asks for rights while they change: what a change returned for must be seen
// by every later question.
func TestTogether(t *testing.T) {
	h := newHouse(t)
	p := h.policy("watch", allow(get))
	var wg sync.WaitGroup
	for i := range 4 {
		u := h.user(fmt.Sprint("user", i))
		stop := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for { // at least once, however late it is scheduled
					if err := h.Valid(h.ctx, u.principal()); err != nil {
						t.Error(err)
						return
					}
					h.may(u.principal(), get)
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		wg.Go(func() {
			defer close(stop)
			for i := range 10 {
				change := h.Attach
				if i%2 == 1 {
					change = h.Detach
				}
				if err := change(h.ctx, home, u.Owner(), p.ARN); err != nil {
					t.Error(err)
				}
				if h.may(u.principal(), get) != (i%2 == 0) {
					t.Errorf("change %d does not show", i)
				}
			}
		})
	}
	wg.Wait()
	if p, err := h.Policy(h.ctx, home, p.ARN); err != nil || p.Attachments != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestLimitsHoldTogether: of many who ask at once no more than the limit get through.
func TestLimitsHoldTogether(t *testing.T) {
	h := newHouse(t)
	u, p := h.user("anna"), h.policy("watch", allow("*"))
	var wg sync.WaitGroup
	for i := range 14 {
		name := fmt.Sprint("x", i)
		arn, g := h.policy(name, allow("*")).ARN, h.group(name).Name
		for _, try := range []func() error{
			func() error { return h.Attach(h.ctx, home, u.Owner(), arn) },
			func() error { return h.AddToGroup(h.ctx, home, g, "anna") },
			func() error { _, err := h.CreateVersion(h.ctx, home, p.ARN, allow("*"), true); return err },
			func() error {
				return h.Tag(h.ctx, home, u.Owner(), []Tag{{name + "a", ""}, {name + "b", ""}, {name + "c", ""}, {name + "d", ""}})
			},
		} {
			wg.Go(func() {
				if err := try(); err != nil && kvs.KindOf(err) != kvs.LimitExceeded {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	attached, _, err := h.AttachedTo(h.ctx, home, u.Owner(), "", "", 99)
	groups, _, err2 := h.GroupsOf(h.ctx, home, "anna", "", 99)
	versions, err3 := h.Versions(h.ctx, home, p.ARN)
	tags, _, err4 := h.Tags(h.ctx, home, u.Owner(), "", 99)
	if got := fmt.Sprint(len(attached), len(groups), len(versions), len(tags), err, err2, err3, err4); got != "10 10 5 48 <nil> <nil> <nil> <nil>" {
		t.Error(got)
	}
}
