package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// query asks IAM or STS.
func query(action string, members ...string) question {
	q := question{title: action, path: "/", service: "iam", header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	if action == "AssumeRole" {
		q.service = "sts"
		form.Set("Version", "2011-06-15")
	}
	for i := 0; i < len(members); i += 2 {
		form.Set(members[i], members[i+1])
	}
	q.body = []byte(form.Encode())
	return q
}

const (
	trustsNobody = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"credentials.iot.amazonaws.com"},"Action":"sts:AssumeRole"}}`
	allowsAll    = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
)

// triesEntities asks for users, roles, policies and keys of another account.
func (n neighbour) triesEntities(t *testing.T, whose neighbour) {
	name, never := "vault-of-"+whose.account, "never-of-999988887777"
	for _, q := range []question{
		query("CreateUser", "UserName", name), query("CreateGroup", "GroupName", name),
		query("CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trustsNobody),
		query("CreatePolicy", "PolicyName", name, "PolicyDocument", allowsAll),
		query("PutRolePolicy", "RoleName", name, "PolicyName", name, "PolicyDocument", allowsAll),
	} {
		if a := whose.ask(t, q); a.Status != http.StatusOK {
			t.Fatalf("%s: %+v", q.title, a)
		}
	}
	for _, q := range []question{query("CreateUser", "UserName", "own"),
		query("CreateRole", "RoleName", "own", "AssumeRolePolicyDocument", trustsNobody)} {
		if a := n.ask(t, q); a.Status != http.StatusOK {
			t.Fatalf("%s: %+v", q.title, a)
		}
	}
	arn := func(kind string) string { return "arn:aws:iam::" + whose.account + ":" + kind + "/" }
	key := whose.key
	other := key[:4] + strings.Repeat("A", len(key)-4)
	for _, c := range []struct {
		action string
		member string
		value  string // of the other account; never in it is what never was
		rest   []string
	}{
		{"GetUser", "UserName", name, nil},
		{"UpdateUser", "UserName", name, []string{"NewPath", "/x/"}},
		{"DeleteUser", "UserName", name, nil},
		{"CreateAccessKey", "UserName", name, nil},
		{"ListAccessKeys", "UserName", name, nil},
		{"ListGroupsForUser", "UserName", name, nil},
		{"ListAttachedUserPolicies", "UserName", name, nil},
		{"PutUserPolicy", "UserName", name, []string{"PolicyName", "x", "PolicyDocument", allowsAll}},
		{"GetGroup", "GroupName", name, nil},
		{"AddUserToGroup", "GroupName", name, []string{"UserName", "own"}},
		{"GetRole", "RoleName", name, nil},
		{"DeleteRole", "RoleName", name, nil},
		{"GetRolePolicy", "RoleName", name, []string{"PolicyName", name}},
		{"ListRolePolicies", "RoleName", name, nil},
		{"UpdateAssumeRolePolicy", "RoleName", name, []string{"PolicyDocument", trustsNobody}},
		{"GetPolicy", "PolicyArn", arn("policy") + name, nil},
		{"GetPolicyVersion", "PolicyArn", arn("policy") + name, []string{"VersionId", "v1"}},
		{"ListPolicyVersions", "PolicyArn", arn("policy") + name, nil},
		{"ListEntitiesForPolicy", "PolicyArn", arn("policy") + name, nil},
		{"DeletePolicy", "PolicyArn", arn("policy") + name, nil},
		{"AttachUserPolicy", "PolicyArn", arn("policy") + name, []string{"UserName", "own"}},
		{"AttachRolePolicy", "PolicyArn", arn("policy") + name, []string{"RoleName", "own"}},
		{"PutUserPermissionsBoundary", "PermissionsBoundary", arn("policy") + name, []string{"UserName", "own"}},
		{"SimulatePrincipalPolicy", "PolicySourceArn", arn("role") + name, []string{"ActionNames.member.1", "kinesisvideo:PutMedia"}},
		{"SimulatePrincipalPolicy", "PolicySourceArn", arn("user") + name, []string{"ActionNames.member.1", "kinesisvideo:PutMedia"}},
		{"AssumeRole", "RoleArn", arn("role") + name, []string{"RoleSessionName", "me"}},
		{"UpdateAccessKey", "AccessKeyId", key, []string{"Status", "Inactive"}},
		{"DeleteAccessKey", "AccessKeyId", key, nil},
		{"GetAccessKeyLastUsed", "AccessKeyId", key, nil},
	} {
		gone := strings.TrimSuffix(c.value, name) + never
		if c.value == key {
			gone = other
		}
		got := n.ask(t, query(c.action, append([]string{c.member, c.value}, c.rest...)...), c.value, name)
		equal(t, c.action, got, n.ask(t, query(c.action, append([]string{c.member, gone}, c.rest...)...), gone, never, name))
		if got.Status/100 != 4 {
			t.Errorf("%s of another account: %+v", c.action, got)
		}
	}
	if a := whose.ask(t, query("GetRole", "RoleName", name)); a.Status != http.StatusOK {
		t.Errorf("the role of the other account: %+v", a)
	}
}
