package identity

import (
	"strings"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

// The structures of answers, by the service model of IAM. Members that are not there are left
// out; lists that an answer always has are there when they are empty.

type userShape struct {
	Path                string
	UserName            string `xml:",omitempty"` // the root has none
	UserID              string `xml:"UserId"`
	ARN                 string `xml:"Arn"`
	CreateDate          string
	PermissionsBoundary *boundaryShape      `xml:",omitempty"`
	Tags                *query.List[tagged] `xml:",omitempty"`
}

type groupShape struct {
	Path       string
	GroupName  string
	GroupID    string `xml:"GroupId"`
	ARN        string `xml:"Arn"`
	CreateDate string
}

type roleShape struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               string
	AssumeRolePolicyDocument string
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int64
	PermissionsBoundary      *boundaryShape      `xml:",omitempty"`
	Tags                     *query.List[tagged] `xml:",omitempty"`
	RoleLastUsed             *struct{}           `xml:",omitempty"`
}

type policyShape struct {
	PolicyName                    string
	PolicyID                      string `xml:"PolicyId"`
	ARN                           string `xml:"Arn"`
	Path                          string
	DefaultVersionID              string `xml:"DefaultVersionId"`
	AttachmentCount               int64
	PermissionsBoundaryUsageCount int64
	IsAttachable                  bool
	Description                   string `xml:",omitempty"`
	CreateDate                    string
	UpdateDate                    string
	Tags                          *query.List[tagged] `xml:",omitempty"`
}

type versionShape struct {
	Document         string `xml:",omitempty"`
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       string
}

type boundaryShape struct {
	PermissionsBoundaryType string
	PermissionsBoundaryARN  string `xml:"PermissionsBoundaryArn"`
}

type attachedShape struct {
	PolicyName string
	PolicyARN  string `xml:"PolicyArn"`
}

type tagged struct{ Key, Value string }

// boundary is a permissions boundary in an answer; nil if there is none.
func boundary(arn string) *boundaryShape {
	if arn == "" {
		return nil
	}
	return &boundaryShape{"PermissionsBoundaryPolicy", arn}
}

// date is a time in an answer.
func date(m kvs.Millis) string { return query.Time(m.Time()) }

// escaped is a policy document in an answer: percent-encoded by RFC 3986.
func escaped(text string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
