package directory

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// TestLifeOfAUser: it is made, found, changed and removed, and made anew it is another.
func TestLifeOfAUser(t *testing.T) {
	h := newHouse(t)
	p := h.policy("bound", allow("*"))
	made, err := h.CreateUser(h.ctx, home, User{Name: "Anna", Path: "/site/", Boundary: p.ARN, Tags: []Tag{{"Team", "gate"}}})
	ok(t, err)
	if !regexp.MustCompile("^AIDA[A-Z2-7]{16}$").MatchString(made.ID) || made.ARN() != "arn:aws:iam::111122223333:user/site/Anna" {
		t.Errorf("%+v", made)
	}
	got, err := h.User(h.ctx, home, "Anna")
	ok(t, err)
	if d := cmp.Diff(made, got); d != "" {
		t.Error(d)
	}
	got, err = h.UserByID(h.ctx, made.ID)
	ok(t, err)
	if d := cmp.Diff(made, got); d != "" {
		t.Error(d)
	}
	got, err = h.UpdateUser(h.ctx, home, "Anna", Rename{Name: "anna", Path: "/"})
	ok(t, err)
	if got.ID != made.ID || got.ARN() != "arn:aws:iam::111122223333:user/anna" {
		t.Errorf("%+v", got)
	}
	_, err = h.User(h.ctx, home, "Anna")
	fails(t, err, kvs.NotFound, "The user with name Anna cannot be found.")
	ok(t, h.DeleteUser(h.ctx, home, "anna"))
	fails(t, h.DeleteUser(h.ctx, home, "anna"), kvs.NotFound, "The user with name anna cannot be found.")
	if again := h.user("Anna"); again.ID == made.ID {
		t.Error("an id was used again")
	}
	if p, err := h.Policy(h.ctx, home, p.ARN); err != nil || p.Boundaries != 0 {
		t.Errorf("a user that is gone is counted: %+v, %v", p, err)
	}
}

// TestNamesDifferWithoutCase when they are made, inside an account and a kind.
func TestNamesDifferWithoutCase(t *testing.T) {
	h := newHouse(t)
	h.user("Anna")
	h.user("berta")
	h.group("anna")
	h.role("anna")
	h.policy("anna", allow("*"))
	_, err := h.CreateUser(h.ctx, home, User{Name: "ANNA"})
	fails(t, err, kvs.InUse, "User with name ANNA already exists.")
	_, err = h.CreateGroup(h.ctx, home, Group{Name: "Anna"})
	fails(t, err, kvs.InUse, "Group with name Anna already exists.")
	_, err = h.CreateRole(h.ctx, home, Role{Name: "Anna", Trust: everybody})
	fails(t, err, kvs.InUse, "Role with name Anna already exists.")
	_, err = h.CreatePolicy(h.ctx, home, Policy{Name: "Anna"}, allow("*"))
	fails(t, err, kvs.InUse, "A policy called Anna already exists. Duplicate names are not allowed.")
	_, err = h.UpdateUser(h.ctx, home, "berta", Rename{Name: "anna"})
	fails(t, err, kvs.InUse, "already exists")
	_, err = h.User(h.ctx, home, "anna")
	fails(t, err, kvs.NotFound, "anna")
	_, err = h.CreateUser(h.ctx, guest, User{Name: "anna"})
	ok(t, err)
}

