package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/server"
)

// accountCmd is "millrace account".
type accountCmd struct {
	Create   accountCreateCmd   `cmd:"" help:"Make an account and print its root key, once."`
	List     accountListCmd     `cmd:"" help:"List the accounts."`
	Show     accountShowCmd     `cmd:"" help:"Show one account."`
	Rename   accountRenameCmd   `cmd:"" help:"Give an account another name."`
	Boundary accountBoundaryCmd `cmd:"" help:"Bound what anybody in an account may do, its root included."`
	Disable  accountDisableCmd  `cmd:"" help:"Refuse all calls of an account until it is enabled again."`
	Enable   accountEnableCmd   `cmd:"" help:"Take the calls of a disabled account again."`
	Delete   accountDeleteCmd   `cmd:"" help:"Delete an account that has no streams or channels, with its users and keys."`
}

// Help shows examples.
func (accountCmd) Help() string {
	return `Accounts are the tenants of a server: streams, keys, users, limits and metrics of one are not
there for the others, and names may repeat. The first start makes the home account.

Examples:
  millrace account create 'Harbour cameras' --data /var/lib/millrace
  millrace account list --data /var/lib/millrace
  millrace account boundary 210987654321 boundary.json --data /var/lib/millrace
  millrace account disable 210987654321 --data /var/lib/millrace
A running server notices changes within ten seconds.`
}

type accountCreateCmd struct {
	dataFlags
	Name string `arg:"" optional:"" help:"What the account is called; at most 50 characters."`
	ID   string `name:"id" placeholder:"ID" help:"Its number, 12 digits (default: a random one)."`
}

// Run makes an account and the first key of its root.
func (c *accountCreateCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, false, func(i *server.Identities) error {
		a, err := i.Keys.AddAccount(ctx, c.Name, kvs.AccountID(c.ID))
		if err != nil {
			return err
		}
		key, err := i.Keys.Create(ctx, iam.NewKey{Account: a.ID, Note: "root of the account"})
		if err != nil {
			return err
		}
		fmt.Fprintf(std.err, "Account %s is made. This is a key of its root; its secret is not shown again.\n", a.ID)
		printKey(std.out, key)
		return nil
	})
}

type accountListCmd struct {
	dataFlags
	JSON bool `name:"json" help:"One JSON object a line instead of a table."`
}

// accountObject is an account as JSON.
type accountObject struct {
	Account  kvs.AccountID
	Name     string
	Home     bool // the first one, whose root runs the installation
	Disabled bool
	Bounded  bool // it has a boundary
	Created  time.Time
}

// Run lists the accounts.
func (c *accountListCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, false, func(i *server.Identities) error {
		all, err := accounts(ctx, i.Keys)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeObjects(std.out, all)
		}
		w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ACCOUNT\tKIND\tSTATUS\tBOUNDARY\tCREATED\tNAME")
		for _, a := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Account, choose(a.Home, "home", "tenant"), choose(a.Disabled, "disabled", "active"),
				choose(a.Bounded, "yes", "-"), a.Created.Format(time.RFC3339), a.Name)
		}
		return w.Flush()
	})
}

// accounts are all accounts, by their numbers.
func accounts(ctx context.Context, keys *iam.Store) (all []accountObject, err error) {
	for after, more := kvs.AccountID(""), true; more; {
		var page []iam.Account
		if page, more, err = keys.Accounts(ctx, after, pageSize); err != nil {
			return nil, err
		}
		for _, a := range page {
			all = append(all, accountObject{a.ID, a.Name, a.Home, a.Disabled, a.Boundary != "", a.Created.Time().UTC()})
			after = a.ID
		}
	}
	return all, nil
}

// oneAccount names the account that a command is about.
type oneAccount struct {
	dataFlags
	ID string `arg:"" name:"ACCOUNT" help:"Number of the account."`
}

