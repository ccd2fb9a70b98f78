package admin

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
)

// Tenants are the accounts of the installation and their keys. It is an *iam.Store.
type Tenants interface {
	AddAccount(ctx context.Context, name string, id kvs.AccountID) (iam.Account, error)
	Accounts(ctx context.Context, after kvs.AccountID, limit int) (accounts []iam.Account, more bool, err error)
	Tenant(ctx context.Context, id kvs.AccountID) (iam.Account, error)
	DisableAccount(ctx context.Context, id kvs.AccountID) error
	EnableAccount(ctx context.Context, id kvs.AccountID) error
	SetBoundary(ctx context.Context, id kvs.AccountID, text string) error
	DeleteAccount(ctx context.Context, id kvs.AccountID, streams iam.Streams) error
	Create(ctx context.Context, n iam.NewKey) (*iam.RootKey, error)
}

// CreateAccountInput is the input of CreateAccount.
type CreateAccountInput struct {
	Name    string        `json:",omitempty" help:"Who it is for; at most 50 characters."`
	Account kvs.AccountID `json:",omitempty" help:"Its number, twelve digits; a random one when left out."`
}

// CreateAccountOutput is the output of CreateAccount.
type CreateAccountOutput struct {
	Account
	AccessKeyID     string `json:"AccessKeyId" help:"A key of the account itself."`
	SecretAccessKey string `help:"Its secret, which is never shown again."`
}

// AccountInput is the input of what is about one account.
type AccountInput struct {
	Account kvs.AccountID `help:"Its number."`
}

// BoundaryInput is the input of SetAccountBoundary.
type BoundaryInput struct {
	AccountInput
	Boundary string `help:"The policy, a JSON text; empty for none."`
}

// Account is a tenant as it is shown.
type Account struct {
	Account  kvs.AccountID `help:"Its number."`
	Name     string        `help:"Who it is for."`
	Home     bool          `help:"It is the first one, whose root runs the installation."`
	Disabled bool          `help:"Its calls are refused as if its keys did not exist."`
	Boundary string        `json:",omitempty" help:"The policy that bounds everybody in it, its root included."`
	Created  time.Time     `help:"When it was made."`
}

func showAccount(a iam.Account) Account {
	return Account{Account: a.ID, Name: a.Name, Home: a.Home, Disabled: a.Disabled, Boundary: a.Boundary, Created: a.Created.Time()}
}

// AccountsInput is the input of ListAccounts.
type AccountsInput struct {
	Max       int    `json:",omitempty" help:"At most this many on a page; 0 = 100, at most 1000."`
	NextToken string `json:",omitempty" help:"From the answer before; empty for the first page."`
}

// AccountsOutput is the output of ListAccounts.
type AccountsOutput struct {
	Accounts  []Account `help:"The accounts in the order of their numbers."`
	NextToken string    `json:",omitempty" help:"Asks for the next page; empty at the end."`
}

// Accounts makes the routes about tenants; streams tells which of them have any.
func Accounts(t Tenants, streams iam.Streams) []Route {
	a := accounts{t, streams}
	return []Route{
		JSON("CreateAccount", "Makes an account, and a key of it. "+onlyInstallation, CreateAccountOutput{}, a.create),
		JSON("ListAccounts", "Lists the accounts. "+onlyInstallation, AccountsOutput{}, a.list),
		JSON("DisableAccount", "Has the calls of an account refused within seconds; its streams stay. The home account cannot be disabled. "+onlyInstallation, Account{}, a.change(t.DisableAccount)),
		JSON("EnableAccount", "Takes the calls of an account again. "+onlyInstallation, Account{}, a.change(t.EnableAccount)),
		JSON("DeleteAccount", "Deletes an account with its keys, users, groups, roles and policies. While it has streams or channels the answer is ResourceInUseException. "+onlyInstallation, struct{}{}, a.remove),
		JSON("SetAccountBoundary", "Gives an account a policy that bounds everybody in it, its root included, or takes it away. "+onlyInstallation, Account{}, a.bound),
	}
}

type accounts struct {
	Tenants
	streams iam.Streams
}

func (a accounts) create(ctx context.Context, c *api.Call, in *CreateAccountInput) (any, error) {
	made, err := a.AddAccount(ctx, in.Name, in.Account)
	if err != nil {
		return nil, err
	}
	c.Note(slog.String("account", string(made.ID)))
	key, err := a.Create(ctx, iam.NewKey{Account: made.ID, Note: "made with the account"})
	if err != nil {
		return nil, err
	}
	return CreateAccountOutput{Account: showAccount(made), AccessKeyID: key.ID, SecretAccessKey: key.Secret}, nil
}

// The bounds of a page of accounts.
const (
	usualAccounts = 100
	mostAccounts  = 1000
)

func (a accounts) list(ctx context.Context, _ *api.Call, in *AccountsInput) (any, error) {
	if in.Max < 0 || in.Max > mostAccounts {
		return nil, kvs.Errorf(kvs.InvalidArgument, "Max is %d; it must be from 0 to %d.", in.Max, mostAccounts)
	}
	if in.Max == 0 {
		in.Max = usualAccounts
	}
	all, more, err := a.Accounts(ctx, kvs.AccountID(in.NextToken), in.Max)
	if err != nil {
		return nil, err
	}
	out := AccountsOutput{Accounts: make([]Account, 0, len(all))}
	for _, one := range all {
		out.Accounts = append(out.Accounts, showAccount(one))
	}
	if more {
		out.NextToken = string(all[len(all)-1].ID)
	}
	return out, nil
}

// change makes what changes an account and shows it then.
func (a accounts) change(f func(context.Context, kvs.AccountID) error) func(context.Context, *api.Call, *AccountInput) (any, error) {
	return func(ctx context.Context, c *api.Call, in *AccountInput) (any, error) {
		c.Note(slog.String("account", string(in.Account)))
		if err := f(ctx, in.Account); err != nil {
			return nil, err
		}
		return a.show(ctx, in.Account)
	}
}

func (a accounts) bound(ctx context.Context, c *api.Call, in *BoundaryInput) (any, error) {
	return a.change(func(ctx context.Context, id kvs.AccountID) error { return a.SetBoundary(ctx, id, in.Boundary) })(ctx, c, &in.AccountInput)
}

func (a accounts) show(ctx context.Context, id kvs.AccountID) (any, error) {
	one, err := a.Tenant(ctx, id)
	return showAccount(one), err
}

func (a accounts) remove(ctx context.Context, c *api.Call, in *AccountInput) (any, error) {
	c.Note(slog.String("account", string(in.Account)))
	return nil, a.DeleteAccount(ctx, in.Account, a.streams)
}
