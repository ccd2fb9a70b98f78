package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/internal/iam/directory"
	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/server"
)

// accountFlags say whose users, groups, roles and policies are meant: those of an account
// in a data directory. A running server notices changes within ten seconds.
type accountFlags struct {
	dataFlags
	Account string `placeholder:"ID" help:"Number of the account (default: the home account of the installation)."`
}

// identities are those of one account, while a command works with them.
type identities struct {
	*server.Identities
	account kvs.AccountID
}

// with opens the identities, calls f and closes them.
func (a accountFlags) with(ctx context.Context, f func(i identities) error) error {
	return a.dataFlags.with(ctx, false, func(all *server.Identities) error {
		i := identities{all, kvs.AccountID(a.Account)}
		var err error
		if i.account == "" {
			i.account, err = all.Keys.Account(ctx)
		} else {
			_, err = all.Keys.Tenant(ctx, i.account)
		}
		if err != nil {
			return err
		}
		return f(i)
	})
}

// ownerFlags name a user, a group or a role.
type ownerFlags struct {
	User  string `xor:"owner" required:"" placeholder:"NAME" help:"The user."`
	Group string `xor:"owner" required:"" placeholder:"NAME" help:"The group."`
	Role  string `xor:"owner" required:"" placeholder:"NAME" help:"The role."`
}

// String is the name of who is meant, for messages.
func (o ownerFlags) String() string {
	switch {
	case o.User != "":
		return "user " + o.User
	case o.Group != "":
		return "group " + o.Group
	}
	return "role " + o.Role
}

// owner finds who is meant.
func (i identities) owner(ctx context.Context, o ownerFlags) (directory.Owner, error) {
	switch {
	case o.User != "":
		u, err := i.Directory.User(ctx, i.account, o.User)
		return u.Owner(), err
	case o.Group != "":
		g, err := i.Directory.Group(ctx, i.account, o.Group)
		return g.Owner(), err
	}
	r, err := i.Directory.Role(ctx, i.account, o.Role)
	return r.Owner(), err
}

// policyARN finds a managed policy by its ARN, or by its name: first among those of the
// account, then among the built-in ones.
func (i identities) policyARN(ctx context.Context, name string) (string, error) {
	if strings.HasPrefix(name, "arn:") {
		return name, nil
	}
	for _, scope := range []directory.Scope{directory.Local, directory.AWS} {
		found, err := pages(func(after string) ([]directory.Policy, string, error) {
			return i.Directory.Policies(ctx, i.account, directory.PolicyQuery{Scope: scope, After: after, Limit: pageSize})
		})
		if err != nil {
			return "", err
		}
		if at := slices.IndexFunc(found, func(p directory.Policy) bool { return p.Name == name }); at >= 0 {
			return found[at].ARN, nil
		}
	}
	return "", fmt.Errorf("there is no policy named %q\n  hint: millrace policy list --all shows the policies there are", name)
}

