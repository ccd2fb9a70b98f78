package token

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/sigv4"
)

const (
	toOwner = `{"AWS":"arn:aws:iam::111122223333:root"}`
	toGuest = `{"AWS":"444455556666"}`
)

// TestAssumeRoleAcrossAccounts is scenario E4: the role trusts the other account, and that
// account lets its user take the role on.
func TestAssumeRoleAcrossAccounts(t *testing.T) {
	h := newHouse(t)
	r := h.role("reader", toGuest)
	h.allow(guest, "bob", `"sts:AssumeRole"`)
	a := h.assume(h.bob, r.ARN())
	a.is(t, "bob", "", "")
	if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(a.Credentials.AccessKeyId) || len(a.Credentials.SecretAccessKey) != 40 ||
		len(a.Credentials.SessionToken) > 1400 || a.Credentials.Expiration != "2026-05-17T09:30:15Z" || a.Packed != "" {
		t.Errorf("%s", a.text)
	}
	const arn = "arn:aws:sts::111122223333:assumed-role/reader/shift"
	if a.Role.AssumedRoleId != r.ID+":shift" || a.Role.Arn != arn {
		t.Errorf("%+v", a.Role)
	}
	who := h.call(a.credentials(), "GetCallerIdentity")
	if who.Arn != arn || who.Account != string(owner) || who.UserID != r.ID+":shift" {
		t.Errorf("%s", who.text)
	}
}

// Who may take a role on: both sides must say so, and in its own account the trust policy
// alone may.
func TestWhoMayAssume(t *testing.T) {
	h := newHouse(t)
	h.user(owner, "eve")
	h.user(guest, "mallory")
	roles := map[string]directory.Role{}
	for name, principal := range map[string]string{
		"for-owner": toOwner, "for-guest": toGuest, "for-all": `"*"`, "for-service": `{"Service":"credentials.iot.amazonaws.com"}`,
		"for-anna": `{"AWS":"arn:aws:iam::111122223333:user/anna"}`, "for-bob": `{"AWS":"arn:aws:iam::444455556666:user/bob"}`,
	} {
		roles[name] = h.role(name, principal)
	}
	h.role("denies", toOwner)
	must(t, h.directory.UpdateTrust(t.Context(), owner, "denies", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"},
		{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"sts:AssumeRole"}]}`))
	roles["denies"], _ = h.directory.Role(t.Context(), owner, "denies")
	roles["missing"] = directory.Role{Account: owner, Name: "missing", Path: "/"}
	h.allow(owner, "anna", `"sts:*"`)
	h.allow(guest, "bob", `"sts:*"`)
	people := map[string]sigv4.Credentials{"anna": h.anna, "bob": h.bob}
	for _, n := range []struct {
		account kvs.AccountID
		name    string
	}{{owner, "zoe"}, {guest, "zack"}} { // without any policy
		people[n.name] = h.user(n.account, n.name)
	}
	may := map[string]string{
		"for-owner": "anna", "for-guest": "bob", "for-all": "anna bob", "for-anna": "anna", "for-bob": "bob", "denies": "anna",
	}
	for role, r := range roles {
		for name, who := range people {
			a := h.assume(who, r.ARN())
			if want := strings.Contains(may[role], name); (a.status == 200) != want {
				t.Errorf("%s, %s: %d %s", role, name, a.status, a.text)
			}
			if a.status != 200 {
				a.is(t, role+" "+name, "AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: "+r.ARN())
			}
		}
	}
	named := h.role("for-zoe", `{"AWS":["arn:aws:iam::111122223333:user/zoe","arn:aws:iam::444455556666:user/zack"]}`)
	h.assume(people["zoe"], named.ARN()).is(t, "a user of the account that the trust policy names needs no policy", "", "")
	h.assume(people["zack"], named.ARN()).is(t, "a user of another account needs one", "AccessDenied", "no identity-based policy allows")
}

// To another account a role that does not trust it, and one that denies, look like none.
func TestForeignRolesLookLikeNone(t *testing.T) {
	h := newHouse(t)
	h.allow(guest, "bob", `"sts:*"`)
	zack := h.user(guest, "zack")
	h.role("closed", toOwner)
	h.role("denying", toOwner)
	must(t, h.directory.UpdateTrust(t.Context(), owner, "denying", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}`))
	for _, who := range []sigv4.Credentials{h.bob, zack} {
		var seen []string
		for _, name := range []string{"missing", "closed", "denying"} {
			for _, more := range [][]string{nil, {"Tags.member.1.Key", "a", "Tags.member.1.Value", "b", "DurationSeconds", "43200"}} {
				a := h.assume(who, "arn:aws:iam::111122223333:role/"+name, more...)
				decoded := h.call(h.guestRoot, "DecodeAuthorizationMessage", "EncodedMessage", a.sealed).Decoded
				if !strings.Contains(decoded, "sts:AssumeRole") {
					t.Errorf("%s: %s", name, a.text)
				}
				seen = append(seen, fmt.Sprint(a.status, strings.ReplaceAll(a.Message+decoded, name, "NAME"), a.Code))
			}
		}
		for _, s := range seen {
			if s != seen[0] {
				t.Errorf("%s\ndiffers from\n%s", s, seen[0])
			}
		}
	}
}