// change does something to the account and says what.
func (c *oneAccount) change(ctx context.Context, std stdio, done string, f func(i *server.Identities, id kvs.AccountID) error) error {
	return c.with(ctx, false, func(i *server.Identities) error {
		if err := f(i, kvs.AccountID(c.ID)); err != nil {
			return err
		}
		_, err := fmt.Fprintf(std.out, "Account %s %s.\n", c.ID, done)
		return err
	})
}

type accountShowCmd struct{ oneAccount }

// Run shows the account.
func (c *accountShowCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, false, func(i *server.Identities) error {
		a, err := i.Keys.Tenant(ctx, kvs.AccountID(c.ID))
		if err != nil {
			return err
		}
		err = facts(std.out, [2]string{"Account", string(a.ID)}, [2]string{"Name", a.Name}, [2]string{"Kind", choose(a.Home, "home", "tenant")},
			[2]string{"Status", choose(a.Disabled, "disabled", "active")}, [2]string{"Created", when(a.Created)},
			[2]string{"Boundary", choose(a.Boundary == "", "none", "below")})
		if err == nil && a.Boundary != "" {
			_, err = fmt.Fprintln(std.out, "\n"+pretty(a.Boundary))
		}
		return err
	})
}

type accountRenameCmd struct {
	oneAccount
	Name string `arg:"" help:"The new name."`
}

// Run renames the account.
func (c *accountRenameCmd) Run(ctx context.Context, std stdio) error {
	return c.change(ctx, std, fmt.Sprintf("is called %q now", c.Name), func(i *server.Identities, id kvs.AccountID) error {
		return i.Keys.RenameAccount(ctx, id, c.Name)
	})
}

type accountBoundaryCmd struct {
	oneAccount
	File  string `arg:"" optional:"" help:"File with the policy, - for standard input."`
	Clear bool   `help:"Take the boundary away."`
}

// Help says what a boundary is.
func (accountBoundaryCmd) Help() string {
	return `A boundary is a policy that grants nothing and that every call of the account has to pass as
well, calls of its root included: what it does not allow is denied.

Examples:
  millrace account boundary 210987654321 boundary.json
  millrace account boundary 210987654321 --clear`
}

// Run sets the boundary.
func (c *accountBoundaryCmd) Run(ctx context.Context, std stdio) error {
	if (c.File == "") != c.Clear {
		return &usageError{"account boundary", "give a file, or --clear"}
	}
	text := ""
	if !c.Clear {
		var err error
		if text, err = document(std, c.File); err != nil {
			return err
		}
	}
	return c.change(ctx, std, choose(c.Clear, "has no boundary any more", "has the boundary now"), func(i *server.Identities, id kvs.AccountID) error {
		return inDocument(c.File, i.Keys.SetBoundary(ctx, id, text))
	})
}

type accountDisableCmd struct{ oneAccount }

// Run disables the account.
func (c *accountDisableCmd) Run(ctx context.Context, std stdio) error {
	return c.change(ctx, std, "is disabled; its streams stay", func(i *server.Identities, id kvs.AccountID) error {
		return i.Keys.DisableAccount(ctx, id)
	})
}

type accountEnableCmd struct{ oneAccount }

// Run enables the account.
func (c *accountEnableCmd) Run(ctx context.Context, std stdio) error {
	return c.change(ctx, std, "is enabled", func(i *server.Identities, id kvs.AccountID) error {
		return i.Keys.EnableAccount(ctx, id)
	})
}

type accountDeleteCmd struct {
	oneAccount
	Yes bool `help:"Do not ask."`
}

// Run deletes the account.
func (c *accountDeleteCmd) Run(ctx context.Context, std stdio) error {
	if !c.Yes {
		if err := confirmed(std, "All users, groups, roles, policies and keys of account "+c.ID+" go with it. Delete it?"); err != nil {
			return err
		}
	}
	return c.change(ctx, std, "is deleted, with its users, roles and keys", func(i *server.Identities, id kvs.AccountID) error {
		return i.DeleteAccount(ctx, id)
	})
}
