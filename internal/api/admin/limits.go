package admin

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// OfAccount is embedded by inputs that may be about another account than the caller's.
type OfAccount struct {
	Account kvs.AccountID `json:",omitempty" help:"Number of another account instead of the caller's, which takes the permission millrace:ListAccounts as well; without a stream."`
}

// LimitsInput is the input of ListLimits.
type LimitsInput struct {
	AnyStream
	OfAccount
}

// LimitsOutput is the output of ListLimits.
type LimitsOutput struct {
	Profile string  `help:"Profile of the server: open or aws."`
	Limits  []Limit `help:"Every limit, in the order of the reference."`
}

// Limit is a limit and the value in force.
type Limit struct {
	Name    string `help:"Name of the limit."`
	Value   string `help:"Value in force: 5/s, 50MB, 45m, on, none."`
	From    string `help:"Where the value comes from: profile, settings, account or stream."`
	Profile string `help:"Value that the profile has."`
	Unit    string `help:"What the value counts."`
	Scope   string `help:"The smallest thing it can be set for: server, account, stream or channel."`
	Served  bool   `help:"Whether this server has what is limited."`
	Differs bool   `help:"Whether the original service has this value for nobody; only in the profile aws."`
	Meaning string `help:"What is limited."`
	Breach  string `help:"What who goes beyond it gets."`

	Removes      int64 `json:",omitempty" help:"In a dry run: how many stored fragments the limit would remove now."`
	RemovesBytes int64 `json:",omitempty" help:"In a dry run: bytes of their records."`
}

// SetLimitInput is the input of SetLimit.
type SetLimitInput struct {
	AnyStream
	OfAccount
	Name  string `help:"Name of the limit."`
	Value string `help:"Its value: 5/s, 50MB, 45m, on, none."`

	DryRun bool `json:",omitempty" help:"Set nothing, only say what the limit would remove now."`
}

// ResetLimitInput is the input of ResetLimit.
type ResetLimitInput struct {
	AnyStream
	OfAccount
	Name string `json:",omitempty" help:"Name of the limit; empty = all that were set."`

	DryRun bool `json:",omitempty" help:"Take nothing back, only say which limit of stored bytes would hold then, and what it would remove now."`
}

// onlyInstallation is what holds for changes: a limit that whoever it holds can
// lift holds nobody.
const onlyInstallation = "It is for the home account alone: for the root key of the installation, and for users and roles whose policies name the action."

// onlyGuardians is what holds for evidence.
const onlyGuardians = "Further keys of the home account itself may not; its root key may, and users and roles whose policies name the action."

// Limits makes the routes that show and change the limits in force. changed is told of
// every change before the call is answered.
//
// weigh says what a limit of stored bytes would remove from a stream, or from all of an account;
// tenants tell which accounts there are.
func Limits(book *quota.Book, tenants Tenants, changed func(context.Context) error, weigh func(context.Context, quota.Target, int64) (archive.Toll, error)) []Route {
	l := limits{book, tenants, changed, weigh}
	return []Route{
		OnStream("ListLimits", "Lists the limits in force for the account, or for one of its streams.", LimitsOutput{}, l.list),
		OnStream("SetLimit", "Sets a limit for the account, or for one of its streams. It holds at once, open sessions included, and until it is reset. The answer is the limit that is in force then. "+onlyInstallation, Limit{}, l.set),
		OnStream("ResetLimit", "Takes back what was set for the account, or for one of its streams, and returns what is in force then. "+onlyInstallation, LimitsOutput{}, l.reset),
	}
}

type limits struct {
	book    *quota.Book
	tenants Tenants
	changed func(context.Context) error
	weigh   func(context.Context, quota.Target, int64) (archive.Toll, error)
}

func (l limits) list(ctx context.Context, c *api.Call, in *LimitsInput) (any, error) {
	t, err := l.target(ctx, c, in.Account)
	if err != nil {
		return nil, err
	}
	return l.inForce(t, ""), nil
}