// Conditions of trust policies see what the call says.
func TestConditionsOfTrust(t *testing.T) {
	h := newHouse(t)
	h.allow(guest, "bob", `"sts:*"`)
	for name, c := range map[string]struct {
		condition string
		good, bad []string // further parameters
	}{
		"external id": {`{"StringEquals":{"sts:ExternalId":"12:ab"}}`, []string{"ExternalId", "12:ab"}, nil},
		"another id":  {`{"StringEquals":{"sts:ExternalId":"12:ab"}}`, []string{"ExternalId", "12:ab"}, []string{"ExternalId", "12:AB"}},
		"session":     {`{"StringEquals":{"sts:RoleSessionName":"${aws:username}"}}`, []string{"RoleSessionName", "bob"}, nil},
		"tag": {`{"StringEquals":{"aws:RequestTag/Team":["north","south"]},"ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}`,
			[]string{"Tags.member.1.Key", "team", "Tags.member.1.Value", "north"},
			[]string{"Tags.member.1.Key", "team", "Tags.member.1.Value", "north", "Tags.member.2.Key", "more", "Tags.member.2.Value", ""}},
		"caller": {`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::444455556666:user/b*"},"StringEquals":{"aws:PrincipalAccount":"444455556666"}}`, nil, nil},
	} {
		r := h.role(strings.ReplaceAll(name, " ", "-"), toGuest+`,"Condition":`+c.condition)
		h.assume(h.bob, r.ARN(), c.good...).is(t, name, "", "")
		if name != "caller" {
			h.assume(h.bob, r.ARN(), c.bad...).is(t, "not "+name, "AccessDenied", "")
		}
	}
}

