package identity

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/query"
)

func roleActions() []action {
	return []action{
		{name: "CreateRole", needs: "RoleName AssumeRolePolicyDocument", takes: "Path Description MaxSessionDuration PermissionsBoundary Tags",
			target: fresh(naming.Role, "RoleName"), call: createRole},
		{name: "GetRole", needs: "RoleName", target: aRole, call: getRole},
		{name: "ListRoles", takes: "PathPrefix Marker MaxItems", target: all(naming.Role), call: listRoles},
		{name: "UpdateRole", needs: "RoleName", takes: "Description MaxSessionDuration", target: aRole, call: updateRole},
		{name: "UpdateRoleDescription", needs: "RoleName Description", target: aRole, call: updateRoleDescription},
		{name: "UpdateAssumeRolePolicy", needs: "RoleName PolicyDocument", target: aRole, call: updateAssumeRolePolicy},
		{name: "DeleteRole", needs: "RoleName", target: aRole, call: deleteRole},
		{name: "ListInstanceProfilesForRole", needs: "RoleName", takes: "Marker MaxItems", target: aRole, call: listInstanceProfilesForRole},
	}
}

// showRole is a role in an answer; lists leave boundary and tags out, as in IAM.
func showRole(o directory.Role) roleShape {
	return roleShape{Path: o.Path, RoleName: o.Name, RoleID: o.ID, ARN: o.ARN(), CreateDate: date(o.Created),
		AssumeRolePolicyDocument: escaped(o.Trust), Description: o.Description, MaxSessionDuration: int64(o.MaxSession / time.Second)}
}

func wholeRole(o directory.Role) roleShape {
	shape := showRole(o)
	shape.PermissionsBoundary, shape.Tags, shape.RoleLastUsed = boundary(o.Boundary), someTags(o.Tags), &struct{}{}
	return shape
}

type roleResult struct{ Role roleShape }

func createRole(ctx context.Context, s *service, r *request) (any, error) {
	tags, err := r.newTags()
	if err != nil {
		return nil, err
	}
	o, err := s.Directory.CreateRole(ctx, r.account(), directory.Role{
		Name: r.Get("RoleName"), Path: r.path(), Description: r.Get("Description"), Trust: r.Get("AssumeRolePolicyDocument"),
		MaxSession: r.maxSession(), Boundary: r.Get("PermissionsBoundary"), Tags: tags,
	})
	if err != nil {
		return nil, err
	}
	shape := wholeRole(o)
	shape.RoleLastUsed = nil
	return roleResult{shape}, nil
}

// maxSession is how long a session of the role may be; an hour if nobody says.
func (r *request) maxSession() time.Duration {
	return time.Duration(r.Int("MaxSessionDuration", 3600)) * time.Second
}

func getRole(ctx context.Context, s *service, r *request) (any, error) {
	o, err := s.Directory.Role(ctx, r.account(), r.Get("RoleName"))
	if err != nil {
		return nil, err
	}
	return roleResult{wholeRole(o)}, nil
}

type rolesResult struct {
	Roles query.List[roleShape]
	page
}

func listRoles(ctx context.Context, s *service, r *request) (any, error) {
	roles, p, err := listed(s, r, func(after string, most int) ([]directory.Role, string, error) {
		return s.Directory.Roles(ctx, r.account(), r.Get("PathPrefix"), after, most)
	})
	return rolesResult{query.ListOf(roles, showRole), p}, err
}

// updateRole leaves a description that is not given as it is; a duration becomes that of a new
// role, as in IAM.
func updateRole(ctx context.Context, s *service, r *request) (any, error) {
	change := directory.RoleChange{MaxSession: r.maxSession()}
	if r.Given("Description") {
		text := r.Get("Description")
		change.Description = &text
	}
	return struct{}{}, s.Directory.UpdateRole(ctx, r.account(), r.Get("RoleName"), change)
}

func updateRoleDescription(ctx context.Context, s *service, r *request) (any, error) {
	text := r.Get("Description")
	if err := s.Directory.UpdateRole(ctx, r.account(), r.Get("RoleName"), directory.RoleChange{Description: &text}); err != nil {
		return nil, err
	}
	o, err := s.Directory.Role(ctx, r.account(), r.Get("RoleName"))
	return roleResult{showRole(o)}, err
}

func updateAssumeRolePolicy(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.UpdateTrust(ctx, r.account(), r.Get("RoleName"), r.Get("PolicyDocument"))
}

func deleteRole(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.DeleteRole(ctx, r.account(), r.Get("RoleName"))
}

type profilesResult struct {
	InstanceProfiles query.List[struct{}]
	page
}

// listInstanceProfilesForRole says that there are none: tools ask before they delete a role.
func listInstanceProfilesForRole(ctx context.Context, s *service, r *request) (any, error) {
	_, err := s.Directory.Role(ctx, r.account(), r.Get("RoleName"))
	return profilesResult{}, err
}
