// Package naming says what the names of identities look like: names, paths, unique ids, ARNs and tags, by the rules of IAM.
//
// It is pure: text in, text or an error out. Whoever makes, shows or looks for a user, a
// group, a role or a managed policy asks here, so that a name means the same everywhere.
package naming

import (
	"crypto/rand"
	"encoding/base32"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// Kind is the kind of an identity, in the word that its ARN has.
type Kind string

// The kinds of identities.
const (
	User   Kind = "user"
	Group  Kind = "group"
	Role   Kind = "role"
	Policy Kind = "policy" // a managed policy
)

// prefixes begin the unique ids.
var prefixes = map[Kind]string{User: "AIDA", Group: "AGPA", Role: "AROA", Policy: "ANPA"}

// Prefix is how unique ids of the kind begin.
func (k Kind) Prefix() string { return prefixes[k] }

// KindOf tells the kind by a unique id; false if it is the id of none.
func KindOf(id string) (Kind, bool) {
	if len(id) != 20 {
		return "", false
	}
	for k, prefix := range prefixes {
		if strings.HasPrefix(id, prefix) {
			return k, true
		}
	}
	return "", false
}

// NewID makes a unique id: the prefix of the kind and 80 random bits as 16 characters of
// base32. None is ever given twice.
func NewID(k Kind) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails
	return k.Prefix() + base32.StdEncoding.EncodeToString(b[:])
}

// AWS stands for the account in the ARNs of built-in policies, as tools expect them.
const AWS kvs.AccountID = "aws"

// Name is a full name: of whom an ARN speaks.
type Name struct {
	Account kvs.AccountID
	Kind    Kind
	Path    string // begins and ends with a slash
	Name    string
}

// ARN returns the text form, arn:aws:iam::ACCOUNT:KIND/PATH/NAME.
func (n Name) ARN() string {
	return "arn:aws:iam::" + string(n.Account) + ":" + string(n.Kind) + n.Path + n.Name
}

// ParseARN reads the ARN of a user, group, role or managed policy; false for all others.
func ParseARN(arn string) (Name, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:iam::")
	account, resource, found := strings.Cut(rest, ":")
	slash := strings.IndexByte(resource, '/')
	if !ok || !found || slash < 0 || len(arn) > maxARN {
		return Name{}, false
	}
	last := strings.LastIndexByte(resource, '/')
	n := Name{kvs.AccountID(account), Kind(resource[:slash]), resource[slash : last+1], resource[last+1:]}
	if prefixes[n.Kind] == "" || !validAccount(n.Account) || !validPath(n.Path) || !validName(n.Kind, n.Name) {
		return Name{}, false
	}
	return n, true
}

// maxARN is how long an ARN may be (IAM: arnType).
const maxARN = 2048

func validAccount(a kvs.AccountID) bool {
	return a == AWS || len(a) == 12 && strings.Trim(string(a), "0123456789") == ""
}

// Fold is the form in which names of one kind differ inside an account: IAM compares them
// without case when they are made.
func Fold(name string) string { return strings.ToLower(name) }
