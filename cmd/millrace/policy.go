package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/permission"
	"github.com/millrace/millrace/internal/policy"
)

// policyCmd is "millrace policy".
type policyCmd struct {
	Create policyCreateCmd `cmd:"" help:"Make a managed policy, which can be attached to many."`
	List   policyListCmd   `cmd:"" help:"List the managed policies."`
	Show   policyShowCmd   `cmd:"" help:"Show a managed policy and who has it, or an inline policy."`
	Update policyUpdateCmd `cmd:"" help:"Give a managed policy a new text."`
	Delete policyDeleteCmd `cmd:"" help:"Delete a managed policy."`
	Attach policyAttachCmd `cmd:"" help:"Attach a managed policy to a user, group or role."`
	Detach policyDetachCmd `cmd:"" help:"Detach a managed policy."`
	Put    policyPutCmd    `cmd:"" help:"Give a user, group or role a policy of its own (inline)."`
	Remove policyRemoveCmd `cmd:"" help:"Remove an inline policy."`
	Check  policyCheckCmd  `cmd:"" help:"Say what is wrong with a policy, without storing it."`
	Test   policyTestCmd   `cmd:"" help:"Say whether a user or role may do something, and why."`
}

// Help shows examples.
func (policyCmd) Help() string {
	return `Examples:
  millrace policy check camera.json
  millrace policy create gate-camera camera.json
  millrace policy attach gate-camera --user gate
  millrace policy put night-only night.json --user anna
  millrace policy show night-only --user anna
  millrace policy update gate-camera camera.json
  millrace policy test --user gate --action kinesisvideo:PutMedia --resource gate
A policy that lets a camera write to the streams that have its name:
  {"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
   "Action": ["kinesisvideo:DescribeStream", "kinesisvideo:GetDataEndpoint", "kinesisvideo:PutMedia"],
   "Resource": "arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"}]}
Actions and what they are about: docs/ref/permissions.md. A running server notices changes within
ten seconds.`
}

type policyCreateCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	File string `arg:"" help:"File with the policy, - for standard input."`
	accountFlags
	Path        string `default:"/" help:"Path of the policy, such as /cameras/."`
	Description string `help:"What it is for."`
	tagFlags
}

// Run makes the policy.
func (c *policyCreateCmd) Run(ctx context.Context, std stdio) error {
	text, err := document(std, c.File)
	if err != nil {
		return err
	}
	return c.with(ctx, func(i identities) error {
		p, err := i.Directory.CreatePolicy(ctx, i.account, directory.Policy{Name: c.Name, Path: c.Path, Description: c.Description, Tags: c.tags()}, text)
		if err != nil {
			return inDocument(c.File, err)
		}
		warnOf(std, c.File, policy.Identity, text)
		_, err = fmt.Fprintf(std.out, "Policy %s is made: %s\n", p.Name, p.ARN)
		return err
	})
}

// warnOf tells what a policy that was stored has in it that never matches.
func warnOf(std stdio, file string, kind policy.Kind, text string) {
	d, err := policy.Parse(kind, []byte(text))
	if err != nil {
		return // it was refused
	}
	for _, w := range d.Warnings(actions()...) {
		fmt.Fprintf(std.err, "millrace: warning: %s: %s\n", choose(file == "-", "standard input", file), w)
	}
	for _, w := range strayResources(d) {
		fmt.Fprintf(std.err, "millrace: warning: %s: %s\n", choose(file == "-", "standard input", file), w)
	}
	for _, key := range d.Keys() {
		if service, _, _ := strings.Cut(key, ":"); permission.KnownKey(key) || strings.ContainsRune(service, '.') {
			continue // one with a dot is a claim of an identity provider
		}
		fmt.Fprintf(std.err, "millrace: warning: %s: no request has the key %s\n", choose(file == "-", "standard input", file), key)
	}
}

// actions are all that a server knows.
func actions() (names []string) {
	for p := range permission.All() {
		names = append(names, string(p.Action))
	}
	return names
}

type policyListCmd struct {
	accountFlags
	All  bool `help:"The built-in policies as well."`
	JSON bool `name:"json" help:"One JSON object a line instead of a table."`
}

// policyObject is a managed policy as JSON.
type policyObject struct {
	Name        string
	ARN         string `json:"Arn"`
	Version     string
	Attachments int
	Updated     time.Time
}

// Run lists the policies.
func (c *policyListCmd) Run(ctx context.Context, std stdio) error {
	scope := directory.Local
	if c.All {
		scope = directory.All
	}
	return c.with(ctx, func(i identities) error {
		found, err := pages(func(after string) ([]directory.Policy, string, error) {
			return i.Directory.Policies(ctx, i.account, directory.PolicyQuery{Scope: scope, After: after, Limit: pageSize})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			all := make([]policyObject, len(found))
			for n, p := range found {
				all[n] = policyObject{p.Name, p.ARN, p.DefaultVersion, p.Attachments, p.Updated.Time().UTC()}
			}
			return writeObjects(std.out, all)
		}
		t := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "POLICY\tVERSION\tATTACHED\tUPDATED\tARN")
		for _, p := range found {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\n", p.Name, p.DefaultVersion, p.Attachments, when(p.Updated), p.ARN)
		}
		return t.Flush()
	})
}

// onePolicy names the managed policy that a command is about.
type onePolicy struct {
	Policy string `arg:"" help:"Name or ARN of the policy."`
	accountFlags
}

// find opens the identities and finds the policy.
func (c *onePolicy) find(ctx context.Context, f func(i identities, arn string) error) error {
	return c.with(ctx, func(i identities) error {
		arn, err := i.policyARN(ctx, c.Policy)
		if err != nil {
			return err
		}
		return f(i, arn)
	})
}

