package directory

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// Policy is a managed policy: one that can be attached to many.
type Policy struct {
	ID, Name, Path, Description string
	ARN                         string
	Account                     kvs.AccountID // naming.AWS of a built-in one
	Created, Updated            kvs.Millis    // Updated: when a version was made or chosen
	DefaultVersion              string        // "v1" and so on
	Attachments                 int           // users, groups and roles of the account that have it
	Boundaries                  int           // users and roles of the account that it bounds
	Tags                        []Tag         // not in lists
}

// Owner names the policy to its tags.
func (p Policy) Owner() Owner { return Owner{PolicyOwner, p.ID} }

func policyOf(r row) Policy {
	return Policy{
		ID: r.id, Name: r.Name.Name, Path: r.Path, Description: r.description, ARN: r.ARN(), Account: r.Account,
		Created: r.created, Updated: r.updated, DefaultVersion: versionName(r.version),
	}
}

// CreatePolicy makes a managed policy whose first version has the text; of p it takes
// name, path ("" = /), description and tags.
func (d *Directory) CreatePolicy(ctx context.Context, account kvs.AccountID, p Policy, text string) (Policy, error) {
	if err := checkManaged(text); err != nil {
		return Policy{}, err
	}
	r := d.newRow(account, naming.Policy, p.Name, p.Path)
	r.description, r.version = p.Description, 1
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		if err := insert(tx, r); err != nil {
			return err
		}
		if err := putVersion(tx, r.id, 1, r.created, text); err != nil {
			return err
		}
		return putTags(tx, Owner{PolicyOwner, r.id}, p.Tags)
	})
	if err != nil {
		return Policy{}, err
	}
	made := policyOf(r)
	made.Tags = p.Tags
	return made, nil
}

func checkManaged(text string) error {
	if policy.Size([]byte(text)) > policy.MaxManaged {
		return kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for PolicySize: %d", policy.MaxManaged)
	}
	_, err := parse(policy.Identity, text)
	return err
}

// resolve finds a managed policy of an account, or a built-in one, by ARN.
func resolve(q reader, account kvs.AccountID, arn string) (row, error) {
	n, ok := naming.ParseARN(arn)
	switch {
	case !ok || n.Kind != naming.Policy:
		return row{}, kvs.Errorf(kvs.InvalidArgument, "ARN %s is not valid.", arn)
	case n.Account == naming.AWS:
		if b := builtInByName(n); b != nil {
			return b.row(), nil
		}
		return row{}, unknownPolicy(arn)
	case n.Account != account:
		return row{}, unknownPolicy(arn)
	}
	r, err := find(q, account, naming.Policy, n.Name)
	if kvs.KindOf(err) == kvs.NotFound || err == nil && r.Path != n.Path {
		return row{}, unknownPolicy(arn)
	}
	return r, err
}

// resolveOwn finds a managed policy that is to be changed: none that is built in.
func resolveOwn(q reader, account kvs.AccountID, arn string) (row, error) {
	r, err := resolve(q, account, arn)
	if err == nil && r.Account == naming.AWS {
		err = kvs.Errorf(kvs.Unmodifiable, "Policy %s is built in and cannot be changed.", arn)
	}
	return r, err
}

func unknownPolicy(arn string) error {
	return kvs.Errorf(kvs.NotFound, "Policy %s was not found.", arn)
}

// Policy describes a managed policy of an account, or a built-in one, by ARN.
func (d *Directory) Policy(ctx context.Context, account kvs.AccountID, arn string) (Policy, error) {
	q := d.read(ctx)
	r, err := resolve(q, account, arn)
	if err != nil {
		return Policy{}, err
	}
	p := policyOf(r)
	if p.Tags, err = allTags(q, r.id); err != nil {
		return Policy{}, err
	}
	return p, usage(q, account, &p)
}

const usageOf = "SELECT attached, boundaries FROM policy_use WHERE account = $1 AND policy = $2"