// TestMalformedEntities are refused and leave nothing behind.
func TestMalformedEntities(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		make  func() error
		kind  kvs.Kind
		words string
	}{
		"no name":    {func() error { _, err := h.CreateUser(h.ctx, home, User{}); return err }, kvs.Validation, "length greater"},
		"long name":  {func() error { _, err := h.CreateUser(h.ctx, home, User{Name: strings.Repeat("a", 65)}); return err }, kvs.Validation, "less than or equal to 64"},
		"long group": {func() error { _, err := h.CreateGroup(h.ctx, home, Group{Name: strings.Repeat("a", 129)}); return err }, kvs.Validation, "128"},
		"slash":      {func() error { _, err := h.CreateUser(h.ctx, home, User{Name: "a/b"}); return err }, kvs.Validation, "userName"},
		"path":       {func() error { _, err := h.CreateUser(h.ctx, home, User{Name: "a", Path: "x"}); return err }, kvs.Validation, "path"},
		"boundary": {func() error {
			_, err := h.CreateUser(h.ctx, home, User{Name: "a", Boundary: "arn:aws:iam::111122223333:policy/no"})
			return err
		}, kvs.NotFound, "not attachable"},
		"no ARN": {func() error { _, err := h.CreateUser(h.ctx, home, User{Name: "a", Boundary: "no"}); return err }, kvs.InvalidArgument, "ARN no is not valid."},
		"tag":    {func() error { _, err := h.CreateUser(h.ctx, home, User{Name: "a", Tags: []Tag{{"", "x"}}}); return err }, kvs.Validation, "tag"},
		"session": {func() error {
			_, err := h.CreateRole(h.ctx, home, Role{Name: "a", Trust: everybody, MaxSession: time.Minute})
			return err
		}, kvs.Validation, "maxSessionDuration"},
		"long session": {func() error {
			_, err := h.CreateRole(h.ctx, home, Role{Name: "a", Trust: everybody, MaxSession: 13 * time.Hour})
			return err
		}, kvs.Validation, "43200"},
		"no trust": {func() error { _, err := h.CreateRole(h.ctx, home, Role{Name: "a"}); return err }, kvs.MalformedPolicy, ""},
		"long trust": {func() error {
			_, err := h.CreateRole(h.ctx, home, Role{Name: "a", Trust: strings.Repeat("x", 4097)})
			return err
		}, kvs.LimitExceeded, "4096"},
		"description": {func() error {
			_, err := h.CreateRole(h.ctx, home, Role{Name: "a", Trust: everybody, Description: strings.Repeat("x", 1001)})
			return err
		}, kvs.Validation, "description"},
		"no policy": {func() error { _, err := h.CreatePolicy(h.ctx, home, Policy{Name: "a"}, "{}"); return err }, kvs.MalformedPolicy, ""},
		"long policy": {func() error {
			_, err := h.CreatePolicy(h.ctx, home, Policy{Name: "a"}, strings.Repeat("x", 6145))
			return err
		}, kvs.LimitExceeded, "6144"},
		"nobody's":        {func() error { _, err := h.CreateUser(h.ctx, "999999999999", User{Name: "a"}); return err }, kvs.NotFound, "account"},
		"renamed to none": {func() error { _, err := h.UpdateGroup(h.ctx, home, "ops", Rename{Name: "a b"}); return err }, kvs.Validation, "groupName"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "renamed to none" {
				h.group("ops")
			}
			fails(t, c.make(), c.kind, c.words)
		})
	}
	users, _, err := h.Users(h.ctx, home, "", "", 10)
	roles, _, err2 := h.Roles(h.ctx, home, "", "", 10)
	policies, _, err3 := h.Policies(h.ctx, home, PolicyQuery{Scope: Local, Limit: 10})
	if len(users)+len(roles)+len(policies) != 0 || err != nil || err2 != nil || err3 != nil {
		t.Errorf("left behind: %v, %v, %v, %v, %v, %v", users, roles, policies, err, err2, err3)
	}
}

// TestPagesOfUsers are by path and name, begin where their path begins, and are not
// shifted by who is made or removed between them.
func TestPagesOfUsers(t *testing.T) {
	h := newHouse(t)
	var want []string
	for _, path := range []string{"/", "/a/", "/a/b/", "/b/"} {
		for i := range 3 {
			name := fmt.Sprintf("User-%s%d", strings.ReplaceAll(path, "/", "."), i)
			_, err := h.CreateUser(h.ctx, home, User{Name: name, Path: path})
			ok(t, err)
			want = append(want, path+name)
		}
	}
	_, err := h.CreateUser(h.ctx, guest, User{Name: "not-ours"})
	ok(t, err)
	for prefix, want := range map[string][]string{"": want, "/": want, "/a": want[3:9], "/a/": want[3:9], "/a/b/": want[6:9], "/c": nil, "/User": nil} {
		for _, size := range []int{1, 2, 5, 12, 100} {
			var got []string
			for after, first := "", true; first || after != ""; first = false {
				users, next, err := h.Users(h.ctx, home, prefix, after, size)
				ok(t, err)
				if len(users) > size || next != "" && len(users) != size {
					t.Fatalf("a page of %d, next %q", len(users), next)
				}
				for _, u := range users {
					got = append(got, u.Path+u.Name)
				}
				after = next
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%q by %d: %s", prefix, size, d)
			}
		}
	}
	users, next, err := h.Users(h.ctx, home, "", "", 4)
	ok(t, err)
	ok(t, h.DeleteUser(h.ctx, home, users[3].Name)) // the one where the next page begins
	_, err = h.CreateUser(h.ctx, home, User{Name: "first"})
	ok(t, err)
	users, _, err = h.Users(h.ctx, home, "", next, 1)
	if err != nil || len(users) != 1 || users[0].Path+users[0].Name != want[4] {
		t.Errorf("%v, %v, want %s", users, err, want[4])
	}
	_, _, err = h.Users(h.ctx, home, "a", "", 1)
	fails(t, err, kvs.Validation, "pathPrefix")
}

