package identity

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/permission"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestScripts plays the calls in testdata: CALLER ACTION PARAMETER=VALUE ... The lines below a
// call are what the front asked the policies, the status, and the answer without what is the
// same everywhere. "deny" in front of a caller has the policies say no; a value of "(marker)"
// is the marker of the answer before.
func TestScripts(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	ok(t, err)
	called := map[string]bool{}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			before, err := os.ReadFile(name)
			ok(t, err)
			after := newHouse(t).play(string(before), called)
			if *update {
				ok(t, os.WriteFile(name, []byte(after), 0o644))
				return
			}
			want, got := strings.Split(string(before), "\n"), strings.Split(after, "\n")
			for i := range min(len(want), len(got)) {
				if want[i] != got[i] {
					t.Fatalf("line %d: %q\nwant %q", i+1, got[i], want[i])
				}
			}
			if len(want) != len(got) {
				t.Errorf("%d lines, want %d", len(got), len(want))
			}
		})
	}
	for _, name := range served() {
		if !called[name] {
			t.Errorf("no script calls %s", name)
		}
	}
}

// play makes the calls of a script and returns it with what was answered.
func (h *house) play(script string, called map[string]bool) string {
	var b strings.Builder
	marker := ""
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, " ") {
			continue // of the last run
		}
		b.WriteString(line)
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		h.deny = words[0] == "deny"
		if h.deny {
			words = words[1:]
		}
		form := url.Values{"Action": {words[1]}}
		for _, w := range words[2:] {
			name, value, _ := strings.Cut(w, "=")
			if value == "(marker)" {
				value = marker
			}
			form.Set(name, h.real(value))
		}
		h.asked = nil
		status, body := h.call(words[0], form)
		called[words[1]] = true
		marker = h.learn(body)
		for _, a := range h.asked {
			b.WriteString("  " + h.numbered(a) + "\n")
		}
		fmt.Fprintf(&b, "  %d\n%s", status, h.shown(body))
	}
	return b.String()
}

// Every action has one name, and rules for all of its parameters.
func TestActions(t *testing.T) {
	lists := []string{"Tags", "TagKeys", "ActionNames", "ResourceArns", "PolicyInputList", "PermissionsBoundaryPolicyInputList", "ContextEntries",
		"CallerArn", "ResourceOwner", "ResourceHandlingOption"}
	if len(served()) != len(actions()) {
		t.Error("two actions have one name")
	}
	for _, a := range actions() {
		for _, p := range strings.Fields(a.needs + " " + a.takes) {
			if _, ruled := rules[p]; !ruled && !slices.Contains(lists, p) {
				t.Errorf("%s takes %s, which has no rule", a.name, p)
			}
		}
	}
}

// Parameters that an action does not know must not reach its policies: a boundary or tags
// that are only said to be given would open what a condition closes.
func TestForeignParametersAreNotSeen(t *testing.T) {
	h := newHouse(t)
	h.callOK("CreateUser", "UserName", "anna")
	h.asked = nil
	h.callOK("AttachUserPolicy", "UserName", "anna", "PolicyArn", "arn:aws:iam::aws:policy/IAMFullAccess",
		"PermissionsBoundary", "arn:aws:iam::aws:policy/AdministratorAccess", "Tags.member.1.Key", "team", "Tags.member.1.Value", "a", "TagKeys.member.1", "x")
	want := "asks iam:AttachUserPolicy on arn:aws:iam::111122223333:user/anna (user anna) of 111122223333 iam:policyarn=[arn:aws:iam::aws:policy/IAMFullAccess]"
	if len(h.asked) != 1 || h.asked[0] != want {
		t.Errorf("%q\nwant %q", h.asked, want)
	}
}

