package identity

import (
	"regexp"

	"github.com/millrace/millrace/internal/query"
)

// What the parameters of IAM may be, by its service model. Those of one name are the same in
// all actions, but that names of new entities are shorter in some: the directory sees to that.
var (
	word     = regexp.MustCompile(`^[\w+=,.@-]+$`)
	path     = regexp.MustCompile(`^(/|/[!-~]+/)$`)
	prefix   = regexp.MustCompile(`^/[!-~]*$`)
	document = regexp.MustCompile(`^[\t\n\r -\x{FF}]+$`)
	version  = regexp.MustCompile(`^v[1-9][0-9]*$`)
	keyID    = regexp.MustCompile(`^\w+$`)
)

var rules = map[string]query.Rule{
	"UserName":                 {Min: 1, Max: 128, Pattern: word},
	"NewUserName":              {Min: 1, Max: 64, Pattern: word},
	"GroupName":                {Min: 1, Max: 128, Pattern: word},
	"NewGroupName":             {Min: 1, Max: 128, Pattern: word},
	"RoleName":                 {Min: 1, Max: 64, Pattern: word},
	"PolicyName":               {Min: 1, Max: 128, Pattern: word},
	"Path":                     {Min: 1, Max: 512, Pattern: path},
	"NewPath":                  {Min: 1, Max: 512, Pattern: path},
	"PathPrefix":               {Min: 1, Max: 512, Pattern: prefix},
	"PolicyArn":                {Min: 20, Max: 2048},
	"PolicySourceArn":          {Min: 20, Max: 2048},
	"PermissionsBoundary":      {Min: 20, Max: 2048},
	"PolicyDocument":           {Min: 1, Max: 131072, Pattern: document},
	"AssumeRolePolicyDocument": {Min: 1, Max: 131072, Pattern: document},
	"ResourcePolicy":           {Min: 1, Max: 131072, Pattern: document},
	"Description":              {Max: 1000},
	"VersionId":                {Pattern: version},
	"SetAsDefault":             {Bool: true},
	"OnlyAttached":             {Bool: true},
	"MaxSessionDuration":       {Number: true, Min: 3600, Max: 43200},
	"AccessKeyId":              {Min: 16, Max: 128, Pattern: keyID},
	"Status":                   {OneOf: []string{"Active", "Inactive"}},
	"Scope":                    {OneOf: []string{"All", "AWS", "Local"}},
	"PolicyUsageFilter":        {OneOf: []string{"PermissionsPolicy", "PermissionsBoundary"}},
	"EntityFilter":             {OneOf: []string{"User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"}},
	"Marker":                   {Min: 1, Max: 1024},
	"MaxItems":                 {Number: true, Min: 1, Max: 1000},
}
