package identity

import (
	"strings"
	"testing"
)

// A simulation knows the tags of whom it is about, as the server does, unless others are given.
func TestSimulationsKnowTags(t *testing.T) {
	h := newHouse(t)
	h.callOK("CreateUser", "UserName", "anna", "Tags.member.1.Key", "site", "Tags.member.1.Value", "harbour")
	h.callOK("PutUserPolicy", "UserName", "anna", "PolicyName", "watch", "PolicyDocument", `{"Version": "2012-10-17", "Statement":
 {"Effect": "Allow", "Action": "kinesisvideo:GetMedia", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/site": "harbour"}}}}`)
	ask := []string{"PolicySourceArn", "arn:aws:iam::111122223333:user/anna", "ActionNames.member.1", "kinesisvideo:GetMedia"}
	if body := h.callOK("SimulatePrincipalPolicy", ask...); !strings.Contains(body, "<EvalDecision>allowed<") {
		t.Error(body)
	}
	other := append(ask, "ContextEntries.member.1.ContextKeyName", "aws:PrincipalTag/site", "ContextEntries.member.1.ContextKeyType", "string",
		"ContextEntries.member.1.ContextKeyValues.member.1", "port")
	if body := h.callOK("SimulatePrincipalPolicy", other...); !strings.Contains(body, "<EvalDecision>implicitDeny<") {
		t.Error(body)
	}
}
