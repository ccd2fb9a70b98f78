package directory

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/iam/trust"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// Trust policies are stored with the unique ids of users and roles for their ARNs, so
// that one made anew under the name is not trusted, and shown with ARNs again.

func checkTrust(text string) error {
	if policy.Size([]byte(text)) > policy.MaxTrust {
		return kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for ACLSizePerRole: %d", policy.MaxTrust)
	}
	_, err := parse(policy.Trust, text)
	return err
}

// parse compiles a policy; MalformedPolicy with line and column if it is none.
func parse(kind policy.Kind, text string) (*policy.Document, error) {
	doc, err := policy.Parse(kind, []byte(text))
	if err != nil {
		return nil, kvs.Errorf(kvs.MalformedPolicy, "%s", err)
	}
	return doc, nil
}

const (
	idOfName = "SELECT id FROM entity WHERE account = $1 AND kind = $2 AND folded = $3 AND name = $4 AND path = $5"
	nameOfID = "SELECT account, kind, path, name FROM entity WHERE id = $1"
)

// trustByID puts unique ids into a trust policy for the ARNs of users and roles.
func trustByID(q reader, text string) (string, error) {
	stored, err := trust.Rewrite(text, func(principal string) (string, error) {
		n, ok := naming.ParseARN(principal)
		kind, isID := naming.KindOf(principal)
		var id string
		err := error(sql.ErrNoRows)
		switch {
		case ok && (n.Kind == naming.User || n.Kind == naming.Role):
			err = q.QueryRow(idOfName, string(n.Account), string(n.Kind), naming.Fold(n.Name), n.Name, n.Path).Scan(&id)
		case isID && (kind == naming.User || kind == naming.Role):
			err = q.QueryRow("SELECT id FROM entity WHERE id = $1", principal).Scan(&id)
		case !ok && !isID && !foreign(principal):
			return principal, nil
		}
		if errors.Is(err, sql.ErrNoRows) {
			return "", kvs.Errorf(kvs.MalformedPolicy, "Invalid principal in policy: \"AWS\":%q", principal)
		}
		return id, err
	})
	return stored, err
}

// foreign reports whether a principal has the form of an ARN of IAM that names neither an
// account's root, a user nor a role: such a thing makes no calls.
func foreign(principal string) bool {
	return strings.HasPrefix(principal, "arn:aws:iam::") && !strings.HasSuffix(principal, ":root")
}

// trustByName puts ARNs into a stored trust policy for the unique ids of who is still there.
func trustByName(q reader, stored string) (string, error) {
	return trust.Rewrite(stored, func(principal string) (string, error) {
		if _, isID := naming.KindOf(principal); !isID {
			return principal, nil
		}
		var n naming.Name
		err := q.QueryRow(nameOfID, principal).Scan(&n.Account, &n.Kind, &n.Path, &n.Name)
		if errors.Is(err, sql.ErrNoRows) {
			return principal, nil
		}
		return n.ARN(), err
	})
}

// Trust returns the trust policy of a role, compiled, as it decides: with unique ids.
// NotFound when the role is gone.
func (d *Directory) Trust(ctx context.Context, roleID string) (*policy.Source, error) {
	r, err := byKind(d.read(ctx), naming.Role, roleID)
	if err != nil {
		return nil, err
	}
	doc, err := d.memory.compile(textKey(policy.Trust, r.trust), policy.Trust, r.trust)
	if err != nil {
		return nil, err
	}
	return &policy.Source{Name: "trust policy of " + r.ARN(), Document: doc}, nil
}

// textKey is the key of a compiled policy that has no version.
func textKey(kind policy.Kind, text string) documentKey {
	sum := sha256.Sum256([]byte(text))
	return documentKey{id: string(sum[:]), version: -1 - int64(kind)}
}
