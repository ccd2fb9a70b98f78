package authority

import (
	"net/netip"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// Ask is one question: may the principal take the action on the resource?
type Ask struct {
	Principal *kvs.Principal
	Action    kvs.Action
	Resource  string // an ARN, or "*" for what is about no resource or about all

	// Shown is the resource as the caller named it, for the text of a denial; "" = Resource.
	// A denial must look the same whether the resource is there or not.
	Shown string

	Owner kvs.AccountID     // of the resource; "" = it is not there
	Tags  map[string]string // of the resource

	// Trust is the trust policy of the role that the call wants to take on, which must allow
	// it as well; a source without a document is the trust of nobody. nil = it is about no role.
	Trust *policy.Source

	// Free says that the action needs no permission. An explicit Deny stops it all the same.
	Free bool

	Request Request
	Keys    Keys // what else the call says about itself; nil = nothing
}

// Request is what every call says about itself.
type Request struct {
	Time      time.Time
	Secure    bool       // it came over TLS
	Source    netip.Addr // of the client; not valid = unknown
	UserAgent string
	Referer   string
	Region    string // of the credential scope; "" = not signed
	Listener  string // name of the listener that took it: http, https or play
}

// Keys are condition keys of one call.
type Keys interface {
	// Lookup returns the values of a key, whose name is in lower case. found is false when
	// the call does not have it.
	Lookup(key string) (values []string, found bool)
}

// Span is the range of time that a call asks for.
type Span struct {
	Start, End kvs.Millis
	Open       bool // it has no end
	Clock      kvs.Clock
}

// Denial is the answer no. It unwraps to an error of kind Denied.
type Denial struct {
	Reason *kvs.Error
	Sealed string // the decision, for sts:DecodeAuthorizationMessage; "" = none
}

// Error returns the text for the caller.
func (d *Denial) Error() string { return d.Reason.Error() }

// Unwrap returns the reason.
func (d *Denial) Unwrap() error { return d.Reason }
