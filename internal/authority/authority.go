package authority

import (
	"context"
	"encoding/json"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/permission"
	"github.com/millrace/millrace/internal/policy"
)

// Directory knows the policies of principals. It is a *directory.Directory.
type Directory interface {
	// Rights returns the policies that stand for a principal; of an anonymous one the
	// boundary of its account. The kind NotFound says that the principal is gone.
	Rights(ctx context.Context, p kvs.Principal) (*policy.Set, error)
	// Valid fails with the kind NotFound when the account of a principal is disabled.
	Valid(ctx context.Context, p kvs.Principal) error
}

// Options are what an Authority is made of; Directory is needed.
type Options struct {
	Directory Directory

	// Tags returns the tags of a user or role; nil = nobody has any.
	Tags func(ctx context.Context, p kvs.Principal) (map[string]string, error)

	// Home reports whether an account is the home of the installation, for principals that do
	// not say so themselves: sessions of roles. nil = none is.
	Home func(ctx context.Context, account kvs.AccountID) bool

	// Listener returns the policy of a listener, nil if it has none; nil = no listener has.
	Listener func(name string) *policy.Source

	// Seal makes a message of a decision that only sts:DecodeAuthorizationMessage opens; nil =
	// denials carry none.
	Seal func(decision []byte) (string, error)
}

// Authority decides. Make it with [New].
type Authority struct{ o Options }

// New makes an Authority.
func New(o Options) *Authority {
	if o.Tags == nil {
		o.Tags = func(context.Context, kvs.Principal) (map[string]string, error) { return nil, nil }
	}
	if o.Home == nil {
		o.Home = func(context.Context, kvs.AccountID) bool { return false }
	}
	if o.Listener == nil {
		o.Listener = func(string) *policy.Source { return nil }
	}
	return &Authority{o}
}

// Authorize returns nil for yes and a *[Denial] for no; any other error says that the
// question could not be decided.
func (a *Authority) Authorize(ctx context.Context, ask *Ask) error {
	row, _ := permission.Of(ask.Action)
	if why := a.reserved(ctx, row.Holder, ask.Principal); why != "" {
		return a.deny(ask, verdict{Because: why})
	}
	d, err := a.decide(ctx, ask)
	if err != nil {
		return err
	}
	explicit := d.Because.Verdict == policy.ExplicitDeny
	if d.Allowed || (ask.Free || row.Holder == permission.Nobody) && !explicit {
		return nil
	}
	return a.deny(ask, verdict{ExplicitDeny: explicit, Because: d.Reason(string(ask.Action)), Policy: d.Source, Statement: d.Statement, Sid: d.Sid})
}

// reserved says why a principal cannot have what others can be given, "" when it can.
func (a *Authority) reserved(ctx context.Context, h permission.Holder, p *kvs.Principal) string {
	further := p.Kind == kvs.RootPrincipal && p.Home && !p.Root
	switch {
	case (h == permission.Installation || h == permission.Household) && !p.Home && !a.o.Home(ctx, p.Account):
		return "because it is an action of the installation, which belongs to its home account"
	case further && (h == permission.Installation || h == permission.Guardians):
		return "because further keys of the home account do not have it; the root key of the installation does, and users can"
	}
	return ""
}

// decide asks the policies.
func (a *Authority) decide(ctx context.Context, ask *Ask) (policy.Decision, error) {
	rights, err := a.o.Directory.Rights(ctx, *ask.Principal)
	if err == nil && ask.Principal.Kind == kvs.Anonymous { // of others the front asks it
		err = a.o.Directory.Valid(ctx, *ask.Principal)
	}
	if err != nil && kvs.KindOf(err) == kvs.NotFound {
		return policy.Decision{}, kvs.Errorf(kvs.Denied, "The security token included in the request is invalid.")
	}
	if err != nil {
		return policy.Decision{}, &kvs.Error{Kind: kvs.Internal, Message: "the rights of a principal", Cause: err}
	}
	set := *rights // what belongs to others is not changed
	set.Listener = a.o.Listener(ask.Request.Listener)
	set.Trust = ask.Trust
	if ask.Principal.Kind == kvs.Anonymous {
		set.Root = true // the session token stands for it
	}
	k := keys{ctx: ctx, ask: ask, tags: a.o.Tags}
	r := policy.Request{Principal: who(ask.Principal), Action: string(ask.Action), Resource: ask.Resource, Keys: &k}
	return policy.Decide(&r, &set), k.err
}

func who(p *kvs.Principal) policy.Who {
	return policy.Who{Account: string(p.Account), ARN: p.ARN, ID: p.ID, RoleARN: p.RoleARN(), Anonymous: p.Kind == kvs.Anonymous}
}

// verdict is the part of a sealed decision that says why.
type verdict struct {
	ExplicitDeny bool   `json:"explicitDeny"`
	Because      string `json:"because"`
	Policy       string `json:"policy,omitempty"`
	Statement    int    `json:"statement,omitempty"`
	Sid          string `json:"sid,omitempty"`
}

// deny makes the answer no.
func (a *Authority) deny(ask *Ask, v verdict) error {
	name, shown := ask.Principal.ARN, ask.Shown
	if ask.Principal.Kind == kvs.Anonymous {
		name = "anonymous"
	}
	if shown == "" {
		shown = ask.Resource
	}
	d := &Denial{Reason: kvs.Errorf(kvs.Denied, "User: %s is not authorized to perform: %s on resource: %s %s", name, ask.Action, shown, v.Because)}
	if a.o.Seal == nil {
		return d
	}
	type context struct {
		Account   string    `json:"account"`
		Principal string    `json:"principal"`
		ID        string    `json:"principalId"`
		Action    string    `json:"action"`
		Resource  string    `json:"resource"`
		Listener  string    `json:"listener,omitempty"`
		SourceIP  string    `json:"sourceIp,omitempty"`
		Time      time.Time `json:"time"`
	}
	r := &ask.Request
	about := context{Account: string(ask.Principal.Account), Principal: name, ID: ask.Principal.ID, Action: string(ask.Action), Resource: shown, Listener: r.Listener, Time: r.Time.UTC()}
	if r.Source.IsValid() {
		about.SourceIP = r.Source.String()
	}
	text, err := json.Marshal(struct {
		Allowed bool `json:"allowed"`
		verdict
		Context context `json:"context"`
	}{verdict: v, Context: about})
	if err == nil {
		d.Sealed, err = a.o.Seal(text)
	}
	if err != nil { // the denial holds without it
		d.Sealed = ""
	}
	return d
}

// Simulate decides as [Authority.Authorize] does, without the policies of listeners, and
// says why.
func (a *Authority) Simulate(ctx context.Context, ask *Ask) (policy.Decision, error) {
	alone := *ask
	alone.Request.Listener = ""
	return a.decide(ctx, &alone)
}
