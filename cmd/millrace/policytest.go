package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/permission"
	"github.com/millrace/millrace/internal/policy"
)

type policyTestCmd struct {
	accountFlags
	User     string            `xor:"who" required:"" placeholder:"NAME" help:"The user that asks."`
	Role     string            `xor:"who" required:"" placeholder:"NAME" help:"The role whose session asks."`
	Policy   []string          `xor:"who" required:"" sep:"none" placeholder:"FILE" help:"Instead of a user or role, policies from files; may be given several times."`
	Action   string            `required:"" help:"What is to be done, such as kinesisvideo:PutMedia."`
	Resource string            `default:"*" help:"ARN of what it is done to, or the name of a stream, or of a channel (channel/NAME where the action is about both)."`
	Context  map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A condition key of the request, such as aws:SourceIp=192.0.2.7; values of one key are separated by commas. May be given several times."`
}

// Help shows examples.
func (policyTestCmd) Help() string {
	return `Decides as the server does and says for each statement whether it matched, and if not, which of
its elements did not. Exit code 0: allowed, 1: denied. The policies of listeners are not
part of it. Keys that stand for the time, the user, TLS and the stream or channel with its tags are filled in;
others, such as aws:SourceIp or millrace:RangeStart, are given with --context.

Examples:
  millrace policy test --user gate --action kinesisvideo:PutMedia --resource gate
  millrace policy test --user anna --action kinesisvideo:ConnectAsViewer --resource door
  millrace policy test --role auditor --action kinesisvideo:GetMedia --resource gate --context aws:SourceIp=192.0.2.7
  millrace policy test --policy camera.json --action kinesisvideo:GetMedia --resource gate`
}

// Run explains the decision.
func (c *policyTestCmd) Run(ctx context.Context, std stdio) error {
	settings, err := c.settings()
	if err != nil {
		return err
	}
	if err := c.one(std); err != nil {
		return err
	}
	region := settings.Regions[0]
	if len(c.Policy) > 0 {
		set, err := c.fromFiles(std)
		if err != nil {
			return err
		}
		r := policy.Request{Action: c.Action, Resource: c.resource(region, "000000000000"), Keys: c.keys(kvs.Principal{}, nil)}
		return tell(std, policy.Explain(&r, set))
	}
	return c.with(ctx, func(i identities) error {
		p, err := c.principal(ctx, i)
		if err == nil {
			err = c.reserved(ctx, i)
		}
		if err != nil {
			return err
		}
		set, err := i.Directory.Rights(ctx, p)
		if err != nil {
			return err
		}
		tags, err := i.Directory.PrincipalTags(ctx, p)
		if err != nil {
			return err
		}
		keys := c.keys(p, tags)
		resource, err := c.find(ctx, std, i, region, keys)
		if err != nil {
			return err
		}
		who := policy.Who{Account: string(p.Account), ARN: p.ARN, ID: p.ID}
		return tell(std, policy.Explain(&policy.Request{Principal: who, Action: c.Action, Resource: resource, Keys: keys}, set))
	})
}

// reserved refuses what policies cannot grant in the account.
func (c *policyTestCmd) reserved(ctx context.Context, i identities) error {
	row, _ := permission.Of(kvs.Action(c.Action))
	if row.Holder != permission.Installation && row.Holder != permission.Household {
		return nil
	}
	home, err := i.Keys.Account(ctx)
	if err == nil && home != i.account {
		err = fmt.Errorf("%s is denied, whatever policies say: it is an action of the installation, which belongs to its home account %s", c.Action, home)
	}
	return err
}

// tell prints the explanation; a denial is an error.
func tell(std stdio, x policy.Explanation) error {
	if _, err := fmt.Fprint(std.out, x); err != nil {
		return err
	}
	if !x.Decision.Allowed && len(x.Missing) > 0 {
		return fmt.Errorf("%s on %s is denied\n  hint: what a request would have of these keys is given with --context KEY=VALUE", x.Action, x.Resource)
	}
	if !x.Decision.Allowed {
		return fmt.Errorf("%s on %s is denied", x.Action, x.Resource)
	}
	return nil
}

// fromFiles makes a set of identity policies.
func (c *policyTestCmd) fromFiles(std stdio) (*policy.Set, error) {
	set := &policy.Set{}
	for _, file := range c.Policy {
		text, err := document(std, file)
		if err != nil {
			return nil, err
		}
		d, err := policy.Parse(policy.Identity, []byte(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		set.Identity = append(set.Identity, policy.Source{Name: file, Document: d})
	}
	return set, nil
}

// principal is the user, or a session of the role.
func (c *policyTestCmd) principal(ctx context.Context, i identities) (kvs.Principal, error) {
	if c.User != "" {
		u, err := i.Directory.User(ctx, i.account, c.User)
		return kvs.Principal{Account: i.account, Kind: kvs.UserPrincipal, ARN: u.ARN(), ID: u.ID, Name: u.Name, Path: u.Path}, err
	}
	r, err := i.Directory.Role(ctx, i.account, c.Role)
	return kvs.Principal{Account: i.account, Kind: kvs.RolePrincipal, ARN: sessionARN(r), ID: r.ID, Name: r.Name, Path: r.Path, Session: "test"}, err
}

func sessionARN(r directory.Role) string {
	return "arn:aws:sts::" + string(r.Account) + ":assumed-role/" + r.Name + "/test"
}

// resource is the ARN that is meant: that of a stream or channel with the name if it is none.
func (c *policyTestCmd) resource(region, account string) string {
	if c.Resource == "*" || strings.HasPrefix(c.Resource, "arn:") {
		return c.Resource
	}
	kind, name := c.kindOf()
	return kvs.ARN{Partition: "aws", Region: region, Account: kvs.AccountID(account), Kind: kind, Name: name, Code: "0"}.String()
}

// keys are the condition keys: what is known of every request, and over it what was given.
func (c *policyTestCmd) keys(p kvs.Principal, tags map[string]string) policy.MapKeys {
	now := time.Now()
	keys := policy.MapKeys{}
	keys.Add("aws:CurrentTime", now.UTC().Format(time.RFC3339))
	keys.Add("aws:EpochTime", strconv.FormatInt(now.Unix(), 10))
	keys.Add("aws:SecureTransport", "true")
	if p.ID != "" {
		keys.Add("aws:PrincipalArn", p.RoleARN())
		keys.Add("aws:PrincipalAccount", string(p.Account))
		keys.Add("aws:PrincipalType", choose(p.Kind == kvs.UserPrincipal, "User", "AssumedRole"))
		keys.Add("aws:userid", choose(p.Session == "", p.ID, p.ID+":"+p.Session))
	}
	if p.Kind == kvs.UserPrincipal {
		keys.Add("aws:username", p.Name)
	}
	for key, value := range tags {
		keys.Add("aws:PrincipalTag/"+key, value)
	}
	c.given(keys)
	return keys
}

// given puts what --context says in the place of what was filled in.
func (c *policyTestCmd) given(keys policy.MapKeys) {
	for key, text := range c.Context {
		delete(keys, strings.ToLower(key))
		keys.Add(key, slices.DeleteFunc(strings.Split(text, ","), func(s string) bool { return s == "" })...)
	}
}
