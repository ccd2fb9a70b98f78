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

// find returns the ARN of what is asked about. If it is a stream or a channel that there is,
// its tags and account become keys.
func (c *policyTestCmd) find(ctx context.Context, std stdio, i identities, region string, keys policy.MapKeys) (string, error) {
	resource := c.resource(region, string(i.account))
	arn, ok := kvs.ParseARN(resource)
	if !ok || arn.Kind != kvs.StreamResource && arn.Kind != kvs.ChannelResource || arn.Account != i.account {
		return resource, nil
	}
	found, tags, err := i.tagged(ctx, arn)
	if kvs.KindOf(err) == kvs.NotFound {
		fmt.Fprintf(std.err, "millrace: warning: account %s has no %s %s: this is about its name alone\n", arn.Account, arn.Kind, arn.Name)
		return resource, nil
	}
	if err != nil {
		return "", err
	}
	keys.Add("aws:ResourceAccount", string(found.Account))
	for key, value := range tags {
		keys.Add("aws:ResourceTag/"+key, value)
	}
	c.given(keys)
	if !strings.HasPrefix(c.Resource, "arn:") {
		resource = found.String()
	}
	return resource, nil
}

// tagged returns the ARN and tags of the stream or channel that an ARN names.
func (i identities) tagged(ctx context.Context, a kvs.ARN) (kvs.ARN, map[string]string, error) {
	if a.Kind == kvs.ChannelResource {
		ch, err := i.Channel(ctx, a.Account, a.Region, a.Name)
		return ch.ARN(), ch.Tags, err
	}
	s, err := i.Stream(ctx, a.Account, a.Region, a.Name)
	return s.ARN(), s.Tags, err
}

// kindOf is what a name without an ARN is one of, and the name: a channel where the action is
// about channels alone, or with "channel/" in front.
func (c *policyTestCmd) kindOf() (kvs.ResourceKind, string) {
	for _, kind := range []kvs.ResourceKind{kvs.StreamResource, kvs.ChannelResource} {
		if name, ok := strings.CutPrefix(c.Resource, string(kind)+"/"); ok {
			return kind, name
		}
	}
	about := c.about()
	if (about[permission.Channel] || about[permission.Visitable]) && !about[permission.Stream] && !about[permission.Either] && !about[permission.Optional] {
		return kvs.ChannelResource, c.Resource
	}
	return kvs.StreamResource, c.Resource
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
