package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/permission"
	"github.com/millrace/millrace/internal/policy"
)

// one makes sure that the action is one that there is, and asks about what the server would
// ask about: * where the action is about no single thing.
func (c *policyTestCmd) one(std stdio) error {
	if !strings.Contains(c.Action, ":") {
		return &usageError{"policy test", fmt.Sprintf("--action: %q has no service; write it like kinesisvideo:PutMedia", c.Action)}
	}
	if reason := policy.StrayAction(c.Action, actions()); reason != "" {
		return &usageError{"policy test", "--action: " + reason}
	}
	about := c.about()
	switch {
	case len(about) == 0:
		return &usageError{"policy test", fmt.Sprintf("--action: %q are several; name one", c.Action)}
	case len(about) == 1 && about[permission.Any] && c.Resource != "*":
		fmt.Fprintf(std.err, "millrace: warning: %s is about no single thing: the server asks about *, and so does this\n", c.Action)
		c.Resource = "*"
	case !about[permission.Any] && !about[permission.Optional] && !about[permission.Visitable] && c.Resource == "*":
		fmt.Fprintf(std.err, "millrace: warning: %s is about one thing each time: name it with --resource\n", c.Action)
	}
	return nil
}

// about is what the action may be about, by the table of permissions.
func (c *policyTestCmd) about() map[permission.Resource]bool {
	found := map[permission.Resource]bool{}
	for p := range permission.All() {
		if strings.EqualFold(string(p.Action), c.Action) {
			found[p.Resource] = true
		}
	}
	return found
}

// find returns the ARN of what is asked about. If it is a stream that there is, its tags and
// account become keys.
func (c *policyTestCmd) find(ctx context.Context, std stdio, i identities, region string, keys policy.MapKeys) (string, error) {
	resource := c.resource(region, string(i.account))
	arn, ok := kvs.ParseARN(resource)
	if !ok || arn.Kind != kvs.StreamResource || arn.Account != i.account {
		return resource, nil
	}
	s, err := i.Stream(ctx, arn.Account, arn.Region, arn.Name)
	if kvs.KindOf(err) == kvs.NotFound {
		fmt.Fprintf(std.err, "millrace: warning: account %s has no stream %s: this is about its name alone\n", arn.Account, arn.Name)
		return resource, nil
	}
	if err != nil {
		return "", err
	}
	keys.Add("aws:ResourceAccount", string(s.Account))
	for key, value := range s.Tags {
		keys.Add("aws:ResourceTag/"+key, value)
	}
	c.given(keys)
	if c.Resource == arn.Name {
		resource = s.ARN().String()
	}
	return resource, nil
}

// strayResources warns of statements that name an action which the server asks about * only,
// such as kinesisvideo:CreateStream, with a resource that is not *.
func strayResources(d *policy.Document) (warnings []string) {
	if d.Kind() != policy.Identity {
		return nil
	}
	text := strings.ToLower(d.Text())
	set := &policy.Set{Identity: []policy.Source{{Document: d}}}
	for p := range permission.All() {
		c := policyTestCmd{Action: string(p.Action)}
		if p.Action == "" || !strings.Contains(text, `"`+strings.ToLower(c.Action)+`"`) {
			continue
		}
		if about := c.about(); len(about) != 1 || !about[permission.Any] {
			continue
		}
		for _, l := range policy.Explain(&policy.Request{Action: c.Action, Resource: "*", Keys: policy.MapKeys{}}, set).Layers {
			for _, s := range l.Sources[0].Statements {
				if s.Element == "Resource" {
					warnings = append(warnings, fmt.Sprintf("line %d, Statement[%d]: %s matches with the resource * only", s.Start.Line, s.Index, c.Action))
				}
			}
		}
	}
	return warnings
}
