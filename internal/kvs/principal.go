package kvs

// PrincipalKind says what stands behind a call.
type PrincipalKind uint8

// The kinds of principal.
const (
	Anonymous     PrincipalKind = iota // nobody signed: the holder of a session URL
	RootPrincipal                      // the account itself
	UserPrincipal
	RolePrincipal // a session of an assumed role
)

// Principal is who makes a call, as proved by its signature. It is a value; maps and lists in
// it are never modified after it was made.
type Principal struct {
	Account   AccountID
	Kind      PrincipalKind
	ARN       string // of user or root; of an assumed role that of the session
	ID        string // unique id of user (AIDA...) or role (AROA...); the account's number for its root
	Name      string // of user or role; "" for the root
	Path      string // of user or role
	Session   string // role session name
	AccessKey string // the id, never the secret

	// Root says that the call was signed with the root key of its account, or with that of
	// --dev. Together with Home it is the root of the installation.
	Root bool
	// Home says that the account is the first of the installation.
	Home bool

	Tags            map[string]string // session tags alone, as the token has them
	SessionPolicies []string          // hashes of session policies and unique ids of managed ones; nil = none

	Issued, Expires Millis // of temporary credentials; 0 otherwise
	Parent          string // access key that temporary credentials were made with, which they end with; "" of roles

	Thing, Certificate, ThingType string // of credentials that a device certificate got
}

// Temporary reports whether the credentials are temporary.
func (p Principal) Temporary() bool { return p.Expires != 0 }

// RoleARN is the ARN of an assumed role itself, and of others their own: what the condition
// key aws:PrincipalArn holds.
func (p Principal) RoleARN() string {
	if p.Kind != RolePrincipal {
		return p.ARN
	}
	path := p.Path
	if path == "" {
		path = "/"
	}
	return "arn:aws:iam::" + string(p.Account) + ":role" + path + p.Name
}
