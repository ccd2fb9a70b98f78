package directory

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// trusting is a trust policy for principals, written in an unusual way that must stay.
func trusting(principals ...string) string {
	return "{ \"Version\":\"2012-10-17\",\n  \"Statement\": [{\"Effect\":\"Allow\", \"Principal\":{\"AWS\":[\"" + strings.Join(principals, "\" ,\"") + "\"]},\"Action\":\"sts:AssumeRole\"}]}"
}

// trusts asks the trust policy of a role about a user.
func (h *house) trusts(r Role, u User) bool {
	h.t.Helper()
	trust, err := h.Trust(h.ctx, r.ID)
	ok(h.t, err)
	set := &policy.Set{Trust: trust, Identity: []policy.Source{{Name: "all", Document: builtIns[0].doc}}}
	return policy.Decide(&policy.Request{
		Principal: policy.Who{Account: string(u.Account), ARN: u.ARN(), ID: u.ID}, Action: "sts:AssumeRole", Resource: r.ARN(),
	}, set).Allowed
}

// TestTrustIsInTheOneNotInTheName: it survives a new name and ends with its holder.
func TestTrustIsInTheOneNotInTheName(t *testing.T) {
	h := newHouse(t)
	anna := h.user("anna")
	other := h.role("other")
	r, err := h.CreateRole(h.ctx, home, Role{Name: "viewer", Path: "/a/", Trust: trusting(anna.ARN(), guestRoot, other.ARN())})
	ok(t, err)
	shows := func(principals ...string) {
		t.Helper()
		got, err := h.Role(h.ctx, home, "viewer")
		ok(t, err)
		if d := cmp.Diff(trusting(principals...), got.Trust); d != "" {
			t.Error(d)
		}
	}
	shows(anna.ARN(), guestRoot, other.ARN())
	if !h.trusts(r, anna) {
		t.Error("anna is not trusted")
	}
	renamed, err := h.UpdateUser(h.ctx, home, "anna", Rename{Name: "annette", Path: "/x/"})
	ok(t, err)
	shows(renamed.ARN(), guestRoot, other.ARN())
	if again := h.user("anna"); h.trusts(r, again) || !h.trusts(r, renamed) {
		t.Error("trust is in the name")
	}
	ok(t, h.DeleteUser(h.ctx, home, "annette"))
	ok(t, h.DeleteRole(h.ctx, home, "other"))
	shows(anna.ID, guestRoot, other.ID)
	annette := h.user("annette")
	if h.trusts(r, annette) {
		t.Error("one made anew under the name is trusted")
	}
	fails(t, h.UpdateTrust(h.ctx, home, "viewer", trusting(anna.ID)), kvs.MalformedPolicy, "Invalid principal in policy: \"AWS\":\""+anna.ID)
	ok(t, h.UpdateTrust(h.ctx, home, "viewer", trusting(annette.ID)))
	shows(annette.ARN())
	if !h.trusts(r, annette) {
		t.Error("the new trust policy does not decide")
	}
}

const guestRoot = "arn:aws:iam::444455556666:root"

// TestTrustInOtherAccounts: a user of another account is named by ARN, too, and it stays
// where it is.
func TestTrustInOtherAccounts(t *testing.T) {
	h := newHouse(t)
	theirs, err := h.CreateUser(h.ctx, guest, User{Name: "bert"})
	ok(t, err)
	r, err := h.CreateRole(h.ctx, home, Role{Name: "viewer", Trust: trusting(theirs.ARN())})
	ok(t, err)
	if !h.trusts(r, theirs) || h.trusts(r, h.user("bert")) {
		t.Error("the wrong bert is trusted")
	}
}

// TestUnknownPrincipals are refused when they are written; sessions and accounts are not
// looked for.
func TestUnknownPrincipals(t *testing.T) {
	h := newHouse(t)
	h.user("anna")
	h.role("viewer")
	for principal, known := range map[string]bool{
		"*": true, "444455556666": true, guestRoot: true, "arn:aws:iam::111122223333:user/anna": true, "arn:aws:iam::111122223333:role/viewer": true,
		"arn:aws:sts::111122223333:assumed-role/viewer/s": true,
		"arn:aws:iam::111122223333:user/ANNA":             false, "arn:aws:iam::111122223333:user/x/anna": false, "arn:aws:iam::111122223333:user/berta": false,
		"arn:aws:iam::111122223333:role/anna": false, "arn:aws:iam::444455556666:user/anna": false, "AIDAEXAMPLE000000000": false,
		"arn:aws:iam::111122223333:user/" + strings.Repeat("a", 65): false, "arn:aws:iam::111122223333:group/anna": false,
	} {
		err := h.UpdateTrust(h.ctx, home, "viewer", trusting(principal))
		if (err == nil) != known || !known && kvs.KindOf(err) != kvs.MalformedPolicy {
			t.Errorf("%s: %v", principal, err)
		}
	}
	service := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"credentials.iot.amazonaws.com","Federated":"arn:aws:iam::111122223333:oidc-provider/x"},"Action":"sts:AssumeRole"}}`
	ok(t, h.UpdateTrust(h.ctx, home, "viewer", service))
	if r, err := h.Role(h.ctx, home, "viewer"); err != nil || r.Trust != service {
		t.Errorf("%s, %v", r.Trust, err)
	}
}

// TestLifeOfARole: found by name, id and ARN, changed, listed.
func TestLifeOfARole(t *testing.T) {
	h := newHouse(t)
	p := h.policy("bound", allow("*"))
	made, err := h.CreateRole(h.ctx, home, Role{Name: "viewer", Path: "/a/", Description: "Looks.", Trust: everybody, Boundary: p.ARN, Tags: []Tag{{"Team", "gate"}}})
	ok(t, err)
	if made.MaxSession != time.Hour || made.ARN() != "arn:aws:iam::111122223333:role/a/viewer" {
		t.Errorf("%+v", made)
	}
	for name, find := range map[string]func() (Role, error){
		"name": func() (Role, error) { return h.Role(h.ctx, home, "viewer") },
		"id":   func() (Role, error) { return h.RoleByID(h.ctx, made.ID) },
		"ARN":  func() (Role, error) { return h.RoleByARN(h.ctx, made.ARN()) },
	} {
		got, err := find()
		ok(t, err)
		if d := cmp.Diff(made, got); d != "" {
			t.Errorf("by %s: %s", name, d)
		}
	}
	_, err = h.RoleByARN(h.ctx, "arn:aws:iam::111122223333:role/viewer")
	fails(t, err, kvs.NotFound, "cannot be found")
	text := "Looks and listens."
	ok(t, h.UpdateRole(h.ctx, home, "viewer", RoleChange{Description: &text, MaxSession: 12 * time.Hour}))
	ok(t, h.UpdateRole(h.ctx, home, "viewer", RoleChange{}))
	long := strings.Repeat("x", 1001)
	fails(t, h.UpdateRole(h.ctx, home, "viewer", RoleChange{Description: &long}), kvs.Validation, "description")
	fails(t, h.UpdateRole(h.ctx, home, "viewer", RoleChange{MaxSession: 1}), kvs.Validation, "maxSessionDuration")
	h.role("another")
	roles, next, err := h.Roles(h.ctx, home, "/a/", "", 1)
	if err != nil || len(roles) != 1 || next != "" || roles[0].Description != text || roles[0].MaxSession != 12*time.Hour || roles[0].Trust != everybody {
		t.Errorf("%+v, %q, %v", roles, next, err)
	}
}
