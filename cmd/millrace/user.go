package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/directory"
)

// userCmd is "millrace user".
type userCmd struct {
	Create   userCreateCmd   `cmd:"" help:"Make a user, and a key if asked to."`
	List     userListCmd     `cmd:"" help:"List the users."`
	Show     userShowCmd     `cmd:"" help:"Show a user: its groups, policies, tags and keys."`
	Boundary userBoundaryCmd `cmd:"" help:"Bound what a user may do, whatever its policies allow."`
	Revoke   userRevokeCmd   `cmd:"" help:"Refuse the temporary credentials that a user got until now."`
	Delete   userDeleteCmd   `cmd:"" help:"Delete a user."`
}

// Help shows examples.
func (userCmd) Help() string {
	return `A user is a person or a device with access keys. It may do what its policies and those of its
groups allow, and nothing else.

Examples:
  millrace user create gate --policy gate-camera --key
  millrace user create anna --group viewers --tag site=harbour
  millrace user show anna
  millrace user delete gate --force
A running server notices changes within ten seconds.`
}

type userCreateCmd struct {
	Name string `arg:"" help:"Name of the user: letters, digits and +=,.@_-, at most 64."`
	accountFlags
	Path     string   `default:"/" help:"Path of the user, such as /cameras/."`
	Group    []string `placeholder:"NAME" sep:"none" help:"A group it belongs to; may be given several times."`
	Policy   []string `placeholder:"POLICY" sep:"none" help:"Name or ARN of a managed policy it gets; may be given several times."`
	Boundary string   `placeholder:"POLICY" help:"Name or ARN of the managed policy that bounds it."`
	tagFlags
	Key bool `help:"Make an access key as well and print it, once."`
}

// Run makes the user. What fails after it is there is undone by its deletion.
func (c *userCreateCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		u, err := i.Directory.CreateUser(ctx, i.account, directory.User{Name: c.Name, Path: c.Path, Tags: c.tags()})
		if err != nil {
			return err
		}
		if err := c.equip(ctx, i, u); err != nil {
			if undo := i.strip(ctx, u.Owner(), u.Name); undo == nil {
				_ = i.Directory.DeleteUser(ctx, i.account, u.Name)
			}
			return err
		}
		fmt.Fprintf(std.err, "User %s is made: %s\n", u.Name, u.ARN())
		if !c.Key {
			return nil
		}
		key, err := i.Keys.Create(ctx, iam.NewKey{Account: i.account, User: u.ID})
		if err == nil {
			printKey(std.out, key)
		}
		return err
	})
}

// equip gives a new user what was asked for.
func (c *userCreateCmd) equip(ctx context.Context, i identities, u directory.User) error {
	for _, g := range c.Group {
		if err := i.Directory.AddToGroup(ctx, i.account, g, u.Name); err != nil {
			return err
		}
	}
	if err := i.attach(ctx, u.Owner(), c.Policy); err != nil {
		return err
	}
	if c.Boundary == "" {
		return nil
	}
	return i.bound(ctx, u.Owner(), c.Boundary)
}

type userListCmd struct {
	accountFlags
	Path string `default:"/" help:"Only those whose path begins so."`
	JSON bool   `name:"json" help:"One JSON object a line instead of a table."`
}

// entityObject is a user, group or role as JSON.
type entityObject struct {
	Name    string
	ID      string `json:"Id"`
	ARN     string `json:"Arn"`
	Created time.Time
}

// Run lists the users.
func (c *userListCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		users, err := pages(func(after string) ([]directory.User, string, error) {
			return i.Directory.Users(ctx, i.account, c.Path, after, pageSize)
		})
		if err != nil {
			return err
		}
		all := make([]entityObject, len(users))
		for n, u := range users {
			all[n] = entityObject{u.Name, u.ID, u.ARN(), u.Created.Time().UTC()}
		}
		return writeEntities(std.out, c.JSON, "user", all)
	})
}

// writeEntities prints a list of entities as JSON or as a table.
func writeEntities(w io.Writer, asJSON bool, kind string, all []entityObject) error {
	if asJSON {
		return writeObjects(w, all)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\tCREATED\tARN\n", strings.ToUpper(kind))
	for _, e := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", e.Name, e.Created.Format(time.RFC3339), e.ARN)
	}
	return t.Flush()
}

