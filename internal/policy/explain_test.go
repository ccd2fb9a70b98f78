package policy

import (
	"strings"
	"testing"
)

func TestExplanationAsText(t *testing.T) {
	identity := parsed(t, Identity, `{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Read", "Effect": "Allow", "Action": "kinesisvideo:Get*", "Resource": "*"},
    {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"},
    {"Effect": "Deny", "NotAction": "kinesisvideo:PutMedia", "Resource": "*",
     "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
    {"Effect": "Allow", "Action": "kinesisvideo:PutMedia", "Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "yard"}}}
  ]
}`)
	boundary := parsed(t, Identity, `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`)
	r := &Request{Action: "kinesisvideo:PutMedia", Resource: "arn:aws:kinesisvideo:us-east-1:111122223333:stream/garden/1", Keys: MapKeys{"aws:sourceip": {"192.0.2.1"}}}
	got := Explain(r, &Set{Identity: []Source{{"user/anna inline camera", identity}}, Boundary: &Source{"boundary", boundary}}).String()
	want := `denied, because no identity-based policy allows the kinesisvideo:PutMedia action

permissions boundary: allows
  boundary
    statement 1, line 1, Allow: matches

identity-based policy: does not allow
  user/anna inline camera
    statement 1 Read, line 4, Allow: does not match: Action: kinesisvideo:PutMedia is not kinesisvideo:Get*
    statement 2, line 5, Allow: does not match: Resource: arn:aws:kinesisvideo:us-east-1:111122223333:stream/garden/1 is not arn:aws:kinesisvideo:*:*:stream/${aws:username}/*; the request has no single value for ${aws:username}
    statement 3, line 6, Deny: does not match: NotAction: kinesisvideo:PutMedia is one of the exceptions kinesisvideo:PutMedia
    statement 4, line 8, Allow: does not match: Condition StringEquals aws:PrincipalTag/Team: the request does not have the key

keys that the request does not have: aws:principaltag/team, aws:username
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestWhatExplanationsSay: each element that may fail, in words.
func TestWhatExplanationsSay(t *testing.T) {
	r := &Request{Principal: Who{Account: "111122223333"}, Action: "s:Get", Resource: "arn:aws:s:::x",
		Keys: MapKeys{"a:one": {"1"}, "a:two": {"x", "y"}}}
	for statement, want := range map[string]string{
		`"Effect":"Allow","Action":"*","Resource":"arn:aws:s:::y"`:                                                               "Resource: arn:aws:s:::x is not arn:aws:s:::y",
		`"Effect":"Allow","Action":"*","NotResource":"arn:aws:s:::x"`:                                                            "NotResource: arn:aws:s:::x is one of the exceptions arn:aws:s:::x",
		`"Effect":"Allow","Action":"*","NotResource":"arn:aws:s:::${a:none}"`:                                                    "the request has no single value for ${a:none}",
		`"Effect":"Allow","Action":"*","Resource":"*","Principal":{"AWS":"444455556666"}`:                                        "Principal: the caller is not one of those it names",
		`"Effect":"Deny","Action":"*","Resource":"*","NotPrincipal":{"AWS":"111122223333"}`:                                      "NotPrincipal: the caller is one of the exceptions",
		`"Effect":"Allow","Action":["s:1","s:2","s:3","s:4","s:5","s:6","s:7"],"Resource":"*"`:                                   "Action: s:Get is not s:1, s:2, s:3, s:4, s:5 or 2 others",
		`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"a:one":[2,3]}}`:                             "Condition NumericEquals a:one: the request has 1, wanted is 2, 3",
		`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"a:two":["z","y"]}}`:                       "the request has x, y, excluded is z, y",
		`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"a:two":"${a:none}"}}`:                     "the request has no single value for ${a:none}, so that nothing can be excluded",
		`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"a:two":["${a:two}","${a:no}"]}}`: "wanted is ${a:two}, ${a:no}; the request has no single value for ${a:no}, ${a:two}",
		`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"a:one":"true"}}`:                                     "Condition Null a:one: the key is there",
		`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"a:none":false}}`:                                     "Condition Null a:none: the key is absent",
	} {
		d := parsed(t, Listener, `{"Version":"2012-10-17","Statement":{`+statement+`}}`)
		if got := Explain(r, &Set{Listener: &Source{"l", d}}).String(); !strings.Contains(got, want) {
			t.Errorf("%s\n%s\nwant %s", statement, got, want)
		}
	}
	if got := Explain(r, &Set{Root: true}).String(); got != "allowed: the caller is the root of its account\n" {
		t.Error(got)
	}
	if got := Explain(r, nil).String(); !strings.Contains(got, "identity-based policy: does not allow\n  there is none\n") {
		t.Error(got)
	}
	x := Explain(r, &Set{Root: true, Boundary: denying(t, "*"), Identity: []Source{{Name: "gone"}}})
	if got := x.String(); !strings.Contains(got, "identity-based policy: does not allow (it need not)\n  gone\n") || !strings.Contains(got, "permissions boundary: denies (it need not)") {
		t.Error(got)
	}
}
