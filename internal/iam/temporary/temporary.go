// Package temporary makes and opens temporary credentials: those of assumed roles, of
// GetSessionToken and of logins (identity page, section 4).
//
// Nothing of them is stored. The session token carries everything, sealed: who it stands
// for by unique ids, until when, tags, hashes of session policies. The secret is derived
// from what the token carries, so it is in none of our files either. What can change while
// credentials live is looked up each time, from memory: whether the role or the user is
// still there, whether they or the session were revoked, whether the access key behind them
// is still good.
//
// The content of a token before it is sealed, where a text is a number and bytes (see text)
// and numbers are unsigned varints:
//
//	1 byte   form, 1
//	1 byte   kind of principal
//	10 bytes the id: the access key id is "ASIA" and its base32 form
//	number   account
//	text     unique id of the role or the user, "" of a root
//	text     role session name
//	text     access key that they were made with, "" of a role's
//	number   milliseconds when they were issued
//	number   milliseconds that they live
//	number   of tags, then key and value of each as texts, in the order of keys
//	number   of session policies, then each as text: the hash of its own text, or the
//	         unique id of a managed policy
//	number   of texts about a device certificate, 0 or 3: thing, certificate, type
//
// All methods may be called from any number of goroutines; the package starts none.
package temporary

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
)

// Keys are the stored access keys; [iam.Store] is them.
type Keys interface {
	Lookup(ctx context.Context, id string) (iam.Key, error)
	Used(id string)
}

// Directory knows the entities that credentials stand for. Both answers come from memory
// mostly.
type Directory interface {
	// Named returns the name and the path that the role or user of a principal has now, of
	// whom only account, kind, unique id and session policies are known; NotFound if it is
	// gone.
	Named(ctx context.Context, p kvs.Principal) (name, path string, err error)
	// Valid fails when the principal's entity is gone or its account disabled, or when its
	// credentials were revoked: NotFound, or Denied.
	Valid(ctx context.Context, p kvs.Principal) error
}

// Options are what an Issuer stands on. All are needed but Now.
type Options struct {
	Seal   func(content []byte) (token string, err error)
	Unseal func(token string) (content []byte, err error) // of kind Expired if the token is too old to be opened
	Room   int                                            // bytes of content that Seal takes
	Key    []byte                                         // secrets are derived with it; known to this installation alone

	Keys      Keys
	Directory Directory
	Now       func() time.Time // nil = time.Now
}

// Issuer makes and opens temporary credentials. Make it with [New].
type Issuer struct{ o Options }

// New makes an Issuer.
func New(o Options) *Issuer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Issuer{o}
}

// Grant says whom credentials stand for and how long.
type Grant struct {
	Account kvs.AccountID
	Kind    kvs.PrincipalKind // RolePrincipal; UserPrincipal and RootPrincipal need Parent
	ID      string            // unique id of the role or the user; "" of the root
	Session string            // role session name
	Parent  string            // access key that asked for them, which they end with; "" for roles
	Life    time.Duration     // to the second

	Tags            map[string]string
	SessionPolicies []string // hashes of texts, unique ids of managed policies

	Thing, Certificate, ThingType string // of a device certificate
}

// Credentials are temporary credentials as they were just made, the only time that their
// secret is shown.
type Credentials struct {
	AccessKeyID string // "ASIA" and 16 characters
	Secret      string
	Token       string
	Issued      kvs.Millis
	Expires     kvs.Millis // a whole second
	Packed      int        // percent of a token's room that is taken
}

// String leaves secret and token out.
func (c Credentials) String() string { return "temporary credentials " + c.AccessKeyID }

// GoString leaves secret and token out, for %#v.
func (c Credentials) GoString() string { return c.String() }

// secret is that of the credentials with the given content. 240 bits, as those of keys.
func (i *Issuer) secret(content []byte) string {
	h := hmac.New(sha256.New, i.o.Key)
	h.Write(content)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)[:30])
}
