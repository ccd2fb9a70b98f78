package token

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// allowed finds the role and asks whether the caller may take it on, and give the session its
// tags. Who may not is told the same about a role that is not there: the trust of nobody.
func (s *service) allowed(ctx context.Context, c *api.Call, w *wish) (directory.Role, error) {
	role, err := s.Directory.RoleByARN(ctx, w.arn)
	if err == nil {
		err = s.Directory.Valid(ctx, kvs.Principal{Account: role.Account, Kind: kvs.RolePrincipal, ID: role.ID})
	}
	if err != nil && kvs.KindOf(err) != kvs.NotFound {
		return role, err
	}
	actions := []kvs.Action{"sts:AssumeRole"}
	if w.tags != nil {
		actions = append(actions, "sts:TagSession")
	}
	for _, a := range actions {
		if err != nil {
			return role, s.nobody(ctx, c, w, a)
		}
		if refused := s.trusted(ctx, c, w, a, role); refused != nil {
			return role, refused
		}
	}
	return role, nil
}

// trusted asks the policies of the caller and the role's trust policy. The answer to callers
// of another account does not say whether there is a role that does not trust them.
func (s *service) trusted(ctx context.Context, c *api.Call, w *wish, a kvs.Action, role directory.Role) error {
	trust, err := s.Directory.Trust(ctx, role.ID)
	if err != nil {
		return err
	}
	ask := c.Question(a)
	ask.Resource, ask.Keys, ask.Owner, ask.Trust = w.arn, w, role.Account, trust
	ask.Tags = map[string]string{}
	for _, t := range role.Tags {
		ask.Tags[t.Key] = t.Value
	}
	err = c.Ask(ctx, ask)
	if kvs.KindOf(err) == kvs.Denied && role.Account != c.Principal.Account {
		return s.nobody(ctx, c, w, a)
	}
	return err
}

// nobody is the denial of a role that trusts nobody.
func (s *service) nobody(ctx context.Context, c *api.Call, w *wish, a kvs.Action) error {
	ask := c.Question(a)
	ask.Resource, ask.Keys, ask.Trust = w.arn, w, &policy.Source{}
	if err := c.Ask(ctx, ask); err != nil {
		return err
	}
	return kvs.Errorf(kvs.Denied, "User: %s is not authorized to perform: %s on resource: %s", c.Principal.ARN, a, w.arn)
}
