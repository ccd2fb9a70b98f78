package directory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
)

// TestLifeOfAPolicy: versions are made, chosen and removed; their numbers are not used again.
func TestLifeOfAPolicy(t *testing.T) {
	h := newHouse(t)
	p, err := h.CreatePolicy(h.ctx, home, Policy{Name: "watch", Path: "/a/", Description: "Looks.", Tags: []Tag{{"Team", "gate"}}}, allow("*"))
	ok(t, err)
	if p.ARN != "arn:aws:iam::111122223333:policy/a/watch" || p.DefaultVersion != "v1" {
		t.Errorf("%+v", p)
	}
	if got, err := h.Policy(h.ctx, home, p.ARN); err != nil || cmp.Diff(p, got) != "" {
		t.Errorf("%v, %s", err, cmp.Diff(p, got))
	}
	h.clock.move(time.Minute)
	for i := 2; i <= 5; i++ {
		v, err := h.CreateVersion(h.ctx, home, p.ARN, deny(fmt.Sprint("a:", i)), i == 3)
		if err != nil || v.ID != fmt.Sprint("v", i) || v.Default != (i == 3) {
			t.Errorf("%+v, %v", v, err)
		}
	}
	_, err = h.CreateVersion(h.ctx, home, p.ARN, allow("*"), true)
	fails(t, err, kvs.LimitExceeded, "up to 5 versions")
	_, err = h.CreateVersion(h.ctx, home, p.ARN, "[]", true)
	fails(t, err, kvs.MalformedPolicy, "")
	fails(t, h.DeleteVersion(h.ctx, home, p.ARN, "v3"), kvs.Conflict, "Cannot delete the default version of a policy.")
	fails(t, h.DeletePolicy(h.ctx, home, p.ARN), kvs.Conflict, "more than one version")
	ok(t, h.DeleteVersion(h.ctx, home, p.ARN, "v5"))
	v, err := h.CreateVersion(h.ctx, home, p.ARN, allow("*"), false)
	if err != nil || v.ID != "v6" {
		t.Errorf("%+v, %v", v, err)
	}
	ok(t, h.SetDefault(h.ctx, home, p.ARN, "v6"))
	for _, missing := range []string{"v5", "v0", "6", "v06", "v-1", "vx", "v7"} {
		fails(t, h.SetDefault(h.ctx, home, p.ARN, missing), kvs.NotFound, "version "+missing)
		fails(t, h.DeleteVersion(h.ctx, home, p.ARN, missing), kvs.NotFound, "version "+missing)
		_, err := h.Version(h.ctx, home, p.ARN, missing)
		fails(t, err, kvs.NotFound, "version "+missing)
	}
	versions, err := h.Versions(h.ctx, home, p.ARN)
	ok(t, err)
	var ids []string
	for _, v := range versions {
		ids = append(ids, v.ID)
		if v.Default != (v.ID == "v6") {
			t.Errorf("%+v", v)
		}
		if !v.Default {
			ok(t, h.DeleteVersion(h.ctx, home, p.ARN, v.ID))
		}
	}
	if d := cmp.Diff([]string{"v6", "v4", "v3", "v2", "v1"}, ids); d != "" {
		t.Error(d)
	}
	ok(t, h.DeletePolicy(h.ctx, home, p.ARN))
}