// usage fills in how often an account uses a policy.
func usage(q reader, account kvs.AccountID, p *Policy) error {
	err := q.QueryRow(usageOf, string(account), p.ID).Scan(&p.Attachments, &p.Boundaries)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// use counts what an account uses a policy for.
func use(tx *sql.Tx, account kvs.AccountID, policy string, attached, boundaries int64) error {
	_, err := tx.Exec(`INSERT INTO policy_use (account, policy, attached, boundaries) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, policy) DO UPDATE SET attached = policy_use.attached + excluded.attached,
		boundaries = policy_use.boundaries + excluded.boundaries`, string(account), policy, attached, boundaries)
	return err
}

// Scope says which managed policies a list has.
type Scope string

// The scopes, in the words of IAM.
const (
	All   Scope = "All"
	AWS   Scope = "AWS"   // the built-in ones
	Local Scope = "Local" // those of the account
)

// PolicyQuery says which managed policies are wanted.
type PolicyQuery struct {
	Scope    Scope  // "" = All
	Prefix   string // paths that begin so; "" = all
	Used     bool   // only those that are attached to somebody
	Bounding bool   // only those that bound somebody
	After    string // what an earlier page gave as next
	Limit    int    // policies a page, at least 1
}

// builtInPage marks positions in the list of built-in policies, which comes first.
const builtInPage = "aws:"

// Policies lists managed policies, the built-in ones first, then those of the account,
// paged as [Directory.Users]. A page may be shorter than its limit although there is a next
// one, because of what was filtered out.
func (d *Directory) Policies(ctx context.Context, account kvs.AccountID, l PolicyQuery) (policies []Policy, next string, err error) {
	if l.Scope != Local && (l.After == "" || strings.HasPrefix(l.After, builtInPage)) {
		policies, next = builtInList(l)
	}
	after := l.After
	if strings.HasPrefix(after, builtInPage) {
		after = ""
	}
	if rest := l.Limit - len(policies); l.Scope != AWS && next == "" && rest > 0 {
		var rows []row
		if rows, next, err = d.page(ctx, account, naming.Policy, l.Prefix, after, rest); err != nil {
			return nil, "", err
		}
		policies = append(policies, each(rows, policyOf)...)
	} else if l.Scope != AWS && next == "" {
		next = builtInPage + "~" // behind the last
	}
	policies, err = d.used(ctx, account, policies, l)
	return policies, next, err
}

// used fills in the use of policies and drops those that were not asked for.
func (d *Directory) used(ctx context.Context, account kvs.AccountID, policies []Policy, l PolicyQuery) (kept []Policy, err error) {
	q := d.read(ctx)
	for _, p := range policies {
		if err := usage(q, account, &p); err != nil {
			return nil, err
		}
		if (!l.Used || p.Attachments > 0) && (!l.Bounding || p.Boundaries > 0) {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

// DeletePolicy removes a managed policy; Conflict while it is attached, bounds somebody
// or has versions other than the default one. Sessions that it bounds end.
func (d *Directory) DeletePolicy(ctx context.Context, account kvs.AccountID, arn string) error {
	defer d.memory.forgetAll()
	return d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := resolveOwn(tx, account, arn)
		if err != nil {
			return err
		}
		p := policyOf(r)
		if err := usage(tx, account, &p); err != nil {
			return err
		}
		versions, err := count(tx, "SELECT COUNT(*) FROM policy_version WHERE policy = $1", r.id)
		switch {
		case err != nil:
			return err
		case p.Attachments > 0 || p.Boundaries > 0:
			return kvs.Errorf(kvs.Conflict, "Cannot delete a policy attached to entities.")
		case versions > 1:
			return kvs.Errorf(kvs.Conflict, "This policy has more than one version. Delete the versions that are not the default one first.")
		}
		return execute(tx, []any{r.id}, "DELETE FROM policy_version WHERE policy = $1", "DELETE FROM tag WHERE owner = $1",
			"DELETE FROM policy_use WHERE policy = $1 AND account = (SELECT account FROM entity WHERE id = $1)", "DELETE FROM entity WHERE id = $1")
	})
}
