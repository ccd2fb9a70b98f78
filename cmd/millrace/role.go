package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
)

// roleCmd is "millrace role".
type roleCmd struct {
	Create   roleCreateCmd   `cmd:"" help:"Make a role."`
	List     roleListCmd     `cmd:"" help:"List the roles."`
	Show     roleShowCmd     `cmd:"" help:"Show a role: who may assume it, and its policies."`
	Trust    roleTrustCmd    `cmd:"" help:"Say anew who may assume a role."`
	Boundary roleBoundaryCmd `cmd:"" help:"Bound what a role may do, whatever its policies allow."`
	Revoke   roleRevokeCmd   `cmd:"" help:"End the sessions of a role that began until now."`
	Delete   roleDeleteCmd   `cmd:"" help:"Delete a role."`
}

// Help shows examples.
func (roleCmd) Help() string {
	return `A role is rights without keys: whom its trust policy names gets temporary credentials with them
(aws sts assume-role).

Examples:
  millrace role create auditor --trust trust.json --policy AmazonKinesisVideoStreamsReadOnlyAccess
  millrace role trust auditor trust.json
  millrace role revoke auditor
A trust policy for everybody in another account whose policies allow it:
  {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
   "Principal": {"AWS": "210987654321"}}]}
A running server notices changes within ten seconds.`
}

type roleCreateCmd struct {
	Name string `arg:"" help:"Name of the role."`
	accountFlags
	Trust       string        `required:"" placeholder:"FILE" help:"File with the trust policy: who may assume the role; - for standard input."`
	Path        string        `default:"/" help:"Path of the role, such as /devices/."`
	Description string        `help:"What it is for."`
	MaxSession  time.Duration `default:"1h" help:"How long its sessions may last: 1h to 12h."`
	Policy      []string      `placeholder:"POLICY" sep:"none" help:"Name or ARN of a managed policy it gets; may be given several times."`
	Boundary    string        `placeholder:"POLICY" help:"Name or ARN of the managed policy that bounds it."`
	tagFlags
}

// Run makes the role.
func (c *roleCreateCmd) Run(ctx context.Context, std stdio) error {
	trust, err := document(std, c.Trust)
	if err != nil {
		return err
	}
	return c.with(ctx, func(i identities) error {
		r, err := i.Directory.CreateRole(ctx, i.account, directory.Role{
			Name: c.Name, Path: c.Path, Description: c.Description, MaxSession: c.MaxSession, Trust: trust, Tags: c.tags(),
		})
		if err != nil {
			return inDocument(c.Trust, err)
		}
		err = i.attach(ctx, r.Owner(), c.Policy)
		if err == nil && c.Boundary != "" {
			err = i.bound(ctx, r.Owner(), c.Boundary)
		}
		if err != nil {
			if undo := i.strip(ctx, r.Owner(), ""); undo == nil {
				_ = i.Directory.DeleteRole(ctx, i.account, r.Name)
			}
			return err
		}
		_, err = fmt.Fprintf(std.out, "Role %s is made: %s\n", r.Name, r.ARN())
		return err
	})
}

type roleListCmd struct {
	accountFlags
	JSON bool `name:"json" help:"One JSON object a line instead of a table."`
}

// Run lists the roles.
func (c *roleListCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		roles, err := pages(func(after string) ([]directory.Role, string, error) {
			return i.Directory.Roles(ctx, i.account, "/", after, pageSize)
		})
		if err != nil {
			return err
		}
		all := make([]entityObject, len(roles))
		for n, r := range roles {
			all[n] = entityObject{r.Name, r.ID, r.ARN(), r.Created.Time().UTC()}
		}
		return writeEntities(std.out, c.JSON, "role", all)
	})
}

// oneRole names the role that a command is about.
type oneRole struct {
	Name string `arg:"" help:"Name of the role."`
	accountFlags
}

// find opens the identities and finds the role.
func (c *oneRole) find(ctx context.Context, f func(i identities, r directory.Role) error) error {
	return c.with(ctx, func(i identities) error {
		r, err := i.Directory.Role(ctx, i.account, c.Name)
		if err != nil {
			return err
		}
		return f(i, r)
	})
}

type roleShowCmd struct{ oneRole }

// Run shows the role.
func (c *roleShowCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, r directory.Role) error {
		policies, err := i.policyTexts(ctx, r.Owner())
		if err != nil {
			return err
		}
		rows := [][2]string{{"Role", r.Name}, {"ARN", r.ARN()}, {"Id", r.ID}, {"Description", r.Description}, {"Created", when(r.Created)},
			{"Sessions", "at most " + r.MaxSession.String()}}
		rows = append(append(rows, policies...), [2]string{"Boundary", r.Boundary}, [2]string{"Tags", tagText(r.Tags)})
		if err := facts(std.out, append(rows, revoked(r.NotBefore)...)...); err != nil {
			return err
		}
		_, err = fmt.Fprintf(std.out, "\nTrust policy\n%s\n", pretty(r.Trust))
		return err
	})
}

// revoked is the row that says since when sessions are good, if some were revoked.
func revoked(from kvs.Millis) [][2]string {
	if from == 0 {
		return nil
	}
	return [][2]string{{"Revoked", "sessions that began before " + clockText(from)}}
}

type roleTrustCmd struct {
	oneRole
	File string `arg:"" help:"File with the trust policy, - for standard input."`
}

// Run replaces the trust policy.
func (c *roleTrustCmd) Run(ctx context.Context, std stdio) error {
	text, err := document(std, c.File)
	if err != nil {
		return err
	}
	return c.find(ctx, func(i identities, r directory.Role) error {
		if err := i.Directory.UpdateTrust(ctx, i.account, r.Name, text); err != nil {
			return inDocument(c.File, err)
		}
		_, err := fmt.Fprintf(std.out, "Role %s has the trust policy now. Sessions that are open stay: millrace role revoke %s ends them.\n", r.Name, r.Name)
		return err
	})
}

type roleBoundaryCmd struct {
	oneRole
	boundaryFlags
}

// Run sets the boundary.
func (c *roleBoundaryCmd) Run(ctx context.Context, std stdio) error {
	if err := c.check("role boundary"); err != nil {
		return err
	}
	return c.find(ctx, func(i identities, r directory.Role) error {
		if err := i.bound(ctx, r.Owner(), c.Policy); err != nil {
			return err
		}
		_, err := fmt.Fprintf(std.out, "Role %s %s.\n", r.Name, bounded(c.Policy))
		return err
	})
}

type roleRevokeCmd struct{ oneRole }

// Run ends the role's sessions.
func (c *roleRevokeCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, r directory.Role) error {
		from, err := i.Directory.RevokeSessions(ctx, i.account, r.Owner())
		if err == nil {
			fmt.Fprintf(std.out, "Sessions of role %s that began before %s are refused within ten seconds. Who may assume it can begin a new one.\n", r.Name, clockText(from))
		}
		return err
	})
}

type roleDeleteCmd struct {
	oneRole
	Force bool `help:"Remove its policies first."`
}

// Run deletes the role.
func (c *roleDeleteCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, r directory.Role) error {
		if c.Force {
			if err := i.strip(ctx, r.Owner(), ""); err != nil {
				return err
			}
		}
		if err := i.Directory.DeleteRole(ctx, i.account, r.Name); err != nil {
			return forced(err, c.Force)
		}
		_, err := fmt.Fprintf(std.out, "Role %s is deleted, and its sessions with it.\n", r.Name)
		return err
	})
}
