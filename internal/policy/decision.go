package policy

// Layer is one of the sets of policies that a request must pass, in the order in which
// they are asked.
type Layer uint8

// The layers.
const (
	ListenerLayer Layer = iota
	AccountLayer
	BoundaryLayer
	SessionLayer
	IdentityLayer
	TrustLayer
	RootLayer // no policies: the caller is the root of its account
)

// layers is how many layers have policies.
const layers = int(RootLayer)

// article and name of each layer as denials write them, as AWS does.
var layerNames = [...][2]string{
	ListenerLayer: {"a ", "VPC endpoint policy"},
	AccountLayer:  {"a ", "service control policy"},
	BoundaryLayer: {"a ", "permissions boundary"},
	SessionLayer:  {"a ", "session policy"},
	IdentityLayer: {"an ", "identity-based policy"},
	TrustLayer:    {"the ", "role trust policy"},
	RootLayer:     {"the ", "root of the account"},
}

// String names the layer: "identity-based policy".
func (l Layer) String() string { return layerNames[l][1] }

// Verdict is how a decision came about.
type Verdict uint8

// The verdicts.
const (
	ImplicitDeny Verdict = iota // a layer that must allow did not
	ExplicitDeny                // a Deny matched
	Granted
)

// Because is why a decision is as it is: which verdict, and of which layer.
type Because struct {
	Verdict Verdict
	Layer   Layer
}

// Decision is the answer of Decide. Source and Statement (counted from 0) are those of the
// Deny or Allow that decided; Source is "" when none did.
type Decision struct {
	Allowed   bool
	Because   Because
	Source    string
	Statement int
	Sid       string
}

func (f finding) decision(allowed bool, because Because) Decision {
	return Decision{Allowed: allowed, Because: because, Source: f.source, Statement: f.index, Sid: f.sid}
}

// Reason is the end of a denial's text as AWS writes it, such as "because no
// identity-based policy allows the kinesisvideo:GetMedia action". It is "" when the
// request is allowed.
func (d Decision) Reason(action string) string {
	name := layerNames[d.Because.Layer]
	switch {
	case d.Allowed:
		return ""
	case d.Because.Verdict == ExplicitDeny:
		return "with an explicit deny in " + name[0] + name[1]
	}
	return "because no " + name[1] + " allows the " + action + " action"
}