// attach attaches managed policies, named as policyARN takes them.
func (i identities) attach(ctx context.Context, o directory.Owner, policies []string) error {
	for _, name := range policies {
		arn, err := i.policyARN(ctx, name)
		if err == nil {
			err = i.Directory.Attach(ctx, i.account, o, arn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bound sets the permission boundary of a user or role, "" for none.
func (i identities) bound(ctx context.Context, o directory.Owner, policy string) error {
	if policy != "" {
		var err error
		if policy, err = i.policyARN(ctx, policy); err != nil {
			return err
		}
	}
	return i.Directory.SetPermissionsBoundary(ctx, i.account, o, policy)
}

// strip takes away what keeps an entity from being deleted: its policies and, of a user,
// its groups and keys.
func (i identities) strip(ctx context.Context, o directory.Owner, user string) error {
	attached, err := i.attached(ctx, o)
	for _, p := range attached {
		err = errors.Join(err, i.Directory.Detach(ctx, i.account, o, p))
	}
	inline, e := i.inline(ctx, o)
	err = errors.Join(err, e)
	for _, name := range inline {
		err = errors.Join(err, i.Directory.DeleteInline(ctx, i.account, o, name))
	}
	if user == "" || err != nil {
		return err
	}
	groups, err := i.groups(ctx, user)
	for _, g := range groups {
		err = errors.Join(err, i.Directory.RemoveFromGroup(ctx, i.account, g, user))
	}
	keys, e := i.Keys.KeysOf(ctx, i.account, o.ID)
	err = errors.Join(err, e)
	for _, k := range keys {
		err = errors.Join(err, i.Keys.DeleteKey(ctx, i.account, o.ID, k.ID))
	}
	return err
}

// attached are the ARNs of the managed policies of an entity.
func (i identities) attached(ctx context.Context, o directory.Owner) (arns []string, err error) {
	all, err := pages(func(after string) ([]directory.Attached, string, error) {
		return i.Directory.AttachedTo(ctx, i.account, o, "", after, pageSize)
	})
	for _, p := range all {
		arns = append(arns, p.ARN)
	}
	return arns, err
}

// inline are the names of the inline policies of an entity.
func (i identities) inline(ctx context.Context, o directory.Owner) ([]string, error) {
	return pages(func(after string) ([]string, string, error) {
		return i.Directory.ListInline(ctx, i.account, o, after, pageSize)
	})
}

// groups are the names of the groups of a user.
func (i identities) groups(ctx context.Context, user string) (names []string, err error) {
	all, err := pages(func(after string) ([]directory.Group, string, error) {
		return i.Directory.GroupsOf(ctx, i.account, user, after, pageSize)
	})
	for _, g := range all {
		names = append(names, g.Name)
	}
	return names, err
}

// pageSize is how many entries a command asks for at once.
const pageSize = 1000

// pages collects all pages of a list.
func pages[T any](page func(after string) (part []T, next string, err error)) (all []T, err error) {
	for after := ""; ; {
		part, next, err := page(after)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
		if after = next; after == "" {
			return all, nil
		}
	}
}

// tagFlags are tags of something new.
type tagFlags struct {
	Tag map[string]string `placeholder:"KEY=VALUE" mapsep:"none" help:"A tag; may be given several times."`
}

// tags are the tags in the order of their keys.
func (t tagFlags) tags() (tags []directory.Tag) {
	for _, key := range slices.Sorted(maps.Keys(t.Tag)) {
		tags = append(tags, directory.Tag{Key: key, Value: t.Tag[key]})
	}
	return tags
}

// document reads a policy from a file, "-" for standard input.
func document(std stdio, file string) (string, error) {
	if file == "-" {
		text, err := io.ReadAll(io.LimitReader(std.in, 1<<20))
		return string(text), err
	}
	text, err := os.ReadFile(file) //nolint:gosec // the file that the user named
	return string(text), err
}

// inDocument tells an error of a document with the file's name.
func inDocument(file string, err error) error {
	if kvs.KindOf(err) != kvs.MalformedPolicy {
		return err
	}
	return fmt.Errorf("%s: %w", choose(file == "-", "standard input", file), err)
}

// facts prints what is known about one thing: names and values in two columns. A value of
// several lines is put below its name.
func facts(w io.Writer, rows ...[2]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\n", r[0], cmp.Or(r[1], "-"))
	}
	return t.Flush()
}

// pretty is a policy for people: JSON with indentation, as it is if it has line ends already.
func pretty(text string) string {
	if strings.Contains(text, "\n") {
		return strings.TrimRight(text, "\n")
	}
	indented, err := json.MarshalIndent(json.RawMessage(text), "", "  ")
	if err != nil {
		return text
	}
	return string(indented)
}

// tagText is tags in one line.
func tagText(tags []directory.Tag) string {
	var all []string
	for _, t := range tags {
		all = append(all, t.Key+"="+t.Value)
	}
	return strings.Join(all, ", ")
}

// userName is the name that a unique id of a user stands for.
func (i identities) userName(ctx context.Context, id string) string {
	if kind, _ := naming.KindOf(id); kind != naming.User {
		return ""
	}
	u, err := i.Directory.UserByID(ctx, id)
	if err != nil {
		return id
	}
	return u.Name
}