// TestBuiltInPolicies can be read and attached by every account, and changed by none.
func TestBuiltInPolicies(t *testing.T) {
	h := newHouse(t)
	const arn = "arn:aws:iam::aws:policy/AmazonKinesisVideoStreamsReadOnlyAccess"
	u := h.user("anna")
	ok(t, h.Attach(h.ctx, home, u.Owner(), arn))
	if !h.may(u.principal(), get) || h.may(u.principal(), put) {
		t.Error("wrong rights")
	}
	for account, n := range map[kvs.AccountID]int{home: 1, guest: 0} {
		p, err := h.Policy(h.ctx, account, arn)
		if err != nil || p.Attachments != n || p.DefaultVersion != "v1" || p.ARN != arn {
			t.Errorf("%+v, %v", p, err)
		}
	}
	v, err := h.Version(h.ctx, guest, arn, "v1")
	if err != nil || !strings.Contains(v.Text, "kinesisvideo:Describe*") {
		t.Errorf("%+v, %v", v, err)
	}
	_, err = h.Version(h.ctx, guest, arn, "v2")
	fails(t, err, kvs.NotFound, "v2")
	if versions, err := h.Versions(h.ctx, guest, arn); err != nil || len(versions) != 1 {
		t.Errorf("%v, %v", versions, err)
	}
	_, err = h.CreateVersion(h.ctx, home, arn, allow("*"), true)
	fails(t, err, kvs.Unmodifiable, arn)
	fails(t, h.SetDefault(h.ctx, home, arn, "v1"), kvs.Unmodifiable, arn)
	fails(t, h.DeleteVersion(h.ctx, home, arn, "v1"), kvs.Unmodifiable, arn)
	fails(t, h.DeletePolicy(h.ctx, home, arn), kvs.Unmodifiable, arn)
	_, err = h.Policy(h.ctx, home, "arn:aws:iam::aws:policy/No")
	fails(t, err, kvs.NotFound, "Policy arn:aws:iam::aws:policy/No was not found.")
	_, err = h.Policy(h.ctx, home, "arn:aws:iam::aws:policy/x/AdministratorAccess")
	fails(t, err, kvs.NotFound, "was not found")
	_, err = h.Policy(h.ctx, home, "arn:aws:iam::111122223333:user/anna")
	fails(t, err, kvs.InvalidArgument, "is not valid")
}

// TestPagesOfPolicies: first what is built in, then the account's own.
func TestPagesOfPolicies(t *testing.T) {
	h := newHouse(t)
	var local, all []string
	for i := range builtIns {
		all = append(all, builtIns[i].name)
	}
	for _, name := range []string{"a", "b", "c"} {
		h.policy(name, allow("*"))
		local = append(local, name)
	}
	_, err := h.CreatePolicy(h.ctx, home, Policy{Name: "deep", Path: "/x/"}, allow("*"))
	ok(t, err)
	u := h.user("anna")
	ok(t, h.Attach(h.ctx, home, u.Owner(), "arn:aws:iam::111122223333:policy/b"))
	ok(t, h.Attach(h.ctx, home, u.Owner(), "arn:aws:iam::aws:policy/IAMFullAccess"))
	ok(t, h.SetPermissionsBoundary(h.ctx, home, u.Owner(), "arn:aws:iam::111122223333:policy/c"))
	local = append(local, "deep")
	for name, c := range map[string]struct {
		query PolicyQuery
		want  []string
	}{
		"all":      {PolicyQuery{}, append(all, local...)},
		"aws":      {PolicyQuery{Scope: AWS}, all},
		"local":    {PolicyQuery{Scope: Local}, local},
		"prefix":   {PolicyQuery{Prefix: "/x/"}, []string{"deep"}},
		"root":     {PolicyQuery{Prefix: "/", Scope: Local}, local},
		"attached": {PolicyQuery{Used: true}, []string{"IAMFullAccess", "b"}},
		"bounding": {PolicyQuery{Bounding: true}, []string{"c"}},
	} {
		for _, size := range []int{1, 2, 5, 6, 100} {
			var got []string
			q := c.query
			q.Limit = size
			for first := true; first || q.After != ""; first = false {
				page, next, err := h.Policies(h.ctx, home, q)
				ok(t, err)
				if len(page) > size {
					t.Fatalf("a page of %d", len(page))
				}
				for _, p := range page {
					got = append(got, p.Name)
				}
				q.After = next
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s by %d: %s", name, size, d)
			}
		}
	}
}

