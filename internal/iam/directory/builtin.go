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
	doc                   *policy.Document
}

// builtInIDs are the unique ids of the policies that come with the server, by name. They
// never change, because attachments are stored with them.
var builtInIDs = map[string]string{
	"AdministratorAccess":                     "ANPAMILLRACE00000001",
	"AmazonKinesisVideoStreamsFullAccess":     "ANPAMILLRACE00000002",
	"AmazonKinesisVideoStreamsReadOnlyAccess": "ANPAMILLRACE00000003",
	"IAMFullAccess":                           "ANPAMILLRACE00000004",
	"IAMReadOnlyAccess":                       "ANPAMILLRACE00000005",
}

// builtIns are sorted by name.
var builtIns = identified(policy.Builtins())

func identified(all []policy.Managed) (found []builtIn) {
	for _, m := range all {
		found = append(found, builtIn{id: builtInIDs[m.Name], name: m.Name, description: m.Description, doc: m.Document})
	}
	return found
}

// builtInSince is the time that is shown for when built-in policies were made: 2026-01-01.
const builtInSince kvs.Millis = 1_767_225_600_000

func (b *builtIn) text() string { return b.doc.Text() }

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
