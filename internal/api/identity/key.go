package identity

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/query"
)

func keyActions() []action {
	return []action{
		{name: "CreateAccessKey", takes: "UserName", target: aUser, call: createAccessKey},
		{name: "ListAccessKeys", takes: "UserName Marker MaxItems", target: aUser, call: listAccessKeys},
		{name: "UpdateAccessKey", needs: "AccessKeyId Status", takes: "UserName", target: aUser, call: updateAccessKey},
		{name: "DeleteAccessKey", needs: "AccessKeyId", takes: "UserName", target: aUser, call: deleteAccessKey},
		{name: "GetAccessKeyLastUsed", needs: "AccessKeyId", target: aKey, call: getAccessKeyLastUsed},
	}
}

// keyOwner is whose keys a call is about: the unique id and the name of a user, both "" for
// the account itself.
func (s *service) keyOwner(ctx context.Context, r *request) (id, name string, err error) {
	name, err = r.userName()
	if err != nil || name == "" {
		return "", "", err
	}
	u, err := s.Directory.User(ctx, r.account(), name)
	return u.ID, name, err
}

type keyShape struct {
	UserName        string
	AccessKeyID     string `xml:"AccessKeyId"`
	Status          string
	SecretAccessKey string `xml:",omitempty"`
	CreateDate      string
}

type keyResult struct{ AccessKey keyShape }

// createAccessKey shows the secret, which nobody can read again.
func createAccessKey(ctx context.Context, s *service, r *request) (any, error) {
	id, name, err := s.keyOwner(ctx, r)
	if err != nil {
		return nil, err
	}
	k, err := s.Keys.Create(ctx, iam.NewKey{Account: r.account(), User: id})
	if err != nil {
		return nil, err
	}
	made, err := s.Keys.Info(ctx, r.account(), k.ID)
	if err != nil {
		return nil, err
	}
	return keyResult{keyShape{name, k.ID, "Active", k.Secret, date(made.Created)}}, nil
}

type keysResult struct {
	AccessKeyMetadata query.List[keyShape]
	page
}

func listAccessKeys(ctx context.Context, s *service, r *request) (any, error) {
	id, name, err := s.keyOwner(ctx, r)
	if err != nil {
		return nil, err
	}
	all, err := s.Keys.KeysOf(ctx, r.account(), id)
	if err != nil {
		return nil, err
	}
	keys, p, err := short(s, r, all, func(k iam.KeyInfo) string { return k.ID })
	show := func(k iam.KeyInfo) keyShape {
		return keyShape{UserName: name, AccessKeyID: k.ID, Status: status(k.Active), CreateDate: date(k.Created)}
	}
	return keysResult{query.ListOf(keys, show), p}, err
}

func status(active bool) string {
	if active {
		return "Active"
	}
	return "Inactive"
}

func updateAccessKey(ctx context.Context, s *service, r *request) (any, error) {
	id, _, err := s.keyOwner(ctx, r)
	if err != nil {
		return nil, err
	}
	return nil, s.Keys.SetKey(ctx, r.account(), id, r.Get("AccessKeyId"), r.Get("Status") == status(true))
}

func deleteAccessKey(ctx context.Context, s *service, r *request) (any, error) {
	id, _, err := s.keyOwner(ctx, r)
	if err != nil {
		return nil, err
	}
	return nil, s.Keys.DeleteKey(ctx, r.account(), id, r.Get("AccessKeyId"))
}

// aKey is the target of a call about a key whose user the caller does not name.
func aKey(ctx context.Context, s *service, r *request) (api.QueryTarget, error) {
	t := api.QueryTarget{Resource: r.arn(naming.User, "/", ""), Shown: "access key " + r.Get("AccessKeyId")}
	user, err := s.userOfKey(ctx, r)
	if user.name != "" {
		t.Resource, t.Owner, t.Tags = r.arn(naming.User, user.path, user.name), r.account(), user.tags
	}
	if absent(err) {
		err = nil
	}
	return t, err
}

// keyUser is the user of a key; the account itself has no name.
type keyUser struct {
	name, path string
	tags       map[string]string
	used       kvs.Millis // the key
}

func (s *service) userOfKey(ctx context.Context, r *request) (keyUser, error) {
	k, err := s.Keys.Info(ctx, r.account(), r.Get("AccessKeyId"))
	if err != nil || k.User == "" {
		return keyUser{used: k.Used}, err
	}
	u, err := s.Directory.UserByID(ctx, k.User)
	return keyUser{u.Name, u.Path, tagMap(u.Tags), k.Used}, err
}

type lastUsedResult struct {
	UserName          string `xml:",omitempty"`
	AccessKeyLastUsed lastUsedShape
}

type lastUsedShape struct {
	LastUsedDate string `xml:",omitempty"`
	ServiceName  string
	Region       string
}

// getAccessKeyLastUsed knows when, but not what for and where: both are N/A, as IAM has it of
// keys that were never used.
func getAccessKeyLastUsed(ctx context.Context, s *service, r *request) (any, error) {
	user, err := s.userOfKey(ctx, r)
	if err != nil {
		return nil, err
	}
	result := lastUsedResult{user.name, lastUsedShape{ServiceName: "N/A", Region: "N/A"}}
	if user.used != 0 {
		result.AccessKeyLastUsed.LastUsedDate = date(user.used)
	}
	return result, nil
}