type policyShowCmd struct {
	onePolicy
	Version string `xor:"owner" help:"Another version than the one that decides, such as v1."`
	User    string `xor:"owner" placeholder:"NAME" help:"Show the inline policy of that name of this user."`
	Group   string `xor:"owner" placeholder:"NAME" help:"Likewise, of this group."`
	Role    string `xor:"owner" placeholder:"NAME" help:"Likewise, of this role."`
}

// inline shows an inline policy.
func (c *policyShowCmd) inline(ctx context.Context, std stdio, of ownerFlags) error {
	return c.with(ctx, func(i identities) error {
		o, err := i.owner(ctx, of)
		if err != nil {
			return err
		}
		text, err := i.Directory.GetInline(ctx, i.account, o, c.Policy)
		if err == nil {
			_, err = fmt.Fprintln(std.out, pretty(text))
		}
		return err
	})
}

// Run shows the policy.
func (c *policyShowCmd) Run(ctx context.Context, std stdio) error {
	if of := (ownerFlags{c.User, c.Group, c.Role}); of != (ownerFlags{}) {
		return c.inline(ctx, std, of)
	}
	return c.find(ctx, func(i identities, arn string) error {
		p, err := i.Directory.Policy(ctx, i.account, arn)
		if err != nil {
			return err
		}
		v, err := i.Directory.Version(ctx, i.account, arn, c.Version)
		if err != nil {
			return err
		}
		versions, err := i.Directory.Versions(ctx, i.account, arn)
		if err != nil {
			return err
		}
		holders, err := pages(func(after string) ([]directory.Holder, string, error) {
			return i.Directory.Holders(ctx, i.account, arn, directory.HoldersQuery{After: after, Limit: pageSize})
		})
		if err != nil {
			return err
		}
		var at, ids []string
		for _, h := range holders {
			at = append(at, string(h.Kind)+" "+h.Name)
		}
		for _, one := range versions {
			ids = append(ids, one.ID)
		}
		err = facts(std.out, [2]string{"Policy", p.Name}, [2]string{"ARN", p.ARN}, [2]string{"Description", p.Description},
			[2]string{"Versions", strings.Join(ids, ", ") + "; " + p.DefaultVersion + " decides"},
			[2]string{"Attached to", strings.Join(at, ", ")}, [2]string{"Tags", tagText(p.Tags)})
		if err == nil {
			_, err = fmt.Fprintf(std.out, "\n%s\n", pretty(v.Text))
		}
		return err
	})
}

type policyUpdateCmd struct {
	onePolicy
	File string `arg:"" help:"File with the new text, - for standard input."`
}

// Help says what becomes of the old text.
func (policyUpdateCmd) Help() string {
	return `The new text is a new version and decides from now on. Five versions are kept: with more the oldest
is removed.

Examples:
  millrace policy update gate-camera camera.json`
}

// Run makes a version and has it decide.
func (c *policyUpdateCmd) Run(ctx context.Context, std stdio) error {
	text, err := document(std, c.File)
	if err != nil {
		return err
	}
	if _, err := policy.Parse(policy.Identity, []byte(text)); err != nil { // before the oldest version goes
		return fmt.Errorf("%s: %w", choose(c.File == "-", "standard input", c.File), err)
	}
	return c.find(ctx, func(i identities, arn string) error {
		if err := i.makeRoom(ctx, arn); err != nil {
			return err
		}
		v, err := i.Directory.CreateVersion(ctx, i.account, arn, text, true)
		if err != nil {
			return inDocument(c.File, err)
		}
		warnOf(std, c.File, policy.Identity, text)
		_, err = fmt.Fprintf(std.out, "Policy %s has version %s, which decides now.\n", c.Policy, v.ID)
		return err
	})
}

// keptVersions is how many versions a policy may have.
const keptVersions = 5

// makeRoom deletes the oldest version of a policy, but not the one that decides, if there
// is no room for another.
func (i identities) makeRoom(ctx context.Context, arn string) error {
	versions, err := i.Directory.Versions(ctx, i.account, arn) // the newest first
	if err != nil || len(versions) < keptVersions {
		return err
	}
	oldest := versions[len(versions)-1]
	if oldest.Default {
		oldest = versions[len(versions)-2]
	}
	return i.Directory.DeleteVersion(ctx, i.account, arn, oldest.ID)
}

type policyDeleteCmd struct {
	onePolicy
	Force bool `help:"Detach it from all and remove its other versions first."`
}

// Run deletes the policy.
func (c *policyDeleteCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, arn string) error {
		if c.Force {
			if err := i.release(ctx, arn); err != nil {
				return err
			}
		}
		if err := i.Directory.DeletePolicy(ctx, i.account, arn); err != nil {
			return forced(err, c.Force)
		}
		_, err := fmt.Fprintf(std.out, "Policy %s is deleted.\n", c.Policy)
		return err
	})
}

// release takes away what keeps a policy from being deleted. Boundaries stay: without one
// somebody could do more than before.
func (i identities) release(ctx context.Context, arn string) error {
	holders, err := pages(func(after string) ([]directory.Holder, string, error) {
		return i.Directory.Holders(ctx, i.account, arn, directory.HoldersQuery{After: after, Limit: pageSize})
	})
	if err != nil {
		return err
	}
	for _, h := range holders {
		if err := i.Directory.Detach(ctx, i.account, h.Owner, arn); err != nil {
			return err
		}
	}
	versions, err := i.Directory.Versions(ctx, i.account, arn)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Default {
			continue
		}
		if err := i.Directory.DeleteVersion(ctx, i.account, arn, v.ID); err != nil {
			return err
		}
	}
	return nil
}
