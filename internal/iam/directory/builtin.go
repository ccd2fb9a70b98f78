package directory

import (
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// builtIn is a managed policy that every account can attach and none can change.
type builtIn struct {
	id, name, description string
	actions               string // JSON: what it allows on every resource
	doc                   *policy.Document
}

// builtIns are sorted by name. Their ids and texts are ours; they never change, because
// attachments are stored with the ids.
var builtIns = compiled([]builtIn{
	{id: "ANPAMILLRACE00000001", name: "AdministratorAccess", description: "Everything in the account, and in the home account the actions of the installation.", actions: `"*"`},
	{id: "ANPAMILLRACE00000002", name: "AmazonKinesisVideoStreamsFullAccess", description: "Everything with streams and channels.", actions: `"kinesisvideo:*"`},
	{id: "ANPAMILLRACE00000003", name: "AmazonKinesisVideoStreamsReadOnlyAccess", description: "Watching and listing streams and channels.", actions: `["kinesisvideo:Describe*", "kinesisvideo:Get*", "kinesisvideo:List*"]`},
	{id: "ANPAMILLRACE00000004", name: "IAMFullAccess", description: "Everything with users, groups, roles and policies.", actions: `"iam:*"`},
	{id: "ANPAMILLRACE00000005", name: "IAMReadOnlyAccess", description: "Looking at users, groups, roles and policies, and trying policies out.", actions: `["iam:Get*", "iam:List*", "iam:Simulate*"]`},
})

// compiled parses the texts. They are part of the program, so they parse.
func compiled(all []builtIn) []builtIn {
	for i := range all {
		doc, err := policy.Parse(policy.Identity, []byte(all[i].text()))
		if err != nil {
			panic(err)
		}
		all[i].doc = doc
	}
	return all
}

// builtInSince is the time that is shown for when built-in policies were made: 2026-01-01.
const builtInSince kvs.Millis = 1_767_225_600_000

func (b *builtIn) text() string {
	return `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ` + b.actions + `, "Resource": "*"}
  ]
}`
}

func (b *builtIn) row() row {
	return row{
		Name: naming.Name{Account: naming.AWS, Kind: naming.Policy, Path: "/", Name: b.name},
		id:   b.id, description: b.description, created: builtInSince, updated: builtInSince, version: 1, lastVersion: 1,
	}
}

// arn is "" for no policy.
func (b *builtIn) arn() string {
	if b == nil {
		return ""
	}
	return b.row().ARN()
}

func builtInByName(n naming.Name) *builtIn {
	for i := range builtIns {
		if builtIns[i].name == n.Name && n.Path == "/" {
			return &builtIns[i]
		}
	}
	return nil
}

func builtInByID(id string) *builtIn {
	for i := range builtIns {
		if builtIns[i].id == id {
			return &builtIns[i]
		}
	}
	return nil
}

// builtInList is a page of the built-in policies.
func builtInList(l PolicyQuery) (page []Policy, next string) {
	if !strings.HasPrefix("/", l.Prefix) {
		return nil, ""
	}
	for i := range builtIns {
		b := &builtIns[i]
		switch {
		case builtInPage+b.name <= l.After:
		case len(page) == l.Limit:
			return page, builtInPage + page[l.Limit-1].Name
		default:
			page = append(page, policyOf(b.row()))
		}
	}
	return page, ""
}