// Tags need the permission sts:TagSession on both sides.
func TestTagsNeedAPermission(t *testing.T) {
	h := newHouse(t)
	r, plain := h.role("tagged", toGuest), h.role("plain", toGuest)
	must(t, h.directory.UpdateTrust(t.Context(), owner, "plain", `{"Statement":{"Effect":"Allow","Principal":`+toGuest+`,"Action":"sts:AssumeRole"}}`))
	h.allow(guest, "bob", `"sts:*"`)
	alike := h.role("alike", toGuest)
	must(t, h.directory.UpdateTrust(t.Context(), owner, "alike", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":`+toGuest+`,"Action":"sts:*","Condition":{"StringEquals":{"aws:RequestTag/task":"watch"}}}}`))
	h.assume(h.bob, alike.ARN(), "Tags.member.1.Key", "ta\u017fk", "Tags.member.1.Value", "watch").is(t, "a tag that looks like another", "AccessDenied", "")
	h.assume(h.bob, alike.ARN(), "Tags.member.1.Key", "TASK", "Tags.member.1.Value", "watch").is(t, "the tag", "", "")
	tags := []string{"Tags.member.1.Key", "Team", "Tags.member.1.Value", "north"}
	h.allow(guest, "bob", `"sts:AssumeRole"`)
	h.assume(h.bob, r.ARN()).is(t, "without tags", "", "")
	h.assume(h.bob, r.ARN(), tags...).is(t, "without the permission", "AccessDenied", "sts:TagSession")
	h.allow(guest, "bob", `["sts:AssumeRole","sts:TagSession"]`)
	h.assume(h.bob, plain.ARN(), tags...).is(t, "without trust", "AccessDenied", "sts:TagSession")
	a := h.assume(h.bob, r.ARN(), tags...)
	a.is(t, "with both", "", "")
	p, _, err := h.issuer.Open(t.Context(), a.Credentials.AccessKeyId, a.Credentials.SessionToken)
	if err != nil || p.Tags["Team"] != "north" || a.Packed == "" {
		t.Errorf("%+v, %v, %s", p, err, a.text)
	}
}

// TestSessionPolicies: inline ones and managed ones bound the session.
func TestSessionPolicies(t *testing.T) {
	h := newHouse(t)
	r := h.role("writer", toOwner)
	h.allow(owner, "anna", `"sts:AssumeRole"`)
	_, err := h.directory.CreatePolicy(t.Context(), owner, directory.Policy{Name: "keys"}, `{"Statement":{"Effect":"Allow","Action":"sts:GetAccessKeyInfo","Resource":"*"}}`)
	must(t, err)
	must(t, h.directory.PutInline(t.Context(), owner, r.Owner(), "all", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`))
	info := func(a answer) answer {
		return h.call(a.credentials(), "GetAccessKeyInfo", "AccessKeyId", h.anna.AccessKey)
	}
	info(h.assume(h.anna, r.ARN())).is(t, "no session policy", "", "")
	less := h.assume(h.anna, r.ARN(), "Policy", `{"Statement":{"Effect":"Allow","Action":"kinesisvideo:*","Resource":"*"}}`)
	info(less).is(t, "another action", "AccessDenied", "no session policy allows the sts:GetAccessKeyInfo action")
	const keys = "arn:aws:iam::111122223333:policy/keys"
	both := h.assume(h.anna, r.ARN(), "Policy", `{"Statement":{"Effect":"Allow","Action":"kinesisvideo:*","Resource":"*"}}`,
		"PolicyArns.member.1.arn", keys, "PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/AmazonKinesisVideoStreamsReadOnlyAccess")
	info(both).is(t, "together they are one set", "", "")
	if less.Packed == "" || len(both.Packed) == 0 {
		t.Errorf("packed %q and %q", less.Packed, both.Packed)
	}
}

func TestRoleChaining(t *testing.T) {
	h := newHouse(t)
	first, second := h.role("first", toOwner), h.role("second", `{"AWS":"arn:aws:iam::111122223333:role/first"}`)
	h.allow(owner, "anna", `"sts:AssumeRole"`)
	h.assume(h.anna, second.ARN()).is(t, "not directly", "AccessDenied", "")
	session := h.assume(h.anna, first.ARN(), "DurationSeconds", "7200")
	session.is(t, "two hours", "", "")
	h.assume(session.credentials(), second.ARN(), "DurationSeconds", "3601").is(t, "too long", "ValidationError", "1 hour session limit for roles assumed by role chaining")
	chained := h.assume(session.credentials(), second.ARN(), "DurationSeconds", "3600")
	chained.is(t, "an hour", "", "")
	if chained.Credentials.Expiration != "2026-05-17T09:30:15Z" {
		t.Error(chained.text)
	}
}

// Sessions of a role end when it is revoked; later ones do not.
func TestRevokedSessions(t *testing.T) {
	h := newHouse(t)
	r := h.role("reader", toOwner)
	h.allow(owner, "anna", `"sts:AssumeRole"`)
	old := h.assume(h.anna, r.ARN())
	_, err := h.directory.RevokeSessions(t.Context(), owner, r.Owner())
	must(t, err)
	h.call(old.credentials(), "GetCallerIdentity").is(t, "revoked", "InvalidClientTokenId", "The security token included in the request is invalid.")
	h.at = h.at.Add(time.Second)
	fresh := h.assume(h.anna, r.ARN())
	h.call(fresh.credentials(), "GetCallerIdentity").is(t, "afterwards", "", "")
	must(t, h.directory.DeleteRole(t.Context(), owner, "reader"))
	h.call(fresh.credentials(), "GetCallerIdentity").is(t, "the role is gone", "InvalidClientTokenId", "")
	h.role("reader", toOwner)
	h.call(fresh.credentials(), "GetCallerIdentity").is(t, "another role of the name", "InvalidClientTokenId", "")
}

func TestRefusedWishes(t *testing.T) {
	h := newHouse(t)
	h.allow(owner, "anna", `"sts:*"`)
	r := h.role("reader", toOwner)
	for what, c := range map[string]struct {
		code, words string
		more        []string
	}{
		"no session name":    {"ValidationError", "'roleSessionName'", []string{"RoleSessionName", ""}},
		"a bad session name": {"ValidationError", "'roleSessionName'", []string{"RoleSessionName", "night shift"}},
		"no ARN":             {"ValidationError", "'roleArn'", []string{"RoleArn", "role/reader/and/more/of/it"}},
		"ARN of a user":      {"ValidationError", "'roleArn'", []string{"RoleArn", "arn:aws:iam::111122223333:user/anna"}},
		"too short":          {"ValidationError", "greater than or equal to 900", []string{"DurationSeconds", "899"}},
		"too long for any":   {"ValidationError", "less than or equal to 43200", []string{"DurationSeconds", "43201"}},
		"too long for it":    {"ValidationError", "exceeds the MaxSessionDuration set for this role", []string{"DurationSeconds", "7201"}},
		"a bad external id":  {"ValidationError", "'externalId'", []string{"ExternalId", "a b"}},
		"a tag twice":        {"ValidationError", "Duplicate tag keys", []string{"Tags.member.1.Key", "a", "Tags.member.1.Value", "", "Tags.member.2.Key", "A", "Tags.member.2.Value", ""}},
		"a reserved tag":     {"InvalidInput", "aws:", []string{"Tags.member.1.Key", "aws:x", "Tags.member.1.Value", ""}},
		"transitive tags":    {"ValidationError", "TransitiveTagKeys is not supported", []string{"TransitiveTagKeys.member.1", "a"}},
		"a source identity":  {"ValidationError", "SourceIdentity is not supported", []string{"SourceIdentity", "anna"}},
		"a second factor":    {"ValidationError", "Multi-factor authentication is not supported", []string{"SerialNumber", "arn:aws:iam::111122223333:mfa/anna", "TokenCode", "123456"}},
		"a malformed policy": {"MalformedPolicyDocument", "line 1", []string{"Policy", `{"Statement":{"Effect":"allow"}}`}},
		"a long policy":      {"PackedPolicyTooLarge", "2048", []string{"Policy", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"` + strings.Repeat("x", 2048) + `"}}`}},
		"an unknown policy":  {"ValidationError", "no managed policy", []string{"PolicyArns.member.1.arn", "arn:aws:iam::111122223333:policy/none"}},
		"another's policy":   {"ValidationError", "no managed policy", []string{"PolicyArns.member.1.arn", "arn:aws:iam::444455556666:policy/none"}},
		"more than a token has": {"PackedPolicyTooLarge", "bytes too many", []string{"Tags.member.1.Key", "a", "Tags.member.1.Value", strings.Repeat("x", 256), "Tags.member.2.Key", "b", "Tags.member.2.Value", strings.Repeat("x", 256),
			"Tags.member.3.Key", "c", "Tags.member.3.Value", strings.Repeat("x", 256), "Tags.member.4.Key", "d", "Tags.member.4.Value", strings.Repeat("x", 256)}},
	} {
		parameters := append([]string{"RoleArn", r.ARN(), "RoleSessionName", "shift"}, c.more...)
		h.call(h.anna, "AssumeRole", parameters...).is(t, what, c.code, c.words)
	}
	eleven, tags := []string{}, []string{}
	for i := range 51 {
		if i < 11 {
			eleven = append(eleven, fmt.Sprintf("PolicyArns.member.%d.arn", i+1), "arn:aws:iam::aws:policy/IAMFullAccess")
		}
		tags = append(tags, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprint(i), fmt.Sprintf("Tags.member.%d.Value", i+1), "")
	}
	h.assume(h.anna, r.ARN(), eleven...).is(t, "eleven policies", "ValidationError", "'policyArns'")
	h.assume(h.anna, r.ARN(), tags...).is(t, "51 tags", "ValidationError", "'tags'")
	h.call(h.anna, "AssumeRole").is(t, "nothing", "ValidationError", "2 validation errors detected")
	h.assume(h.root, r.ARN()).is(t, "the root", "AccessDenied", "Roles may not be assumed by root accounts.")
	h.call(h.anna, "AssumeRoleWithSAML").is(t, "another action", "InvalidAction", "AssumeRoleWithSAML")
}
