package kvs

import (
	"regexp"
	"strings"
)

// AccountID is the twelve-digit number of a tenant.
type AccountID string

// ResourceKind is the kind of thing an ARN names.
type ResourceKind string

// The kinds of resource with an ARN of the service "kinesisvideo".
const (
	StreamResource  ResourceKind = "stream"
	ChannelResource ResourceKind = "channel"
)

// ARN is the full name of a stream or a signaling channel:
// arn:aws:kinesisvideo:REGION:ACCOUNT:stream/NAME/CODE, where CODE is the creation
// time in milliseconds, so that a name used again gets another ARN.
type ARN struct {
	Partition string
	Region    string
	Account   AccountID
	Kind      ResourceKind
	Name      string
	Code      string
}

// String returns the text form.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":kinesisvideo:" + a.Region + ":" + string(a.Account) +
		":" + string(a.Kind) + "/" + a.Name + "/" + a.Code
}

// arnPattern is the widest of the ARN patterns of the five service models.
var arnPattern = regexp.MustCompile(`^arn:([a-z\d-]+):kinesisvideo:([a-z0-9-]+):([0-9]+):([a-z]+)/([a-zA-Z0-9_.-]+)/([0-9]+)$`)

// ParseARN reads the text form. It reports false when s is not an ARN of a Kinesis
// Video resource of at most 1,024 characters.
func ParseARN(s string) (ARN, bool) {
	if len(s) > 1024 {
		return ARN{}, false
	}
	m := arnPattern.FindStringSubmatch(s)
	if m == nil {
		return ARN{}, false
	}
	return ARN{Partition: m[1], Region: m[2], Account: AccountID(m[3]), Kind: ResourceKind(m[4]), Name: m[5], Code: m[6]}, true
}

// Action is one permission, as policies write it: "kinesisvideo:PutMedia".
type Action string

// Operation returns the part after the service prefix: "PutMedia".
func (a Action) Operation() string {
	return string(a[strings.IndexByte(string(a), ':')+1:])
}
