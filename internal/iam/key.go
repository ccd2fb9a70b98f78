package iam

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// Key is what the check of a signature needs.
type Key struct {
	Principal kvs.Principal // who the key stands for
	Secret    string
	Active    bool // false: disabled; a request signed with it must be refused
}

// RootKey is a key as it was just made, the only time its secret is shown.
type RootKey struct {
	Account kvs.AccountID
	User    string // unique id of the user, "" = the account's own key
	ID      string
	Secret  string
	Created kvs.Millis
}

// String leaves the secret out.
func (k RootKey) String() string { return "access key " + k.ID + " of account " + string(k.Account) }

// String leaves the secret out.
func (k Key) String() string { return "access key " + k.Principal.AccessKey }

// GoString leaves the secret out, for %#v.
func (k RootKey) GoString() string { return k.String() }

// GoString leaves the secret out, for %#v.
func (k Key) GoString() string { return k.String() }

// KeyInfo describes a key without its secret.
type KeyInfo struct {
	ID      string
	Account kvs.AccountID
	User    string // unique id of the user, "" = the account's own key
	Root    bool   // given out by the first start or by ResetRoot
	Active  bool
	Created kvs.Millis
	Used    kvs.Millis // last use, to the minute; 0 = never
	Note    string     // what it is for, in the words of who made it
}

// rootPrincipal is the caller that a key of an account itself stands for. Every such key
// has the ARN of the root, but only one key is the root's.
func rootPrincipal(account kvs.AccountID, id string) kvs.Principal {
	return kvs.Principal{
		Account: account, Kind: kvs.RootPrincipal, ID: string(account),
		ARN: "arn:aws:iam::" + string(account) + ":root", AccessKey: id,
	}
}

// userPrincipal is the caller that a key of a user stands for.
func userPrincipal(n naming.Name, user, id string) kvs.Principal {
	return kvs.Principal{
		Account: n.Account, Kind: kvs.UserPrincipal, ID: user,
		ARN: n.ARN(), Name: n.Name, Path: n.Path, AccessKey: id,
	}
}

// newKey makes a key in the form AWS gives them: "AKIA" and 16 characters of base32,
// and a secret of 40 characters of base64, 240 bits.
func newKey(account kvs.AccountID) *RootKey {
	var b [40]byte
	_, _ = rand.Read(b[:]) // never fails
	return &RootKey{
		Account: account,
		ID:      "AKIA" + base32.StdEncoding.EncodeToString(b[:10]),
		Secret:  base64.StdEncoding.EncodeToString(b[10:]),
	}
}

// newAccountID makes 12 digits that do not begin with a zero, so that no program that
// takes them for a number shortens them.
func newAccountID() (kvs.AccountID, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(900_000_000_000))
	if err != nil {
		return "", err
	}
	return kvs.AccountID(fmt.Sprint(n.Int64() + 100_000_000_000)), nil
}

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

func checkAccount(a kvs.AccountID) error {
	if !accountPattern.MatchString(string(a)) {
		return kvs.Errorf(kvs.InvalidArgument, "account %q must be 12 digits", string(a))
	}
	return nil
}

// validID reports whether id may be an access key id (IAM: 16 to 128 word characters).
// Everything else is unknown without asking the database.
func validID(id string) bool {
	if len(id) < 16 || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// maxNote is how many bytes a note may have.
const maxNote = 256

// checkNote keeps tables of keys one line a key.
func checkNote(note string) error {
	if len(note) > maxNote || !utf8.ValidString(note) || strings.ContainsFunc(note, unicode.IsControl) {
		return kvs.Errorf(kvs.InvalidArgument, "a note is one line of at most %d bytes", maxNote)
	}
	return nil
}

// unknownKeyID is the answer of the API of IAM, where callers name keys.
func unknownKeyID(id string) error {
	return kvs.Errorf(kvs.NotFound, "The Access Key with id %s cannot be found.", id)
}

func unknownKey() error { return kvs.Errorf(kvs.NotFound, "there is no such access key") }
