package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/policy"
)

type policyAttachCmd struct {
	onePolicy
	ownerFlags
}

// Run attaches the policy.
func (c *policyAttachCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, arn string) error {
		o, err := i.owner(ctx, c.ownerFlags)
		if err == nil {
			err = i.Directory.Attach(ctx, i.account, o, arn)
		}
		if err == nil {
			_, err = fmt.Fprintf(std.out, "Policy %s is attached to %s.\n", c.Policy, c.ownerFlags)
		}
		return err
	})
}

type policyDetachCmd struct {
	onePolicy
	ownerFlags
}

// Run detaches the policy.
func (c *policyDetachCmd) Run(ctx context.Context, std stdio) error {
	return c.find(ctx, func(i identities, arn string) error {
		o, err := i.owner(ctx, c.ownerFlags)
		if err == nil {
			err = i.Directory.Detach(ctx, i.account, o, arn)
		}
		if err == nil {
			_, err = fmt.Fprintf(std.out, "Policy %s is detached from %s.\n", c.Policy, c.ownerFlags)
		}
		return err
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
		o, err := i.owner(ctx, c.ownerFlags)
		if err == nil {
			err = i.Directory.DeleteInline(ctx, i.account, o, c.Name)
		}
		if err == nil {
			_, err = fmt.Fprintf(std.out, "The %s has no inline policy %s any more.\n", c.ownerFlags, c.Name)
		}
		return err
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
		return fmt.Errorf("%s: %w", choose(c.File == "-", "standard input", c.File), err)
	}
	warnOf(std, c.File, kind, text)
	_, err = fmt.Fprintf(std.out, "%s, %d characters without white space: can be stored.\n", count(d.Statements(), "statement"), policy.Size([]byte(text)))
	return err
}
