package directory

import (
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

const (
	get = "kinesisvideo:GetMedia"
	put = "kinesisvideo:PutMedia"
)

// TestWhatAUserMayDo comes from its own policies and those of its groups, inline and
// managed, inside its boundary and that of the account; each change shows at once.
func TestWhatAUserMayDo(t *testing.T) {
	h := newHouse(t)
	u, g := h.user("anna"), h.group("ops")
	p := h.policy("watch", allow(get))
	who := u.principal()
	for _, step := range []struct {
		name     string
		do       func() error
		get, put bool
	}{
		{"nothing", func() error { return nil }, false, false},
		{"inline", func() error { return h.PutInline(h.ctx, home, u.Owner(), "camera", allow(put)) }, false, true},
		{"inline replaced", func() error { return h.PutInline(h.ctx, home, u.Owner(), "camera", allow(get)) }, true, false},
		{"inline gone", func() error { return h.DeleteInline(h.ctx, home, u.Owner(), "camera") }, false, false},
		{"managed", func() error { return h.Attach(h.ctx, home, u.Owner(), p.ARN) }, true, false},
		{"another version", func() error {
			_, err := h.CreateVersion(h.ctx, home, p.ARN, allow(get, put), true)
			return err
		}, true, true},
		{"the first version again", func() error { return h.SetDefault(h.ctx, home, p.ARN, "v1") }, true, false},
		{"detached", func() error { return h.Detach(h.ctx, home, u.Owner(), p.ARN) }, false, false},
		{"built in", func() error { return h.Attach(h.ctx, home, u.Owner(), "arn:aws:iam::aws:policy/AdministratorAccess") }, true, true},
		{"bounded", func() error { return h.SetPermissionsBoundary(h.ctx, home, u.Owner(), p.ARN) }, true, false},
		{"unbounded", func() error { return h.SetPermissionsBoundary(h.ctx, home, u.Owner(), "") }, true, true},
		{"account bounded", func() error { return h.keys.SetBoundary(h.ctx, home, allow(put)) }, false, true},
		{"account unbounded", func() error { return h.keys.SetBoundary(h.ctx, home, "") }, true, true},
		{"not built in any more", func() error {
			return h.Detach(h.ctx, home, u.Owner(), "arn:aws:iam::aws:policy/AdministratorAccess")
		}, false, false},
		{"of the group, not yet", func() error { return h.Attach(h.ctx, home, g.Owner(), p.ARN) }, false, false},
		{"of the group", func() error { return h.AddToGroup(h.ctx, home, "ops", "anna") }, true, false},
		{"inline of the group", func() error { return h.PutInline(h.ctx, home, g.Owner(), "all", deny(get)) }, false, false},
		{"inline of the group gone", func() error { return h.DeleteInline(h.ctx, home, g.Owner(), "all") }, true, false},
		{"left the group", func() error { return h.RemoveFromGroup(h.ctx, home, "ops", "anna") }, false, false},
	} {
		ok(t, step.do())
		if get, put := h.may(who, get), h.may(who, put); get != step.get || put != step.put {
			t.Errorf("%s: get %v put %v, want %v %v", step.name, get, put, step.get, step.put)
		}
	}
}

// TestSessionsOfARole have the rights of the role as it is now, less what their session
// policies do not allow.
func TestSessionsOfARole(t *testing.T) {
	h := newHouse(t)
	r := h.role("viewer")
	s := r.session(kvs.MillisOf(h.clock.time()))
	ok(t, h.PutInline(h.ctx, home, r.Owner(), "all", allow(get, put)))
	hash, err := h.KeepSessionPolicy(h.ctx, allow(get))
	ok(t, err)
	less := s
	less.SessionPolicies = []string{hash}
	if !h.may(s, get) || !h.may(s, put) || !h.may(less, get) || h.may(less, put) {
		t.Error("wrong rights")
	}
	less.SessionPolicies = []string{hash, "gone"}
	_, err = h.Rights(h.ctx, less)
	fails(t, err, kvs.NotFound, "session policy")
	named, err := h.CreatePolicy(h.ctx, home, Policy{Name: "less"}, allow(put))
	ok(t, err)
	byID := s
	byID.SessionPolicies = []string{named.ID, "ANPAMILLRACE00000003"} // together what either allows: put, and reading
	if !h.may(byID, get) || !h.may(byID, put) {
		t.Error("wrong rights with managed session policies")
	}
	byID.SessionPolicies = byID.SessionPolicies[:1]
	if h.may(byID, get) || !h.may(byID, put) {
		t.Error("wrong rights with a managed session policy")
	}
	_, err = h.CreateVersion(h.ctx, home, named.ARN, allow(get), true)
	ok(t, err)
	if !h.may(byID, get) || h.may(byID, put) {
		t.Error("a managed session policy is not as it is now")
	}
	ok(t, h.DeleteVersion(h.ctx, home, named.ARN, "v1"))
	ok(t, h.DeletePolicy(h.ctx, home, named.ARN))
	_, err = h.Rights(h.ctx, byID)
	fails(t, err, kvs.NotFound, "session policy")
	ok(t, h.DeleteInline(h.ctx, home, r.Owner(), "all"))
	if h.may(s, get) {
		t.Error("the role had its rights taken away")
	}
	ok(t, h.DeleteRole(h.ctx, home, "viewer"))
	fails(t, h.Valid(h.ctx, s), kvs.NotFound, "cannot be found")
	again, err := h.CreateRole(h.ctx, home, Role{Name: "night", Path: "/shifts/", Trust: `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`})
	ok(t, err)
	p := kvs.Principal{Account: home, Kind: kvs.RolePrincipal, ID: again.ID}
	if name, path, err := h.Named(h.ctx, p); name != "night" || path != "/shifts/" || err != nil {
		t.Errorf("%s %s, %v", path, name, err)
	}
	p.Account = guest
	if name, _, err := h.Named(h.ctx, p); kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("a role of another account: %s, %v", name, err)
	}
}

// TestRootOfAnAccount may do everything inside the account's boundary.
func TestRootOfAnAccount(t *testing.T) {
	h := newHouse(t)
	k, err := h.keys.Lookup(h.ctx, h.root.ID)
	ok(t, err)
	if !h.may(k.Principal, get) {
		t.Error("the root may not do everything")
	}
	ok(t, h.keys.SetBoundary(h.ctx, home, allow(put)))
	if h.may(k.Principal, get) || !h.may(k.Principal, put) {
		t.Error("the boundary of the account does not hold for its root")
	}
}
