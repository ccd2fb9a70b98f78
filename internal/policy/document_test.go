package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestBuiltins(t *testing.T) {
	names := []string{}
	for _, b := range Builtins() {
		names = append(names, b.Name)
		if d, ok := Builtin(b.ARN); !ok || d != b.Document || Size([]byte(d.Text())) > MaxManaged || b.Description == "" {
			t.Errorf("%s: %v, %v", b.ARN, d, ok)
		}
	}
	if !slices.IsSorted(names) || len(names) != 5 {
		t.Error(names)
	}
	if d, ok := Builtin("arn:aws:iam::aws:policy/Nothing"); ok || d != nil {
		t.Error(d)
	}
	for _, c := range []struct {
		policy, action string
		want           bool
	}{
		{"AdministratorAccess", "millrace:Anything", true},
		{"AmazonKinesisVideoStreamsFullAccess", "kinesisvideo:DeleteStream", true},
		{"AmazonKinesisVideoStreamsFullAccess", "iam:CreateUser", false},
		{"AmazonKinesisVideoStreamsReadOnlyAccess", "kinesisvideo:GetMedia", true},
		{"AmazonKinesisVideoStreamsReadOnlyAccess", "kinesisvideo:PutMedia", false},
		{"IAMFullAccess", "iam:CreateUser", true},
		{"IAMReadOnlyAccess", "iam:GetUser", true},
		{"IAMReadOnlyAccess", "iam:CreateUser", false},
	} {
		d, _ := Builtin("arn:aws:iam::aws:policy/" + c.policy)
		if got := Decide(&Request{Action: c.action, Resource: "*"}, &Set{Identity: []Source{{c.policy, d}}}); got.Allowed != c.want {
			t.Errorf("%s %s: %+v", c.policy, c.action, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	actions := []string{"kinesisvideo:GetMedia", "kinesisvideo:PutMedia", "kinesisvideo:GetDataEndpoint", "sts:AssumeRole"}
	d := parsed(t, Identity, `{
"Version": "2012-10-17", "Statement": {"Effect": "Allow",
 "Action": ["kinesisvideo:Get*", "*", "*:*", "KinesisVideo:putmedia",
  "kinesis-video:PutMedia", "cloudwatch:PutMetricData", "kinesisvideo:GetStreamingEndpoint", "kinesisvideo:Zzz"],
 "Resource": ["*", "arn:aws:kinesisvideo:*:*:stream/garden/*", "arn:aws:kinesisvideo:*:*:stream/garden",
  "arn:aws:kinesisvideo:*:*:channel/${aws:username}", "arn:aws:kinesisvideo:*:*:stream/g*", "arn:aws:iam::*:role/x"]
}}`)
	var got []string
	for _, w := range d.Warnings(actions...) {
		got = append(got, w.String())
	}
	want := []string{
		`line 4, column 3, Statement.Action[4]: the service is written kinesisvideo: "kinesis-video:PutMedia" matches no action`,
		`line 4, column 29, Statement.Action[5]: there is no service "cloudwatch" here: "cloudwatch:PutMetricData" matches no action`,
		`line 4, column 57, Statement.Action[6]: "kinesisvideo:GetStreamingEndpoint" matches no action of the service; was kinesisvideo:GetDataEndpoint meant?`,
		`line 4, column 94, Statement.Action[7]: "kinesisvideo:Zzz" matches no action of the service`,
		`line 5, column 64, Statement.Resource[2]: no stream has such an ARN, which ends in a creation time; write "arn:aws:kinesisvideo:*:*:stream/garden/*"`,
		`line 6, column 3, Statement.Resource[3]: no channel has such an ARN, which ends in a creation time; write "arn:aws:kinesisvideo:*:*:channel/${aws:username}/*"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	old := parsed(t, Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username}","Condition":{"StringLike":{"k:x":["a","${k:y}"]}}}}`)
	if got := old.Warnings(); len(got) != 2 || got[0].Path != "Statement.Resource" || got[1].Path != `Statement.Condition.StringLike["k:x"][1]` ||
		got[1].Reason != `"${k:y}" has no variable but the text ${...}, as the Version is not 2012-10-17` {
		t.Error(got)
	}
	if got := d.Warnings(); len(got) != 2 {
		t.Errorf("without actions: %v", got)
	}
}

func TestRename(t *testing.T) {
	d := parsed(t, Trust, `{"Statement": [{"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::111122223333:user/anna", "*",
  "444455556666"], "Service": "arn:aws:iam::111122223333:user/anna"}, "Action": "sts:AssumeRole"},
 {"Effect": "Deny", "NotPrincipal": {"AWS": "arn:aws:iam::111122223333:role/x"}, "Action": "sts:*"}]}`)
	if got := d.Named(); !slices.Equal(got, []string{"arn:aws:iam::111122223333:user/anna", "444455556666", "arn:aws:iam::111122223333:role/x"}) {
		t.Error(got)
	}
	ids := map[string]string{"arn:aws:iam::111122223333:user/anna": "AIDAAAAAAAAAAAAAAAAA", "arn:aws:iam::111122223333:role/x": "AROAAAAAAAAAAAAAAAAA"}
	stored, err := d.Rename(func(name string) (string, bool) { id, ok := ids[name]; return id, ok })
	want := `{"Statement": [{"Effect": "Allow", "Principal": {"AWS": ["AIDAAAAAAAAAAAAAAAAA", "*",
  "444455556666"], "Service": "arn:aws:iam::111122223333:user/anna"}, "Action": "sts:AssumeRole"},
 {"Effect": "Deny", "NotPrincipal": {"AWS": "AROAAAAAAAAAAAAAAAAA"}, "Action": "sts:*"}]}`
	if err != nil || stored.Text() != want || stored.Kind() != Trust {
		t.Errorf("%v\n%s", err, stored.Text())
	}
	if _, err := d.Rename(func(string) (string, bool) { return "nonsense", true }); err == nil {
		t.Error("a name that is no principal was taken")
	}
}

func TestKeysOfADocument(t *testing.T) {
	d := parsed(t, Identity, `{"Version":"2012-10-17","Id":"one","Statement":{"Effect":"Allow","Action":"*",
"Resource":["arn:aws:s3:::${aws:username}/${aws:PrincipalTag/Team, 'none'}"],
"Condition":{"StringLike":{"aws:UserAgent":"${a:b}*"},"StringEqualsIgnoreCase":{"x:y":"${a:c}"},"Bool":{"x:z":"${a:d}"},
"ArnLike":{"aws:SourceArn":"arn:aws:s3:::${a:e}"},"NumericEquals":{"x:n":1},"Null":{"aws:username":"true"}}}}`)
	want := []string{"a:b", "a:c", "a:d", "a:e", "aws:principaltag/team", "aws:sourcearn", "aws:useragent", "aws:username", "x:n", "x:y", "x:z"}
	if got := d.Keys(); !slices.Equal(got, want) {
		t.Error(got)
	}
	if d.ID() != "one" || d.Statements() != 1 {
		t.Error(d.ID(), d.Statements())
	}
	if n := Size([]byte("{}" + strings.Repeat(" \n", 4000))); n != 1000 {
		t.Errorf("of 8,002 bytes of white space count %d", n)
	}
	if n := Size([]byte(" {\"é\":\t1}\r\n")); n != 7 {
		t.Errorf("size %d", n)
	}
}