// callOK makes a call as the root that must be answered with 200.
func (h *house) callOK(action string, parameters ...string) string {
	h.t.Helper()
	form := url.Values{"Action": {action}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	status, body := h.call("root", form)
	if status != 200 {
		h.t.Fatalf("%s: %d %s", action, status, body)
	}
	return body
}

// Pages are bound to their list, and together they are the whole of it.
func TestPages(t *testing.T) {
	h := newHouse(t)
	for i := range 7 {
		h.callOK("CreateUser", "UserName", fmt.Sprintf("u%d", i), "Path", "/p/")
		h.callOK("CreateGroup", "GroupName", fmt.Sprintf("g%d", i))
	}
	var names []string
	marker, pages := "", 0
	for marker != "" || pages == 0 {
		pages++
		form := []string{"MaxItems", "3", "PathPrefix", "/p"}
		if marker != "" {
			form = append(form, "Marker", marker)
		}
		body := h.callOK("ListUsers", form...)
		for _, part := range strings.Split(body, "<UserName>")[1:] {
			names = append(names, part[:2])
		}
		last := marker
		marker = h.learn(body)
		if (marker != "") != strings.Contains(body, "<IsTruncated>true</IsTruncated>") || marker == last && marker != "" {
			t.Fatalf("page %d: %s", pages, body)
		}
		if pages == 1 {
			for _, c := range []struct {
				caller string
				form   url.Values
			}{
				{"root", url.Values{"Action": {"ListGroups"}, "PathPrefix": {"/p"}}},
				{"root", url.Values{"Action": {"ListUsers"}}},
				{"guest", url.Values{"Action": {"ListUsers"}, "PathPrefix": {"/p"}}},
				{"root", url.Values{"Action": {"ListUsers"}, "PathPrefix": {"/p"}, "Marker": {marker[1:]}}},
				{"root", url.Values{"Action": {"ListUsers"}, "PathPrefix": {"/p"}, "Marker": {"AAAA"}}},
			} {
				if !c.form.Has("Marker") {
					c.form.Set("Marker", marker)
				}
				if status, body := h.call(c.caller, c.form); status != 400 || !strings.Contains(body, "<Code>ValidationError</Code>") {
					t.Errorf("%v: %d %s", c.form, status, body)
				}
			}
		}
	}
	if want := []string{"u0", "u1", "u2", "u3", "u4", "u5", "u6"}; !slices.Equal(names, want) || pages != 3 {
		t.Errorf("%v in %d pages", names, pages)
	}
}

// Every list can be read one by one, and has then what it has at once.
func TestPagesOfOne(t *testing.T) {
	h := newHouse(t)
	h.callOK("CreateGroup", "GroupName", "staff")
	h.callOK("CreateRole", "RoleName", "op", "AssumeRolePolicyDocument", papers["$trust"])
	for i := range 3 {
		name := fmt.Sprintf("n%d", i)
		h.callOK("CreateUser", "UserName", name)
		h.callOK("AddUserToGroup", "GroupName", "staff", "UserName", name)
		h.callOK("CreatePolicy", "PolicyName", name, "PolicyDocument", papers["$allow"])
		h.callOK("AttachRolePolicy", "RoleName", "op", "PolicyArn", "arn:aws:iam::111122223333:policy/"+name)
		h.callOK("AttachUserPolicy", "UserName", name, "PolicyArn", "arn:aws:iam::111122223333:policy/n0")
		h.callOK("PutRolePolicy", "RoleName", "op", "PolicyName", name, "PolicyDocument", papers["$allow"])
		h.callOK("TagRole", "RoleName", "op", "Tags.member.1.Key", name, "Tags.member.1.Value", "x")
	}
	for _, c := range []struct {
		want int
		call []string
	}{
		{3, []string{"GetGroup", "GroupName", "staff"}},
		{3, []string{"ListAttachedRolePolicies", "RoleName", "op"}},
		{3, []string{"ListRolePolicies", "RoleName", "op"}},
		{3, []string{"ListRoleTags", "RoleName", "op"}},
		{3, []string{"ListPolicies", "Scope", "Local"}},
		{8, []string{"ListPolicies"}},
		{3, []string{"ListPolicies", "OnlyAttached", "true", "PathPrefix", "/"}},
		{4, []string{"ListEntitiesForPolicy", "PolicyArn", "arn:aws:iam::111122223333:policy/n0"}},
	} {
		var found []string
		marker := ""
		for more := true; more; more = marker != "" {
			call := append(slices.Clone(c.call[1:]), "MaxItems", "1")
			if marker != "" {
				call = append(call, "Marker", marker)
			}
			body := h.callOK(c.call[0], call...)
			found = append(found, strings.Split(body, "<member>")[1:]...)
			marker = h.learn(body)
		}
		slices.Sort(found)
		if all := len(found); len(slices.Compact(found)) != all || all != c.want {
			t.Errorf("%v: %d, or some are there twice; want %d", c.call, all, c.want)
		}
	}
}

func TestEscaping(t *testing.T) {
	text := "{\"a\": \"b c+d/é*~-_.\"}\n"
	got := escaped(text)
	if want := "%7B%22a%22%3A%20%22b%20c%2Bd%2F%C3%A9%2A~-_.%22%7D%0A"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if back, err := url.PathUnescape(got); err != nil || back != text {
		t.Errorf("%q, %v", back, err)
	}
}

// The table of permissions has the actions that are served, and no others.
func TestPermissions(t *testing.T) {
	kinds := map[permission.Resource]string{permission.User: "user/", permission.Group: "group/", permission.Role: "role/", permission.Policy: "policy/"}
	h := newHouse(t)
	listed := map[string]bool{}
	for p := range permission.All() {
		name, ok := strings.CutPrefix(string(p.Action), "iam:")
		if !ok {
			continue
		}
		listed[name] = true
		for _, a := range actions() {
			if a.name == name && kinds[p.Resource] != "" {
				h.asked = nil
				h.call("root", anyForm(a))
				if len(h.asked) == 0 || !strings.HasPrefix(h.asked[0], "asks "+string(p.Action)+" on arn:aws:iam::111122223333:"+kinds[p.Resource]) {
					t.Errorf("%s is about a %s, but %q", name, p.Resource, h.asked)
				}
			}
		}
	}
	for _, name := range served() {
		if !listed[name] {
			t.Errorf("package permission does not know iam:%s", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("iam:%s is in package permission and not served", name)
	}
}

// anyForm has a value for each parameter that an action takes.
func anyForm(a action) url.Values {
	values := map[string]string{"PolicyArn": "arn:aws:iam::111122223333:policy/none", "PermissionsBoundary": "arn:aws:iam::111122223333:policy/none",
		"VersionId": "v1", "AccessKeyId": "AKIANOBODY0000000000", "Status": "Active"}
	form := url.Values{"Action": {a.name}}
	for _, p := range append(strings.Fields(a.needs), "UserName") {
		form.Set(p, "x")
		if values[p] != "" {
			form.Set(p, values[p])
		}
	}
	return form
}
