package identity

import (
	"context"
	"strings"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// What calls are about, for policies. An entity that is not there has the ARN that it would
// have under the path "/", and a denial shows what the caller named and nothing of what was
// found: so who may not ask learns nothing.

// arn is the full name of an entity of the caller's account.
func (r *request) arn(k naming.Kind, path, name string) string {
	return naming.Name{Account: r.account(), Kind: k, Path: path, Name: name}.ARN()
}

// entity is the target of a call about an entity that its caller named: kind and name.
func (r *request) entity(k naming.Kind, path, name string, tags map[string]string) api.QueryTarget {
	t := api.QueryTarget{Resource: r.arn(k, path, name), Owner: r.account(), Shown: string(k) + " " + name, Tags: tags}
	t.Keys = r.keys()
	return t
}

// keys are the condition keys of the parameters.
func (r *request) keys() map[string][]string {
	keys := map[string][]string{}
	for _, t := range r.Tags("Tags") {
		keys["aws:tagkeys"] = append(keys["aws:tagkeys"], t.Key)
		name := "aws:requesttag/" + strings.ToLower(t.Key)
		keys[name] = append(keys[name], t.Value)
	}
	if all := r.Texts("TagKeys"); all != nil {
		keys["aws:tagkeys"] = all
	}
	if r.Given("PolicyArn") {
		keys["iam:policyarn"] = []string{r.Get("PolicyArn")}
	}
	if r.Given("PermissionsBoundary") {
		keys["iam:permissionsboundary"] = []string{r.Get("PermissionsBoundary")}
	}
	return keys
}

// anything is the target of calls about no entity.
func anything(context.Context, *service, *request) (api.QueryTarget, error) {
	return api.QueryTarget{Resource: "*"}, nil
}

// all is the target of lists of a kind.
func all(k naming.Kind) target {
	return func(_ context.Context, _ *service, r *request) (api.QueryTarget, error) {
		return api.QueryTarget{Resource: r.arn(k, "/", ""), Owner: r.account()}, nil
	}
}

// fresh is the target of a call that makes an entity whose name is in the given parameter.
func fresh(k naming.Kind, name string) target {
	return func(_ context.Context, _ *service, r *request) (api.QueryTarget, error) {
		return r.entity(k, r.path(), r.Get(name), nil), nil
	}
}

// path is that of an entity that is to be made.
func (r *request) path() string {
	if p := r.Get("Path"); p != "" {
		return p
	}
	return "/"
}

// aUser is the target of calls about a user: the one that is named, or else the caller.
func aUser(ctx context.Context, s *service, r *request) (api.QueryTarget, error) {
	name, err := r.userName()
	if err != nil {
		return api.QueryTarget{}, err
	}
	if name == "" {
		return api.QueryTarget{Resource: r.Principal.ARN, Owner: r.account()}, nil
	}
	u, err := s.Directory.User(ctx, r.account(), name)
	if absent(err) {
		return r.entity(naming.User, "/", name, nil), nil
	}
	return r.bounded(r.entity(naming.User, u.Path, name, tagMap(u.Tags)), u.Boundary), err
}

// userName is the user that a call is about; "" is the account itself, whose root calls.
func (r *request) userName() (string, error) {
	if r.Given("UserName") {
		return r.Get("UserName"), nil
	}
	switch r.Principal.Kind {
	case kvs.UserPrincipal:
		return r.Principal.Name, nil
	case kvs.RootPrincipal:
		return "", nil
	}
	return "", kvs.Errorf(kvs.Validation, "Must specify userName when calling with non-User credentials")
}

// aGroup is the target of calls about a group.
func aGroup(ctx context.Context, s *service, r *request) (api.QueryTarget, error) {
	name := r.Get("GroupName")
	g, err := s.Directory.Group(ctx, r.account(), name)
	if absent(err) {
		return r.entity(naming.Group, "/", name, nil), nil
	}
	return r.entity(naming.Group, g.Path, name, nil), err
}

// aRole is the target of calls about a role.
func aRole(ctx context.Context, s *service, r *request) (api.QueryTarget, error) {
	name := r.Get("RoleName")
	o, err := s.Directory.Role(ctx, r.account(), name)
	if absent(err) {
		return r.entity(naming.Role, "/", name, nil), nil
	}
	return r.bounded(r.entity(naming.Role, o.Path, name, tagMap(o.Tags)), o.Boundary), err
}

// bounded adds the boundary that a user or role has to the target of a call that brings none:
// who delegates lets others change only those that are bounded.
func (r *request) bounded(t api.QueryTarget, boundary string) api.QueryTarget {
	if !r.Given("PermissionsBoundary") && boundary != "" {
		t.Keys["iam:permissionsboundary"] = []string{boundary}
	}
	return t
}

// aPolicy is the target of calls about a managed policy.
func aPolicy(ctx context.Context, s *service, r *request) (api.QueryTarget, error) {
	arn := r.Get("PolicyArn")
	t := api.QueryTarget{Resource: arn, Shown: "policy " + arn, Keys: r.keys()}
	p, err := s.Directory.Policy(ctx, r.account(), arn)
	if absent(err) {
		return t, nil
	}
	t.Owner, t.Tags = r.account(), tagMap(p.Tags)
	return t, err
}

func absent(err error) bool { return err != nil && kvs.KindOf(err) == kvs.NotFound }
