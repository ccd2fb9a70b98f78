package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
)

// groupCmd is "millrace group".
type groupCmd struct {
	Create groupCreateCmd `cmd:"" help:"Make a group."`
	List   groupListCmd   `cmd:"" help:"List the groups."`
	Show   groupShowCmd   `cmd:"" help:"Show a group: its members and policies."`
	Add    groupAddCmd    `cmd:"" help:"Add users to a group."`
	Remove groupRemoveCmd `cmd:"" help:"Take users out of a group."`
	Delete groupDeleteCmd `cmd:"" help:"Delete a group."`
}

// Help shows examples.
func (groupCmd) Help() string {
	return `The policies of a group hold for all its members. A user is in ten groups at most.

Examples:
  millrace group create viewers --policy AmazonKinesisVideoStreamsReadOnlyAccess
  millrace group add viewers anna bernd
  millrace group show viewers
  millrace group delete viewers --force
A running server notices changes within ten seconds.`
}

type groupCreateCmd struct {
	Name string `arg:"" help:"Name of the group."`
	accountFlags
	Path   string   `default:"/" help:"Path of the group, such as /staff/."`
	Policy []string `placeholder:"POLICY" sep:"none" help:"Name or ARN of a managed policy it gets; may be given several times."`
}

// Run makes the group.
func (c *groupCreateCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		g, err := i.Directory.CreateGroup(ctx, i.account, directory.Group{Name: c.Name, Path: c.Path})
		if err != nil {
			return err
		}
		if err := i.attach(ctx, g.Owner(), c.Policy); err != nil {
			if undo := i.strip(ctx, g.Owner(), ""); undo == nil {
				_ = i.Directory.DeleteGroup(ctx, i.account, g.Name)
			}
			return err
		}
		_, err = fmt.Fprintf(std.out, "Group %s is made: %s\n", g.Name, g.ARN())
		return err
	})
}

type groupListCmd struct {
	accountFlags
	JSON bool `name:"json" help:"One JSON object a line instead of a table."`
}

// Run lists the groups.
func (c *groupListCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		groups, err := pages(func(after string) ([]directory.Group, string, error) {
			return i.Directory.Groups(ctx, i.account, "/", after, pageSize)
		})
		if err != nil {
			return err
		}
		all := make([]entityObject, len(groups))
		for n, g := range groups {
			all[n] = entityObject{g.Name, g.ID, g.ARN(), g.Created.Time().UTC()}
		}
		return writeEntities(std.out, c.JSON, "group", all)
	})
}

type groupShowCmd struct {
	Name string `arg:"" help:"Name of the group."`
	accountFlags
}

// Run shows the group.
func (c *groupShowCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		g, err := i.Directory.Group(ctx, i.account, c.Name)
		if err != nil {
			return err
		}
		members, err := i.members(ctx, c.Name)
		if err != nil {
			return err
		}
		policies, err := i.policyTexts(ctx, g.Owner())
		if err != nil {
			return err
		}
		rows := [][2]string{{"Group", g.Name}, {"ARN", g.ARN()}, {"Id", g.ID}, {"Created", when(g.Created)}, {"Members", strings.Join(members, ", ")}}
		return facts(std.out, append(rows, policies...)...)
	})
}

// members are the names of the users in a group.
func (i identities) members(ctx context.Context, group string) (names []string, err error) {
	all, err := pages(func(after string) ([]directory.User, string, error) {
		return i.Directory.Members(ctx, i.account, group, after, pageSize)
	})
	for _, u := range all {
		names = append(names, u.Name)
	}
	return names, err
}

type groupAddCmd struct {
	Name string   `arg:"" help:"Name of the group."`
	User []string `arg:"" help:"Names of the users."`
	accountFlags
}

// Run adds the users.
func (c *groupAddCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		for _, u := range c.User {
			if err := i.Directory.AddToGroup(ctx, i.account, c.Name, u); err != nil {
				return err
			}
			fmt.Fprintf(std.out, "User %s is in group %s.\n", u, c.Name)
		}
		return nil
	})
}

type groupRemoveCmd struct {
	Name string   `arg:"" help:"Name of the group."`
	User []string `arg:"" help:"Names of the users."`
	accountFlags
}

// Run takes the users out.
func (c *groupRemoveCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		for _, u := range c.User {
			if err := i.Directory.RemoveFromGroup(ctx, i.account, c.Name, u); err != nil {
				return err
			}
			fmt.Fprintf(std.out, "User %s is not in group %s any more.\n", u, c.Name)
		}
		return nil
	})
}

type groupDeleteCmd struct {
	Name string `arg:"" help:"Name of the group."`
	accountFlags
	Force bool `help:"Remove its members and policies first."`
}

// Run deletes the group.
func (c *groupDeleteCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		g, err := i.Directory.Group(ctx, i.account, c.Name)
		if err == nil && c.Force {
			err = i.empty(ctx, g)
		}
		if err == nil {
			err = i.Directory.DeleteGroup(ctx, i.account, c.Name)
		}
		if err != nil {
			return forced(err, c.Force)
		}
		_, err = fmt.Fprintf(std.out, "Group %s is deleted.\n", c.Name)
		return err
	})
}

// empty takes away what keeps a group from being deleted.
func (i identities) empty(ctx context.Context, g directory.Group) error {
	members, err := i.members(ctx, g.Name)
	if err != nil {
		return err
	}
	for _, u := range members {
		if err := i.Directory.RemoveFromGroup(ctx, i.account, g.Name, u); err != nil {
			return err
		}
	}
	return i.strip(ctx, g.Owner(), "")
}

// forced says how to delete what still has something.
func forced(err error, force bool) error {
	if force || kvs.KindOf(err) != kvs.Conflict {
		return err
	}
	return fmt.Errorf("%w\n  hint: --force removes that first", err)
}
