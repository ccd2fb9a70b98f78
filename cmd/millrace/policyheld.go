package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/policy"
)

// change does something to a user, group or role and says what.
func (i identities) change(ctx context.Context, std stdio, who ownerFlags, done string, f func(directory.Owner) error) error {
	o, err := i.owner(ctx, who)
	if err == nil {
		err = f(o)
	}
	if err == nil {
		_, err = fmt.Fprintln(std.out, done)
	}
	return err
}

type policyAttachCmd struct {
	onePolicy
	ownerFlags
}

// Run attaches the policy.
func (c *policyAttachCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, arn string) error {
		return i.change(ctx, std, c.ownerFlags, fmt.Sprintf("Policy %s is attached to %s.", c.Policy, c.ownerFlags), func(o directory.Owner) error {
			return i.Directory.Attach(ctx, i.account, o, arn)
		})
	})
}

type policyDetachCmd struct {
	onePolicy
	ownerFlags
}

// Run detaches the policy.
func (c *policyDetachCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, arn string) error {
		return i.change(ctx, std, c.ownerFlags, fmt.Sprintf("Policy %s is detached from %s.", c.Policy, c.ownerFlags), func(o directory.Owner) error {
			return i.Directory.Detach(ctx, i.account, o, arn)
		})
	})
}

type policyPutCmd struct {
	Name string `arg:"" help:"Name of the inline policy."`
	File string `arg:"" help:"File with the policy, - for standard input."`
	accountFlags
	ownerFlags
}

// Run stores the inline policy.
func (c *policyPutCmd) Run(ctx context.Context, std stdio) error {
	text, err := document(std, c.File)
	if err != nil {
		return err
	}
	return c.with(ctx, func(i identities) error {
		o, err := i.owner(ctx, c.ownerFlags)
		if err == nil {
			err = i.Directory.PutInline(ctx, i.account, o, c.Name, text)
		}
		if err != nil {
			return inDocument(c.File, err)
		}
		warnOf(std, c.File, policy.Identity, text)
		_, err = fmt.Fprintf(std.out, "The %s has the inline policy %s.\n", c.ownerFlags, c.Name)
		return err
	})
}

type policyRemoveCmd struct {
	Name string `arg:"" help:"Name of the inline policy."`
	accountFlags
	ownerFlags
}

// Run removes the inline policy.
func (c *policyRemoveCmd) Run(ctx context.Context, std stdio) error {
	return c.with(ctx, func(i identities) error {
		return i.change(ctx, std, c.ownerFlags, fmt.Sprintf("The %s has no inline policy %s any more.", c.ownerFlags, c.Name), func(o directory.Owner) error {
			return i.Directory.DeleteInline(ctx, i.account, o, c.Name)
		})
	})
}

type policyCheckCmd struct {
	File string `arg:"" help:"File with the policy, - for standard input."`
	Kind string `enum:"identity,trust,listener" default:"identity" help:"What it is for: ${enum}. Boundaries and session policies are identity policies."`
}

// Help shows examples.
func (policyCheckCmd) Help() string {
	return `Exit code 0: it can be stored; what never matches is told as a warning. 1: it cannot, with line and column.

Examples:
  millrace policy check camera.json
  millrace policy check --kind trust trust.json`
}

// Run parses the policy.
func (c *policyCheckCmd) Run(std stdio) error {
	text, err := document(std, c.File)
	if err != nil {
		return err
	}
	kind := map[string]policy.Kind{"identity": policy.Identity, "trust": policy.Trust, "listener": policy.Listener}[c.Kind]
	d, err := policy.Parse(kind, []byte(text))
	if err != nil {
		return fmt.Errorf("%s: %w%s", choose(c.File == "-", "standard input", c.File), err, otherKind(kind, text))
	}
	warnOf(std, c.File, kind, text)
	size, most := policy.Size([]byte(text)), map[policy.Kind]int{policy.Identity: policy.MaxRole, policy.Trust: policy.MaxTrust, policy.Listener: policy.MaxListener}[kind]
	if size > most {
		return fmt.Errorf("%s: %d characters without white space are too many: %d at most", choose(c.File == "-", "standard input", c.File), size, most)
	}
	if kind == policy.Identity && size > policy.MaxUser {
		fmt.Fprintf(std.err, "millrace: warning: %s: %d characters are too many for some uses: managed %d; inline of a user %d, of a group %d, of a role %d; of a session %d\n",
			choose(c.File == "-", "standard input", c.File), size, policy.MaxManaged, policy.MaxUser, policy.MaxGroup, policy.MaxRole, policy.MaxSession)
	}
	_, err = fmt.Fprintf(std.out, "%s, %d characters without white space: can be stored.\n", count(d.Statements(), "statement"), size)
	return err
}

// otherKind is a hint where a text is a policy of another kind than the one it was checked as.
func otherKind(kind policy.Kind, text string) string {
	names := map[policy.Kind]string{policy.Trust: "trust", policy.Listener: "listener", policy.Identity: "identity"}
	for _, other := range []policy.Kind{policy.Trust, policy.Listener, policy.Identity} {
		if _, err := policy.Parse(other, []byte(text)); err == nil && other != kind {
			return "\n  hint: it can be a policy of another kind: --kind " + names[other]
		}
	}
	return ""
}