// TestAttachments: at most ten, counted once, shown by ARN, found from the policy's side.
func TestAttachments(t *testing.T) {
	h := newHouse(t)
	u, g, r := h.user("anna"), h.group("ops"), h.role("viewer")
	var arns []string
	for i := range 11 {
		arns = append(arns, h.policy(fmt.Sprintf("p%02d", i), allow("*")).ARN)
	}
	for _, o := range []Owner{u.Owner(), g.Owner(), r.Owner()} {
		for _, arn := range arns[:10] {
			ok(t, h.Attach(h.ctx, home, o, arn))
		}
		ok(t, h.Attach(h.ctx, home, o, arns[0]))
		fails(t, h.Attach(h.ctx, home, o, arns[10]), kvs.LimitExceeded, "Cannot exceed quota for "+quotas[o.Kind]+": 10")
		fails(t, h.Detach(h.ctx, home, o, arns[10]), kvs.NotFound, "was not found")
		fails(t, h.Attach(h.ctx, home, o, arns[0]+"x"), kvs.NotFound, "does not exist or is not attachable.")
		page, next, err := h.AttachedTo(h.ctx, home, o, "", "", 7)
		ok(t, err)
		rest, end, err := h.AttachedTo(h.ctx, home, o, "/", next, 7)
		if err != nil || len(page) != 7 || len(rest) != 3 || end != "" || rest[0].Name != "p07" || rest[0].ARN != arns[7] {
			t.Errorf("%v, %v, %v", page, rest, err)
		}
		if none, _, err := h.AttachedTo(h.ctx, home, o, "/x/", "", 7); err != nil || len(none) != 0 {
			t.Errorf("%v, %v", none, err)
		}
	}
	if p, err := h.Policy(h.ctx, home, arns[0]); err != nil || p.Attachments != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	ok(t, h.SetPermissionsBoundary(h.ctx, home, u.Owner(), arns[0]))
	ok(t, h.SetPermissionsBoundary(h.ctx, home, r.Owner(), arns[0]))
	ok(t, h.SetPermissionsBoundary(h.ctx, home, r.Owner(), arns[0]))
	fails(t, h.SetPermissionsBoundary(h.ctx, home, g.Owner(), arns[0]), kvs.InvalidArgument, "Only users and roles")
	if p, err := h.Policy(h.ctx, home, arns[0]); err != nil || p.Boundaries != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	for kind, want := range map[OwnerKind]string{"": "ops anna viewer", UserOwner: "anna", GroupOwner: "ops", RoleOwner: "viewer"} {
		for _, size := range []int{1, 2, 3} {
			var names []string
			q := HoldersQuery{Kind: kind, Limit: size}
			for first := true; first || q.After != ""; first = false {
				page, next, err := h.Holders(h.ctx, home, arns[0], q)
				ok(t, err)
				for _, one := range page {
					names = append(names, one.Name)
				}
				q.After = next
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("holders of kind %q by %d: %s, want %s", kind, size, got, want)
			}
		}
	}
	bounded, _, err := h.Holders(h.ctx, home, arns[0], HoldersQuery{Bounding: true, Limit: 9})
	if err != nil || len(bounded) != 2 || bounded[0].ID != u.ID || bounded[1].Kind != RoleOwner {
		t.Errorf("%v, %v", bounded, err)
	}
	got, err := h.User(h.ctx, home, "anna")
	if err != nil || got.Boundary != arns[0] {
		t.Errorf("%+v, %v", got, err)
	}
	ok(t, h.SetPermissionsBoundary(h.ctx, home, u.Owner(), "arn:aws:iam::aws:policy/IAMFullAccess"))
	if got, err := h.User(h.ctx, home, "anna"); err != nil || got.Boundary != "arn:aws:iam::aws:policy/IAMFullAccess" {
		t.Errorf("%+v, %v", got, err)
	}
	if p, err := h.Policy(h.ctx, home, arns[0]); err != nil || p.Boundaries != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestInlinePolicies are replaced under their names and bounded all together.
func TestInlinePolicies(t *testing.T) {
	h := newHouse(t)
	u, g, r := h.user("anna"), h.group("ops"), h.role("viewer")
	for o, most := range map[Owner]int{u.Owner(): 2048, g.Owner(): 5120, r.Owner(): 10240} {
		empty := len(allow(""))
		half := allow(strings.Repeat("a", most/2-empty-2) + ":x")
		ok(t, h.PutInline(h.ctx, home, o, "a", half))
		ok(t, h.PutInline(h.ctx, home, o, "b", "\n "+half+" \n"))
		fails(t, h.PutInline(h.ctx, home, o, "c", allow("*")), kvs.LimitExceeded, fmt.Sprintf("Maximum policy size of %d bytes exceeded for %s", most, o.Kind))
		fails(t, h.PutInline(h.ctx, home, o, "c", strings.Repeat("x", most+1)), kvs.LimitExceeded, "Maximum policy size")
		ok(t, h.PutInline(h.ctx, home, o, "b", allow("b:x")))
		ok(t, h.PutInline(h.ctx, home, o, "c", allow("c:x")))
		fails(t, h.PutInline(h.ctx, home, o, "d", "{}"), kvs.MalformedPolicy, "line 1")
		fails(t, h.PutInline(h.ctx, home, o, "d e", allow("*")), kvs.Validation, "policyName")
		names, next, err := h.ListInline(h.ctx, home, o, "", 2)
		rest, end, err2 := h.ListInline(h.ctx, home, o, next, 2)
		if fmt.Sprintf("%v %s %v %q %v %v", names, next, rest, end, err, err2) != `[a b] b [c] "" <nil> <nil>` {
			t.Error(names, next, rest, end, err, err2)
		}
		if text, err := h.GetInline(h.ctx, home, o, "b"); err != nil || text != allow("b:x") {
			t.Errorf("%s, %v", text, err)
		}
		ok(t, h.DeleteInline(h.ctx, home, o, "b"))
		_, err = h.GetInline(h.ctx, home, o, "b")
		words := fmt.Sprintf("The %s policy with name b cannot be found.", o.Kind)
		fails(t, err, kvs.NotFound, words)
		fails(t, h.DeleteInline(h.ctx, home, o, "b"), kvs.NotFound, words)
	}
}

// TestTags replace each other without case; there are at most 50.
func TestTags(t *testing.T) {
	h := newHouse(t)
	u, r, p := h.user("anna"), h.role("viewer"), h.policy("watch", allow("*"))
	for _, o := range []Owner{u.Owner(), r.Owner(), p.Owner()} {
		ok(t, h.Tag(h.ctx, home, o, []Tag{{"Team", "gate"}, {"b", ""}}))
		ok(t, h.Tag(h.ctx, home, o, []Tag{{"TEAM", "yard"}}))
		fails(t, h.Tag(h.ctx, home, o, []Tag{{"x", "1"}, {"X", "2"}}), kvs.InvalidArgument, "Duplicate tag keys found.")
		fails(t, h.Tag(h.ctx, home, o, []Tag{{"x", "1"}, {"aws:x", "2"}}), kvs.InvalidArgument, "reserved")
		got, next, err := h.Tags(h.ctx, home, o, "", 1)
		rest, end, err2 := h.Tags(h.ctx, home, o, next, 1)
		if fmt.Sprintf("%v %s %v %q %v %v", got, next, rest, end, err, err2) != `[{b }] b [{TEAM yard}] "" <nil> <nil>` {
			t.Error(got, next, rest, end, err, err2)
		}
		ok(t, h.Untag(h.ctx, home, o, []string{"team", "no"}))
		var many []Tag
		for i := range 49 {
			many = append(many, Tag{fmt.Sprint("k", i), "v"})
		}
		ok(t, h.Tag(h.ctx, home, o, many))
		fails(t, h.Tag(h.ctx, home, o, []Tag{{"one more", ""}}), kvs.LimitExceeded, "50")
		ok(t, h.Tag(h.ctx, home, o, []Tag{{"K7", "w"}}))
		if all, _, err := h.Tags(h.ctx, home, o, "", 100); err != nil || len(all) != 50 {
			t.Errorf("%d tags, %v", len(all), err)
		}
	}
	fails(t, h.Tag(h.ctx, home, h.group("ops").Owner(), []Tag{{"a", "b"}}), kvs.InvalidArgument, "Groups have no tags.")
	tags, err := h.PrincipalTags(h.ctx, u.principal())
	if err != nil || len(tags) != 50 || tags["K7"] != "w" {
		t.Errorf("%v, %v", tags, err)
	}
}