// inForce is what holds for a stream or an account: one limit, or all of them.
func (l limits) inForce(t quota.Target, name string) LimitsOutput {
	profile := l.book.Profile()
	out := LimitsOutput{Profile: string(profile), Limits: []Limit{}}
	for _, v := range l.book.List(t.Account, t.Stream) {
		if name != "" && v.Limit.Name != name {
			continue
		}
		out.Limits = append(out.Limits, Limit{
			Name: v.Limit.Name, Value: v.Limit.Format(v.Value), From: string(v.From), Profile: v.Limit.Format(v.Default),
			Unit: v.Limit.Unit.String(), Scope: v.Limit.Scope.String(), Served: v.Limit.Served(), Differs: v.Differs,
			Meaning: v.Limit.Help, Breach: v.Limit.Breach,
		})
	}
	return out
}

// target is whose limits a call is about: the stream that it names, the account that it
// names, or the caller's. Whoever may not know of other accounts learns nothing of them.
func (l limits) target(ctx context.Context, c *api.Call, account kvs.AccountID) (quota.Target, error) {
	t := quota.Target{Account: c.Principal.Account, Stream: c.Stream.ID}
	if account == "" || account == t.Account {
		return t, nil
	}
	if t.Stream != 0 {
		return t, kvs.Errorf(kvs.InvalidArgument, "Give a stream or another account, not both.")
	}
	if err := c.Authorize(ctx, "millrace:ListAccounts", "", nil); err != nil {
		return t, err
	}
	_, err := l.tenants.Tenant(ctx, account)
	c.Note(slog.String("account", string(account)))
	return quota.Target{Account: account}, err
}

// known refuses a name that no limit has, and suggests one.
func known(name string) error {
	if _, ok := quota.Lookup(name); ok {
		return nil
	}
	return kvs.Errorf(kvs.InvalidArgument, "There is no limit named '%.100s'; %s", name, quota.Suggest(name))
}

func (l limits) set(ctx context.Context, c *api.Call, in *SetLimitInput) (any, error) {
	if err := known(in.Name); err != nil {
		return nil, err
	}
	t, err := l.target(ctx, c, in.Account)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return l.dryRun(ctx, t, in)
	}
	c.Note(slog.String("limit", in.Name), slog.String("value", in.Value))
	if err := l.book.Set(ctx, t, in.Name, in.Value); err != nil {
		return nil, err
	}
	return l.inForce(t, in.Name).Limits[0], l.changed(ctx)
}

// dryRun says what a limit would remove: only that of stored bytes removes anything.
func (l limits) dryRun(ctx context.Context, t quota.Target, in *SetLimitInput) (any, error) {
	limit, _ := quota.Lookup(in.Name)
	v, err := limit.Parse(in.Value)
	if err != nil {
		return nil, kvs.Errorf(kvs.InvalidArgument, "%s", err.Error())
	}
	now := l.inForce(t, in.Name).Limits[0]
	if in.Name == quota.StreamBytes.Name {
		err = l.tell(ctx, t, &now, v)
	}
	return now, err
}

// tell adds what a limit of stored bytes would remove.
func (l limits) tell(ctx context.Context, t quota.Target, now *Limit, v quota.Value) error {
	if v <= 0 {
		return nil
	}
	toll, err := l.weigh(ctx, t, int64(v))
	now.Removes, now.RemovesBytes = toll.Fragments, toll.Bytes
	return err
}

func (l limits) reset(ctx context.Context, c *api.Call, in *ResetLimitInput) (any, error) {
	if in.Name != "" {
		if err := known(in.Name); err != nil {
			return nil, err
		}
	}
	t, err := l.target(ctx, c, in.Account)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return l.dryReset(ctx, t, in)
	}
	c.Note(slog.String("limit", cmp.Or(in.Name, "all")))
	if err := l.book.Reset(ctx, t, in.Name); err != nil {
		return nil, err
	}
	return l.inForce(t, in.Name), l.changed(ctx)
}

// dryReset says what would be removed without what was set: by the limit of stored bytes
// that would hold then.
func (l limits) dryReset(ctx context.Context, t quota.Target, in *ResetLimitInput) (any, error) {
	out := LimitsOutput{Profile: string(l.book.Profile()), Limits: []Limit{}}
	if in.Name != "" && in.Name != quota.StreamBytes.Name {
		return out, nil
	}
	out.Limits = l.inForce(t, quota.StreamBytes.Name).Limits
	v := l.book.Without(t, quota.StreamBytes.Limit)
	out.Limits[0].Value = quota.StreamBytes.Format(v)
	return out, l.tell(ctx, t, &out.Limits[0], v)
}
