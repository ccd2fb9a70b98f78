package identity

import (
	"context"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/query"
)

func groupActions() []action {
	return []action{
		{name: "CreateGroup", needs: "GroupName", takes: "Path", target: fresh(naming.Group, "GroupName"), call: createGroup},
		{name: "GetGroup", needs: "GroupName", takes: "Marker MaxItems", target: aGroup, call: getGroup},
		{name: "ListGroups", takes: "PathPrefix Marker MaxItems", target: all(naming.Group), call: listGroups},
		{name: "UpdateGroup", needs: "GroupName", takes: "NewPath NewGroupName", target: aGroup, call: updateGroup},
		{name: "DeleteGroup", needs: "GroupName", target: aGroup, call: deleteGroup},
		{name: "AddUserToGroup", needs: "GroupName UserName", target: aGroup, call: addUserToGroup},
		{name: "RemoveUserFromGroup", needs: "GroupName UserName", target: aGroup, call: removeUserFromGroup},
		{name: "ListGroupsForUser", needs: "UserName", takes: "Marker MaxItems", target: aUser, call: listGroupsForUser},
	}
}

func showGroup(g directory.Group) groupShape {
	return groupShape{Path: g.Path, GroupName: g.Name, GroupID: g.ID, ARN: g.ARN(), CreateDate: date(g.Created)}
}

type groupResult struct{ Group groupShape }

func createGroup(ctx context.Context, s *service, r *request) (any, error) {
	g, err := s.Directory.CreateGroup(ctx, r.account(), directory.Group{Name: r.Get("GroupName"), Path: r.path()})
	if err != nil {
		return nil, err
	}
	return groupResult{showGroup(g)}, nil
}

type membersResult struct {
	Group groupShape
	Users query.List[userShape]
	page
}

func getGroup(ctx context.Context, s *service, r *request) (any, error) {
	g, err := s.Directory.Group(ctx, r.account(), r.Get("GroupName"))
	if err != nil {
		return nil, err
	}
	users, p, err := listed(s, r, func(after string, most int) ([]directory.User, string, error) {
		return s.Directory.Members(ctx, r.account(), g.Name, after, most)
	})
	return membersResult{showGroup(g), query.ListOf(users, showUser), p}, err
}

type groupsResult struct {
	Groups query.List[groupShape]
	page
}

func listGroups(ctx context.Context, s *service, r *request) (any, error) {
	groups, p, err := listed(s, r, func(after string, most int) ([]directory.Group, string, error) {
		return s.Directory.Groups(ctx, r.account(), r.Get("PathPrefix"), after, most)
	})
	return groupsResult{query.ListOf(groups, showGroup), p}, err
}

func updateGroup(ctx context.Context, s *service, r *request) (any, error) {
	g, err := s.Directory.Group(ctx, r.account(), r.Get("GroupName"))
	if err != nil {
		return nil, err
	}
	name, path := r.Get("NewGroupName"), r.Get("NewPath")
	if err := r.mayBecome(ctx, naming.Group, or(path, g.Path), or(name, g.Name)); err != nil {
		return nil, err
	}
	_, err = s.Directory.UpdateGroup(ctx, r.account(), g.Name, directory.Rename{Name: name, Path: path})
	return nil, err
}

func deleteGroup(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.DeleteGroup(ctx, r.account(), r.Get("GroupName"))
}

func addUserToGroup(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.AddToGroup(ctx, r.account(), r.Get("GroupName"), r.Get("UserName"))
}

func removeUserFromGroup(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.RemoveFromGroup(ctx, r.account(), r.Get("GroupName"), r.Get("UserName"))
}

func listGroupsForUser(ctx context.Context, s *service, r *request) (any, error) {
	groups, p, err := listed(s, r, func(after string, most int) ([]directory.Group, string, error) {
		return s.Directory.GroupsOf(ctx, r.account(), r.Get("UserName"), after, most)
	})
	return groupsResult{query.ListOf(groups, showGroup), p}, err
}
