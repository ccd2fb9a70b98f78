package authority

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

const (
	account = kvs.AccountID("111122223333")
	yard    = "arn:aws:kinesisvideo:us-east-1:111122223333:stream/yard/1735442939457"
)

// house is a directory of one set of policies for everybody.
type house struct {
	set  policy.Set
	err  error
	tags map[string]string

	disabled error
}

func (h *house) Valid(context.Context, kvs.Principal) error { return h.disabled }

func (h *house) Rights(context.Context, kvs.Principal) (*policy.Set, error) {
	set := h.set
	return &set, h.err
}

func (h *house) authority(listeners map[string]*policy.Source) *Authority {
	return New(Options{Directory: h,
		Home:     func(_ context.Context, a kvs.AccountID) bool { return a == "999999999999" },
		Tags:     func(context.Context, kvs.Principal) (map[string]string, error) { return h.tags, nil },
		Listener: func(name string) *policy.Source { return listeners[name] },
		Seal:     func(b []byte) (string, error) { return "sealed " + string(b), nil },
	})
}

func source(t *testing.T, kind policy.Kind, text string) *policy.Source {
	t.Helper()
	doc, err := policy.Parse(kind, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Source{Name: "the policy", Document: doc}
}

// statement is a document of one statement.
func statement(effect, action, more string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"` + action + `"` + more + `}}`
}

const everything = `,"Resource":"*"`

// holding makes a house whose callers have one identity policy.
func holding(t *testing.T, text string) *house {
	return &house{set: policy.Set{Identity: []policy.Source{*source(t, policy.Identity, text)}}}
}

func anna() *kvs.Principal {
	return &kvs.Principal{Account: account, Kind: kvs.UserPrincipal, ARN: "arn:aws:iam::111122223333:user/anna", ID: "AIDAANNA", Name: "anna", Path: "/", AccessKey: "AKIAANNA"}
}

func root() *kvs.Principal {
	return &kvs.Principal{Account: account, Kind: kvs.RootPrincipal, ARN: "arn:aws:iam::111122223333:root", ID: string(account), Root: true, Home: true}
}

// The texts of denials are those of the law (docs/design/identity.md, section 2).
func TestTextOfADenial(t *testing.T) {
	const action = "kinesisvideo:GetMedia"
	get := source(t, policy.Identity, statement("Allow", action, everything))
	deny := source(t, policy.Identity, statement("Deny", action, everything))
	listener := source(t, policy.Listener, statement("Deny", "kinesisvideo:*", `,"Principal":"*","Resource":"*"`))
	begin := "User: arn:aws:iam::111122223333:user/anna is not authorized to perform: kinesisvideo:GetMedia on resource: "
	for _, c := range []struct {
		name   string
		set    policy.Set
		on     *policy.Source
		reason string
	}{
		{"nothing allows", policy.Set{}, nil, "because no identity-based policy allows the kinesisvideo:GetMedia action"},
		{"denied", policy.Set{Identity: []policy.Source{*deny}}, nil, "with an explicit deny in an identity-based policy"},
		{"session", policy.Set{Identity: []policy.Source{*get}, Session: []policy.Source{*deny}}, nil, "with an explicit deny in a session policy"},
		{"boundary", policy.Set{Identity: []policy.Source{*get}, Boundary: deny}, nil, "with an explicit deny in a permissions boundary"},
		{"account", policy.Set{Identity: []policy.Source{*get}, Account: deny}, nil, "with an explicit deny in a service control policy"},
		{"listener", policy.Set{Identity: []policy.Source{*get}}, listener, "with an explicit deny in a VPC endpoint policy"},
	} {
		h := &house{set: c.set}
		a := h.authority(map[string]*policy.Source{"https": c.on})
		err := a.Authorize(t.Context(), &Ask{Principal: anna(), Action: action, Resource: yard, Shown: "yard", Request: Request{Listener: "https"}})
		if want := begin + "yard " + c.reason; err == nil || err.Error() != want || kvs.KindOf(err) != kvs.Denied {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, want)
		}
		if d, ok := errors.AsType[*Denial](err); !ok || !strings.HasPrefix(d.Sealed, "sealed {") || !json.Valid([]byte(d.Sealed[7:])) ||
			!strings.Contains(d.Sealed, `"account":"111122223333"`) || strings.Contains(d.Sealed, yard) {
			t.Errorf("%s: sealed %+v", c.name, d)
		}
	}
	h := holding(t, statement("Allow", action, everything))
	if err := h.authority(nil).Authorize(t.Context(), &Ask{Principal: anna(), Action: action, Resource: yard}); err != nil {
		t.Error(err)
	}
	h.err = kvs.Errorf(kvs.NotFound, "gone")
	if err := h.authority(nil).Authorize(t.Context(), &Ask{Principal: anna(), Action: action, Resource: yard}); kvs.KindOf(err) != kvs.Denied {
		t.Errorf("a user that is gone: %v", err)
	}
	h.err = errors.New("disk")
	if err := h.authority(nil).Authorize(t.Context(), &Ask{Principal: anna(), Action: action, Resource: yard}); err == nil || kvs.KindOf(err) != kvs.Internal {
		t.Errorf("a database that fails: %v", err)
	}
}

// Actions of the installation, and those about evidence.
func TestActionsOfTheInstallation(t *testing.T) {
	further, tenant, stranger := root(), root(), anna()
	further.Root = false
	tenant.Home = false
	role := &kvs.Principal{Account: "999999999999", Kind: kvs.RolePrincipal}
	home := anna()
	home.Home = true
	all, own := statement("Allow", "*", everything), statement("Allow", "millrace:*", everything)
	for _, c := range []struct {
		name                       string
		who                        *kvs.Principal
		policy                     string
		limit, hold, metrics, user bool
	}{
		{"root of the installation", root(), "", true, true, true, true},
		{"a further key of the home account", further, "", false, false, true, false},
		{"root of a tenant", tenant, "", false, true, false, true},
		{"a user of the home account", home, all, true, true, true, true},
		{"one with millrace:*", home, own, true, true, true, false},
		{"one with video alone", home, statement("Allow", "kinesisvideo:*", everything), false, false, false, false},
		{"a user of a tenant", stranger, all, false, true, false, true},
		{"a session of a role of the home account", role, all, true, true, true, true},
	} {
		h := &house{set: policy.Set{Root: c.policy == ""}}
		if c.policy != "" {
			h = holding(t, c.policy)
		}
		for action, want := range map[kvs.Action]bool{"millrace:SetLimit": c.limit, "millrace:EraseFragments": c.hold, "millrace:GetMetrics": c.metrics, "iam:CreateUser": c.user,
			"iam:GetUser": c.policy == "" || c.policy == all} {
			err := h.authority(nil).Authorize(t.Context(), &Ask{Principal: c.who, Action: action, Resource: "*"})
			if (err == nil) != want {
				t.Errorf("%s, %s: %v", c.name, action, err)
			}
		}
	}
}

// What needs no permission can be denied all the same; nobody's session token stands for
// the anonymous.
func TestFreeAndAnonymous(t *testing.T) {
	none := &house{}
	if err := none.authority(nil).Authorize(t.Context(), &Ask{Principal: anna(), Action: "sts:GetSessionToken", Resource: "*", Free: true}); err != nil {
		t.Error(err)
	}
	denied := holding(t, statement("Deny", "sts:*", everything))
	if err := denied.authority(nil).Authorize(t.Context(), &Ask{Principal: anna(), Action: "sts:GetSessionToken", Resource: "*", Free: true}); err == nil {
		t.Error("a Deny does not stop what is free")
	}
	play := Ask{Principal: &kvs.Principal{Account: account}, Action: "kinesisvideo:GetHLSMediaPlaylist", Resource: yard, Owner: account, Request: Request{Listener: "play"}}
	if err := none.authority(nil).Authorize(t.Context(), &play); err != nil {
		t.Error(err)
	}
	listener := source(t, policy.Listener, statement("Allow", "kinesisvideo:GetDASH*", `,"Principal":"*","Resource":"*"`))
	err := none.authority(map[string]*policy.Source{"play": listener}).Authorize(t.Context(), &play)
	if err == nil || !strings.HasPrefix(err.Error(), "User: anonymous is not authorized") {
		t.Errorf("the listener's policy: %v", err)
	}
	none.disabled = kvs.Errorf(kvs.NotFound, "disabled")
	if err := none.authority(nil).Authorize(t.Context(), &play); kvs.KindOf(err) != kvs.Denied {
		t.Errorf("players of a disabled account: %v", err)
	}
	none.disabled = nil
	none.set.Account = source(t, policy.Identity, statement("Allow", "kinesisvideo:PutMedia", everything))
	if err := none.authority(nil).Authorize(t.Context(), &play); err == nil {
		t.Error("the boundary of the account does not hold for players")
	}
}

// Every key of the law has its value, and only where it belongs.
func TestKeys(t *testing.T) {
	ask := &Ask{Principal: anna(), Action: "kinesisvideo:GetMedia", Resource: yard, Owner: account, Tags: map[string]string{"Site": "north", "site": "south"},
		Request: Request{Time: time.Date(2026, 11, 22, 15, 0, 0, 0, time.UTC), Secure: true, Source: netip.MustParseAddr("192.0.2.7"),
			UserAgent: "agent", Region: "us-east-1", Listener: "https"},
		Keys: policy.MapKeys{"millrace:rangeclock": {"SERVER_TIMESTAMP"}}}
	session := func(p *kvs.Principal) {
		p.Kind, p.Session, p.ARN, p.ID, p.Name, p.Path = kvs.RolePrincipal, "s1", "arn:aws:sts::111122223333:assumed-role/viewer/s1", "AROAVIEWER", "viewer", "/video/"
		p.Issued, p.Expires, p.Tags = 1_735_442_939_000, 1_735_446_539_000, map[string]string{"Team": "red"}
		p.Thing = "cam-7"
	}
	want := map[string]string{
		"aws:currenttime": "2026-11-22T15:00:00Z", "aws:epochtime": "1795359600", "aws:securetransport": "true", "aws:sourceip": "192.0.2.7",
		"aws:useragent": "agent", "aws:referer": "", "aws:requestedregion": "us-east-1", "aws:principalarn": "arn:aws:iam::111122223333:user/anna",
		"aws:principalaccount": "111122223333", "aws:principaltype": "User", "aws:userid": "AIDAANNA", "aws:username": "anna",
		"aws:principalisawsservice": "false", "aws:principaltag/team": "blue", "aws:tokenissuetime": "", "aws:multifactorauthpresent": "",
		"aws:resourceaccount": "111122223333", "aws:resourcetag/site": "north south", "aws:resourcetag/other": "", "millrace:listener": "https",
		"millrace:rangeclock": "SERVER_TIMESTAMP", "credentials-iot:thingname": "", "kinesisvideo:anything": "",
	}
	check := func(name string) {
		t.Helper()
		k := keys{ctx: t.Context(), ask: ask, tags: func(context.Context, kvs.Principal) (map[string]string, error) {
			return map[string]string{"team": "blue"}, nil
		}}
		got, held := map[string]string{}, map[string][]string{}
		for _, key := range slices.Sorted(func(yield func(string) bool) {
			for key := range want {
				if !yield(key) {
					return
				}
			}
		}) {
			values, found := k.Lookup(key)
			if found != (len(values) > 0) {
				t.Errorf("%s: %s is found %v with %q", name, key, found, values)
			}
			held[key] = values
		}
		for key, values := range held { // later look-ups leave the values of earlier ones alone
			got[key] = strings.Join(values, " ")
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
	check("user")
	session(ask.Principal)
	want["aws:principalarn"], want["aws:principaltype"], want["aws:userid"], want["aws:username"] = "arn:aws:iam::111122223333:role/video/viewer", "AssumedRole", "AROAVIEWER:s1", ""
	want["aws:principaltag/team"], want["aws:tokenissuetime"], want["aws:multifactorauthpresent"] = "red", "2024-12-29T03:28:59Z", "false"
	want["credentials-iot:thingname"] = "cam-7"
	check("session")
	*ask.Principal = kvs.Principal{Account: account}
	ask.Request = Request{Time: ask.Request.Time}
	for _, key := range []string{"aws:useragent", "aws:sourceip", "aws:requestedregion", "aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:userid",
		"aws:principalisawsservice", "aws:principaltag/team", "aws:tokenissuetime", "aws:multifactorauthpresent", "credentials-iot:thingname", "millrace:listener"} {
		want[key] = ""
	}
	want["aws:securetransport"] = "false"
	check("anonymous")
}

// A question costs no allocations that grow with the policies.
func TestAuthorizeAllocates(t *testing.T) {
	h := &house{}
	for range 20 {
		h.set.Identity = append(h.set.Identity, *source(t, policy.Identity, statement("Allow", "kinesisvideo:Describe*", `,"Resource":"arn:aws:kinesisvideo:*:*:stream/yard/*","Condition":{"StringEquals":{"aws:username":"anna"},"Bool":{"aws:SecureTransport":"true"}}`)))
	}
	a := New(Options{Directory: h})
	ask := &Ask{Principal: anna(), Action: "kinesisvideo:DescribeStream", Resource: yard, Request: Request{Secure: true, Time: time.Now()}}
	if n := testing.AllocsPerRun(100, func() {
		if err := a.Authorize(t.Context(), ask); err != nil {
			t.Fatal(err)
		}
	}); n > 10 {
		t.Errorf("%v allocations", n)
	}
}

// A tag whose name only looks like another one is not the other one: whoever checks the tags
// that a caller brings has seen neither.
func TestTagsThatLookAlike(t *testing.T) {
	for name, want := range map[string]bool{"task": true, "TASK": true, "TAS\u212A": true, "ta\u017fk": false} { // Kelvin sign, long s
		h := holding(t, statement("Allow", "kinesisvideo:*", `,"Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/Task":"watch"}}`))
		p := anna()
		p.Tags = map[string]string{name: "watch"}
		err := h.authority(nil).Authorize(t.Context(), &Ask{Principal: p, Action: "kinesisvideo:GetMedia", Resource: yard})
		if (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}