type userShowCmd struct {
	Name string `arg:"" help:"Name of the user."`
	accountFlags
}

// Run shows the user.
func (c *userShowCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		u, err := i.Directory.User(ctx, i.account, c.Name)
		if err != nil {
			return err
		}
		groups, err := i.groups(ctx, u.Name)
		if err != nil {
			return err
		}
		policies, err := i.policyTexts(ctx, u.Owner())
		if err != nil {
			return err
		}
		keys, err := i.Keys.KeysOf(ctx, i.account, u.ID)
		if err != nil {
			return err
		}
		rows := [][2]string{{"User", u.Name}, {"ARN", u.ARN()}, {"Id", u.ID}, {"Created", when(u.Created)}, {"Groups", strings.Join(groups, ", ")}}
		rows = append(append(rows, policies...), [2]string{"Boundary", u.Boundary}, [2]string{"Tags", tagText(u.Tags)})
		for _, k := range keys {
			rows = append(rows, [2]string{"Key", fmt.Sprintf("%s, %s, last used %s", k.ID, choose(k.Active, "active", "disabled"), when(k.Used))})
		}
		return facts(std.out, append(rows, revoked(u.NotBefore)...)...)
	})
}

// policyTexts are the rows of the policies that an entity has.
func (i identities) policyTexts(ctx context.Context, o directory.Owner) (rows [][2]string, err error) {
	attached, err := i.attached(ctx, o)
	if err != nil {
		return nil, err
	}
	inline, err := i.inline(ctx, o)
	return [][2]string{{"Policies", strings.Join(attached, ", ")}, {"Inline policies", strings.Join(inline, ", ")}}, err
}

type userBoundaryCmd struct {
	Name string `arg:"" help:"Name of the user."`
	boundaryFlags
	accountFlags
}

// boundaryFlags say what bounds somebody. A boundary that is only forgotten must not go.
type boundaryFlags struct {
	Policy string `arg:"" optional:"" help:"Name or ARN of the managed policy that bounds it."`
	Clear  bool   `help:"Take the boundary away."`
}

// check makes sure that one of the two was given.
func (b boundaryFlags) check(command string) error {
	if (b.Policy == "") != b.Clear {
		return &usageError{command, "give a policy, or --clear"}
	}
	return nil
}

// Run sets the boundary.
func (c *userBoundaryCmd) Run(ctx context.Context, std stdio) error {
	if err := c.check("user boundary"); err != nil {
		return err
	}
	return c.with(ctx, func(i identities) error {
		u, err := i.Directory.User(ctx, i.account, c.Name)
		if err == nil {
			err = i.bound(ctx, u.Owner(), c.Policy)
		}
		if err == nil {
			fmt.Fprintf(std.out, "User %s %s.\n", c.Name, bounded(c.Policy))
		}
		return err
	})
}

func bounded(policy string) string {
	if policy == "" {
		return "has no boundary any more"
	}
	return "is bounded by " + policy + " now"
}

type userRevokeCmd struct {
	Name string `arg:"" help:"Name of the user."`
	accountFlags
}

// Run revokes what GetSessionToken and logins gave the user.
func (c *userRevokeCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		u, err := i.Directory.User(ctx, i.account, c.Name)
		if err != nil {
			return err
		}
		from, err := i.Directory.RevokeSessions(ctx, i.account, u.Owner())
		if err == nil {
			fmt.Fprintf(std.out, "Temporary credentials that user %s got before %s are refused within ten seconds. Its access keys stay: millrace key disable.\n", c.Name, clockText(from))
		}
		return err
	})
}

type userDeleteCmd struct {
	Name string `arg:"" help:"Name of the user."`
	accountFlags
	Force bool `help:"Remove its keys, policies and memberships first."`
}

// Run deletes the user.
func (c *userDeleteCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		u, err := i.Directory.User(ctx, i.account, c.Name)
		if err == nil && c.Force {
			err = i.strip(ctx, u.Owner(), u.Name)
		}
		if err == nil {
			err = i.Directory.DeleteUser(ctx, i.account, c.Name)
		}
		if err != nil {
			return forced(err, c.Force)
		}
		_, err = fmt.Fprintf(std.out, "User %s is deleted; its calls are refused within ten seconds.\n", c.Name)
		return err
	})
}
