package policy

import "slices"

// Policies of the server belong to no account, so that tools find them under the ARNs they
// know.
const builtinPrefix = "arn:aws:iam::aws:policy/"

// Managed is a managed policy that comes with the server and never changes.
type Managed struct {
	ARN         string
	Name        string
	Description string
	Document    *Document
}

// builtins in the order of their names. The texts are ours; they mean what those of AWS
// of the same name mean, as far as there are such actions here.
var builtins = []Managed{
	managed("AdministratorAccess", "Everything in the account.", `{
  "Version": "2012-10-17",
  "Statement": [{"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}]
}`),
	managed("AmazonKinesisVideoStreamsFullAccess", "Everything about streams and signaling channels.", `{
  "Version": "2012-10-17",
  "Statement": [{"Sid": "AllVideo", "Effect": "Allow", "Action": "kinesisvideo:*", "Resource": "*"}]
}`),
	managed("AmazonKinesisVideoStreamsReadOnlyAccess", "Lists, descriptions and media of all streams and signaling channels.", `{
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "ReadVideo",
    "Effect": "Allow",
    "Action": ["kinesisvideo:Describe*", "kinesisvideo:Get*", "kinesisvideo:List*"],
    "Resource": "*"
  }]
}`),
	managed("IAMFullAccess", "Users, groups, roles, policies and access keys.", `{
  "Version": "2012-10-17",
  "Statement": [{"Sid": "AllIdentity", "Effect": "Allow", "Action": "iam:*", "Resource": "*"}]
}`),
	managed("IAMReadOnlyAccess", "Looking at users, groups, roles and policies, and simulating them.", `{
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "ReadIdentity",
    "Effect": "Allow",
    "Action": ["iam:Get*", "iam:List*", "iam:Simulate*"],
    "Resource": "*"
  }]
}`),
}

func managed(name, description, text string) Managed {
	d, err := Parse(Identity, []byte(text))
	if err != nil {
		panic(name + ": " + err.Error()) // a mistake in this file
	}
	return Managed{ARN: builtinPrefix + name, Name: name, Description: description, Document: d}
}

// Builtins lists the policies that come with the server, by name.
func Builtins() []Managed { return slices.Clone(builtins) }

// Builtin returns the document of a policy that comes with the server.
func Builtin(arn string) (*Document, bool) {
	for _, b := range builtins {
		if b.ARN == arn {
			return b.Document, true
		}
	}
	return nil, false
}
