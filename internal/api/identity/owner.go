package identity

import (
	"context"
	"encoding/xml"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/query"
)

// owner is a kind of entity that has policies. The actions on policies of users, groups and
// roles differ in nothing but their names.
type owner struct {
	word   string // as the names of actions have it
	param  string
	target target
	find   func(ctx context.Context, s *service, r *request) (directory.Owner, error)
}

var owners = []owner{
	{"User", "UserName", aUser, userOwner},
	{"Group", "GroupName", aGroup, groupOwner},
	{"Role", "RoleName", aRole, roleOwner},
}

func userOwner(ctx context.Context, s *service, r *request) (directory.Owner, error) {
	u, err := s.Directory.User(ctx, r.account(), r.Get("UserName"))
	return u.Owner(), err
}

func groupOwner(ctx context.Context, s *service, r *request) (directory.Owner, error) {
	g, err := s.Directory.Group(ctx, r.account(), r.Get("GroupName"))
	return g.Owner(), err
}

func roleOwner(ctx context.Context, s *service, r *request) (directory.Owner, error) {
	o, err := s.Directory.Role(ctx, r.account(), r.Get("RoleName"))
	return o.Owner(), err
}

// owned makes a call that is about an owner.
func (o owner) owned(call func(ctx context.Context, s *service, r *request, of directory.Owner) (any, error)) func(context.Context, *service, *request) (any, error) {
	return func(ctx context.Context, s *service, r *request) (any, error) {
		of, err := o.find(ctx, s, r)
		if err != nil {
			return nil, err
		}
		return call(ctx, s, r, of)
	}
}

// inlineActions are those on the policies that belong to one owner alone.
func (o owner) inlineActions() []action {
	return []action{
		{name: "Put" + o.word + "Policy", needs: o.param + " PolicyName PolicyDocument", target: o.target, call: o.owned(putInline)},
		{name: "Get" + o.word + "Policy", needs: o.param + " PolicyName", target: o.target, call: o.owned(o.getInline)},
		{name: "List" + o.word + "Policies", needs: o.param, takes: "Marker MaxItems", target: o.target, call: o.owned(listInline)},
		{name: "Delete" + o.word + "Policy", needs: o.param + " PolicyName", target: o.target, call: o.owned(deleteInline)},
	}
}

func putInline(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.PutInline(ctx, r.account(), of, r.Get("PolicyName"), r.Get("PolicyDocument"))
}

// inlineResult is a policy with its owner, whose name's element depends on the kind.
type inlineResult struct {
	Owner          named
	PolicyName     string
	PolicyDocument string
}

// named is a text under a name of its own.
type named struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

func (o owner) getInline(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	text, err := s.Directory.GetInline(ctx, r.account(), of, r.Get("PolicyName"))
	if err != nil {
		return nil, err
	}
	return inlineResult{named{xml.Name{Local: o.param}, r.Get(o.param)}, r.Get("PolicyName"), escaped(text)}, nil
}

type inlinesResult struct {
	PolicyNames query.List[string]
	page
}

func listInline(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	names, p, err := listed(s, r, func(after string, most int) ([]string, string, error) {
		return s.Directory.ListInline(ctx, r.account(), of, after, most)
	})
	return inlinesResult{query.List[string]{Member: names}, p}, err
}

func deleteInline(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.DeleteInline(ctx, r.account(), of, r.Get("PolicyName"))
}

// attachedActions are those on managed policies that the owner shares with others.
func (o owner) attachedActions() []action {
	return []action{
		{name: "Attach" + o.word + "Policy", needs: o.param + " PolicyArn", target: o.target, call: o.owned(attach)},
		{name: "Detach" + o.word + "Policy", needs: o.param + " PolicyArn", target: o.target, call: o.owned(detach)},
		{name: "ListAttached" + o.word + "Policies", needs: o.param, takes: "PathPrefix Marker MaxItems", target: o.target, call: o.owned(listAttached)},
	}
}

func attach(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.Attach(ctx, r.account(), of, r.Get("PolicyArn"))
}

func detach(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.Detach(ctx, r.account(), of, r.Get("PolicyArn"))
}

type attachedResult struct {
	AttachedPolicies query.List[attachedShape]
	page
}

func listAttached(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	policies, p, err := listed(s, r, func(after string, most int) ([]directory.Attached, string, error) {
		return s.Directory.AttachedTo(ctx, r.account(), of, r.Get("PathPrefix"), after, most)
	})
	show := func(p directory.Attached) attachedShape { return attachedShape{p.Name, p.ARN} }
	return attachedResult{query.ListOf(policies, show), p}, err
}

// boundaryActions are those on permissions boundaries, which users and roles may have.
func boundaryActions() (all []action) {
	for _, o := range owners {
		if o.word == "Group" {
			continue
		}
		all = append(all,
			action{name: "Put" + o.word + "PermissionsBoundary", needs: o.param + " PermissionsBoundary", target: o.target, call: o.owned(putBoundary)},
			action{name: "Delete" + o.word + "PermissionsBoundary", needs: o.param, target: o.target, call: o.owned(deleteBoundary)})
	}
	return all
}

func putBoundary(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.SetPermissionsBoundary(ctx, r.account(), of, r.Get("PermissionsBoundary"))
}

func deleteBoundary(ctx context.Context, s *service, r *request, of directory.Owner) (any, error) {
	return nil, s.Directory.SetPermissionsBoundary(ctx, r.account(), of, "")
}