// TestDeleteConflicts: nothing goes while others hold on to it, in IAM's words.
func TestDeleteConflicts(t *testing.T) {
	h := newHouse(t)
	u, g, r, p := h.user("anna"), h.group("ops"), h.role("viewer"), h.policy("watch", allow("*"))
	k, err := h.keys.Create(h.ctx, iam.NewKey{Account: home, User: u.ID})
	ok(t, err)
	ok(t, h.AddToGroup(h.ctx, home, "ops", "anna"))
	for _, o := range []Owner{u.Owner(), g.Owner(), r.Owner()} {
		ok(t, h.Attach(h.ctx, home, o, p.ARN))
		ok(t, h.PutInline(h.ctx, home, o, "own", allow("*")))
	}
	user := func() error { return h.DeleteUser(h.ctx, home, "anna") }
	group := func() error { return h.DeleteGroup(h.ctx, home, "ops") }
	role := func() error { return h.DeleteRole(h.ctx, home, "viewer") }
	managed := func() error { return h.DeletePolicy(h.ctx, home, p.ARN) }
	for _, step := range []struct {
		remove func() error
		words  string
		then   func() error
	}{
		{user, "must remove users from group first.", nil},
		{group, "must remove users from group first.", func() error { return h.RemoveFromGroup(h.ctx, home, "ops", "anna") }},
		{user, "must delete access keys first.", func() error { return h.keys.DeleteKey(h.ctx, home, u.ID, k.ID) }},
		{user, "must detach all policies first.", func() error { return h.Detach(h.ctx, home, u.Owner(), p.ARN) }},
		{group, "must detach all policies first.", func() error { return h.Detach(h.ctx, home, g.Owner(), p.ARN) }},
		{managed, "Cannot delete a policy attached to entities.", nil},
		{role, "must detach all policies first.", func() error { return h.Detach(h.ctx, home, r.Owner(), p.ARN) }},
		{user, "must delete policies first.", func() error { return h.DeleteInline(h.ctx, home, u.Owner(), "own") }},
		{group, "must delete policies first.", func() error { return h.DeleteInline(h.ctx, home, g.Owner(), "own") }},
		{role, "must delete policies first.", func() error { return h.DeleteInline(h.ctx, home, r.Owner(), "own") }},
	} {
		fails(t, step.remove(), kvs.Conflict, step.words)
		if step.then != nil {
			ok(t, step.then())
		}
	}
	ok(t, h.SetPermissionsBoundary(h.ctx, home, r.Owner(), p.ARN))
	fails(t, managed(), kvs.Conflict, "Cannot delete a policy attached to entities.")
	for _, remove := range []func() error{user, group, role, managed} {
		ok(t, remove())
		fails(t, remove(), kvs.NotFound, "")
	}
	if n := h.rows(); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// rows counts what belongs to entities.
func (h *house) rows() (n int64) {
	for _, table := range []string{"entity", "membership", "policy_version", "attachment", "inline_policy", "tag"} {
		more, err := count(h.read(h.ctx), "SELECT COUNT(*) FROM "+table)
		ok(h.t, err)
		n += more
	}
	return n
}

// TestGroups: memberships in both directions, paged, at most ten a user.
func TestGroups(t *testing.T) {
	h := newHouse(t)
	h.user("anna")
	for i := range 11 {
		h.group(fmt.Sprint("g", i))
	}
	for i := range 10 {
		ok(t, h.AddToGroup(h.ctx, home, fmt.Sprint("g", i), "anna"))
	}
	fails(t, h.AddToGroup(h.ctx, home, "g10", "anna"), kvs.LimitExceeded, "Cannot exceed quota for GroupsPerUser: 10")
	ok(t, h.AddToGroup(h.ctx, home, "g9", "anna"))
	ok(t, h.RemoveFromGroup(h.ctx, home, "g10", "anna"))
	fails(t, h.AddToGroup(h.ctx, home, "no", "anna"), kvs.NotFound, "The group with name no cannot be found.")
	fails(t, h.AddToGroup(h.ctx, home, "g1", "no"), kvs.NotFound, "The user with name no cannot be found.")
	groups, next, err := h.GroupsOf(h.ctx, home, "anna", "", 7)
	ok(t, err)
	rest, end, err := h.GroupsOf(h.ctx, home, "anna", next, 7)
	if err != nil || len(groups) != 7 || len(rest) != 3 || end != "" || groups[6].ID != next {
		t.Errorf("%d and %d groups, %v", len(groups), len(rest), err)
	}
	for i := range 4 {
		name := fmt.Sprint("u", i)
		h.user(name)
		ok(t, h.AddToGroup(h.ctx, home, "g1", name))
	}
	seen := map[string]bool{}
	for after, first := "", true; first || after != ""; first = false {
		users, next, err := h.Members(h.ctx, home, "g1", after, 2)
		ok(t, err)
		for _, u := range users {
			seen[u.Name] = true
		}
		after = next
	}
	if len(seen) != 5 {
		t.Errorf("members %v", seen)
	}
	g, err := h.UpdateGroup(h.ctx, home, "g1", Rename{Name: "ops", Path: "/x/"})
	if err != nil || g.ARN() != "arn:aws:iam::111122223333:group/x/ops" {
		t.Errorf("%+v, %v", g, err)
	}
	all, _, err := h.Groups(h.ctx, home, "/x/", "", 10)
	if err != nil || len(all) != 1 || all[0] != g {
		t.Errorf("%v, %v", all, err)
	}
	got, err := h.Group(h.ctx, home, "ops")
	if err != nil || got != g {
		t.Errorf("%v, %v", got, err)
	}
}

// TestAccountsAreApart tries everything of one account from another: it is not there.
func TestAccountsAreApart(t *testing.T) {
	h := newHouse(t)
	u, g, r, p := h.user("anna"), h.group("ops"), h.role("viewer"), h.policy("watch", allow("*"))
	ok(t, h.PutInline(h.ctx, home, u.Owner(), "own", allow("*")))
	ok(t, h.Attach(h.ctx, home, u.Owner(), p.ARN))
	ours := map[string]func() error{
		"user":          func() error { _, err := h.User(h.ctx, guest, "anna"); return err },
		"update user":   func() error { _, err := h.UpdateUser(h.ctx, guest, "anna", Rename{Name: "x"}); return err },
		"delete user":   func() error { return h.DeleteUser(h.ctx, guest, "anna") },
		"group":         func() error { _, err := h.Group(h.ctx, guest, "ops"); return err },
		"members":       func() error { _, _, err := h.Members(h.ctx, guest, "ops", "", 1); return err },
		"groups":        func() error { _, _, err := h.GroupsOf(h.ctx, guest, "anna", "", 1); return err },
		"join":          func() error { return h.AddToGroup(h.ctx, guest, "ops", "anna") },
		"leave":         func() error { return h.RemoveFromGroup(h.ctx, guest, "ops", "anna") },
		"delete group":  func() error { return h.DeleteGroup(h.ctx, guest, "ops") },
		"role":          func() error { _, err := h.Role(h.ctx, guest, "viewer"); return err },
		"update role":   func() error { return h.UpdateRole(h.ctx, guest, "viewer", RoleChange{}) },
		"trust":         func() error { return h.UpdateTrust(h.ctx, guest, "viewer", everybody) },
		"delete role":   func() error { return h.DeleteRole(h.ctx, guest, "viewer") },
		"policy":        func() error { _, err := h.Policy(h.ctx, guest, p.ARN); return err },
		"version":       func() error { _, err := h.Version(h.ctx, guest, p.ARN, ""); return err },
		"versions":      func() error { _, err := h.Versions(h.ctx, guest, p.ARN); return err },
		"new version":   func() error { _, err := h.CreateVersion(h.ctx, guest, p.ARN, allow("*"), true); return err },
		"default":       func() error { return h.SetDefault(h.ctx, guest, p.ARN, "v1") },
		"drop version":  func() error { return h.DeleteVersion(h.ctx, guest, p.ARN, "v1") },
		"delete policy": func() error { return h.DeletePolicy(h.ctx, guest, p.ARN) },
		"holders":       func() error { _, _, err := h.Holders(h.ctx, guest, p.ARN, HoldersQuery{Limit: 1}); return err },
		"attach":        func() error { return h.Attach(h.ctx, guest, g.Owner(), "arn:aws:iam::aws:policy/IAMFullAccess") },
		"detach":        func() error { return h.Detach(h.ctx, guest, u.Owner(), p.ARN) },
		"put inline":    func() error { return h.PutInline(h.ctx, guest, u.Owner(), "own", deny("*")) },
		"get inline":    func() error { _, err := h.GetInline(h.ctx, guest, u.Owner(), "own"); return err },
		"list inline":   func() error { _, _, err := h.ListInline(h.ctx, guest, u.Owner(), "", 1); return err },
		"delete inline": func() error { return h.DeleteInline(h.ctx, guest, u.Owner(), "own") },
		"boundary":      func() error { return h.SetPermissionsBoundary(h.ctx, guest, r.Owner(), "") },
		"tag":           func() error { return h.Tag(h.ctx, guest, u.Owner(), []Tag{{"a", "b"}}) },
		"untag":         func() error { return h.Untag(h.ctx, guest, u.Owner(), []string{"a"}) },
		"tags":          func() error { _, _, err := h.Tags(h.ctx, guest, u.Owner(), "", 1); return err },
		"revoke":        func() error { _, err := h.RevokeSessions(h.ctx, guest, r.Owner()); return err },
		"other kind":    func() error { return h.Tag(h.ctx, home, Owner{RoleOwner, u.ID}, []Tag{{"a", "b"}}) },
		"key":           func() error { _, err := h.keys.Create(h.ctx, iam.NewKey{Account: guest, User: u.ID}); return err },
		"rights": func() error {
			who := u.principal()
			who.Account = guest
			_, err := h.Rights(h.ctx, who)
			return err
		},
		"a policy of ours for a guest": func() error {
			theirs, err := h.CreateUser(h.ctx, guest, User{Name: "bert"})
			ok(t, err)
			return h.Attach(h.ctx, guest, theirs.Owner(), p.ARN)
		},
	}
	for name, try := range ours {
		if err := try(); kvs.KindOf(err) != kvs.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if attached, _, err := h.AttachedTo(h.ctx, guest, u.Owner(), "", "", 10); err != nil || len(attached) != 0 {
		t.Errorf("%v, %v", attached, err)
	}
	for _, list := range []int{
		must(h.Groups(h.ctx, guest, "", "", 9)), must(h.Roles(h.ctx, guest, "", "", 9)), must(h.Policies(h.ctx, guest, PolicyQuery{Scope: Local, Limit: 9})),
	} {
		if list != 0 {
			t.Errorf("%d in a list of another account", list)
		}
	}
	if text, err := h.GetInline(h.ctx, home, u.Owner(), "own"); err != nil || text != allow("*") {
		t.Errorf("%s, %v", text, err)
	}
}

// must counts the elements of a page that was read without an error.
func must[T any](page []T, _ string, err error) int {
	if err != nil {
		return -1
	}
	return len(page)
}

// TestUnknownIDs of all kinds, and of what has another kind.
func TestUnknownIDs(t *testing.T) {
	h := newHouse(t)
	u := h.user("anna")
	_, err := h.RoleByID(h.ctx, u.ID)
	fails(t, err, kvs.NotFound, "The role")
	_, err = h.UserByID(h.ctx, naming.NewID(naming.User))
	fails(t, err, kvs.NotFound, "The user")
	_, err = h.RoleByARN(h.ctx, u.ARN())
	fails(t, err, kvs.NotFound, "The role")
	_, err = h.Trust(h.ctx, u.ID)
	fails(t, err, kvs.NotFound, "The role")
}
