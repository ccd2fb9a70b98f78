package identity

import (
	"context"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

func userActions() []action {
	return []action{
		{name: "CreateUser", needs: "UserName", takes: "Path PermissionsBoundary Tags", target: fresh(naming.User, "UserName"), call: createUser},
		{name: "GetUser", takes: "UserName", target: aUser, call: getUser},
		{name: "ListUsers", takes: "PathPrefix Marker MaxItems", target: all(naming.User), call: listUsers},
		{name: "UpdateUser", needs: "UserName", takes: "NewPath NewUserName", target: aUser, call: updateUser},
		{name: "DeleteUser", needs: "UserName", target: aUser, call: deleteUser},
	}
}

type userResult struct{ User userShape }

// showUser is a user in an answer; lists leave boundary and tags out, as in IAM.
func showUser(u directory.User) userShape {
	return userShape{Path: u.Path, UserName: u.Name, UserID: u.ID, ARN: u.ARN(), CreateDate: date(u.Created)}
}

func wholeUser(u directory.User) userShape {
	shape := showUser(u)
	shape.PermissionsBoundary, shape.Tags = boundary(u.Boundary), someTags(u.Tags)
	return shape
}

func createUser(ctx context.Context, s *service, r *request) (any, error) {
	tags, err := r.newTags()
	if err != nil {
		return nil, err
	}
	u, err := s.Directory.CreateUser(ctx, r.account(), directory.User{Name: r.Get("UserName"), Path: r.path(), Boundary: r.Get("PermissionsBoundary"), Tags: tags})
	if err != nil {
		return nil, err
	}
	return userResult{wholeUser(u)}, nil
}

func getUser(ctx context.Context, s *service, r *request) (any, error) {
	name, err := r.userName()
	if err != nil {
		return nil, err
	}
	if name == "" {
		return s.root(ctx, r)
	}
	u, err := s.Directory.User(ctx, r.account(), name)
	if err != nil {
		return nil, err
	}
	return userResult{wholeUser(u)}, nil
}

// root is the answer to the root that asks who it is.
func (s *service) root(ctx context.Context, r *request) (any, error) {
	a, err := s.Keys.Tenant(ctx, r.account())
	if err != nil {
		return nil, err
	}
	return userResult{userShape{Path: "/", UserID: string(r.account()), ARN: r.Principal.ARN, CreateDate: date(a.Created)}}, nil
}

type usersResult struct {
	Users query.List[userShape]
	page
}

func listUsers(ctx context.Context, s *service, r *request) (any, error) {
	users, p, err := listed(s, r, func(after string, most int) ([]directory.User, string, error) {
		return s.Directory.Users(ctx, r.account(), r.Get("PathPrefix"), after, most)
	})
	return usersResult{query.ListOf(users, showUser), p}, err
}

func updateUser(ctx context.Context, s *service, r *request) (any, error) {
	u, err := s.Directory.User(ctx, r.account(), r.Get("UserName"))
	if err != nil {
		return nil, err
	}
	name, path := r.Get("NewUserName"), r.Get("NewPath")
	if err := r.mayBecome(ctx, naming.User, or(path, u.Path), or(name, u.Name)); err != nil {
		return nil, err
	}
	_, err = s.Directory.UpdateUser(ctx, r.account(), u.Name, directory.Rename{Name: name, Path: path})
	return nil, err
}

// mayBecome asks whether the caller may give an entity a new name or path: it needs the
// permission for both.
func (r *request) mayBecome(ctx context.Context, k naming.Kind, path, name string) error {
	return r.Authorize(ctx, kvs.Action("iam:"+r.action), r.arn(k, path, name), nil)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func deleteUser(ctx context.Context, s *service, r *request) (any, error) {
	return nil, s.Directory.DeleteUser(ctx, r.account(), r.Get("UserName"))
}
