package directory

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"strings"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// Trust policies are stored with the unique ids of users and roles for their ARNs, so
// that one made anew under the name is not trusted, and shown with ARNs again.

// parseTrust compiles a trust policy that somebody writes.
func parseTrust(text string) (*policy.Document, error) {
	if policy.Size([]byte(text)) > policy.MaxTrust {
		return nil, kvs.Errorf(kvs.LimitExceeded, "Cannot exceed quota for ACLSizePerRole: %d", policy.MaxTrust)
	}
	return parse(policy.Trust, text)
}

// parse compiles a policy; MalformedPolicy with line and column if it is none.
func parse(kind policy.Kind, text string) (*policy.Document, error) {
	doc, err := policy.Parse(kind, []byte(text))
	if err != nil {
		return nil, kvs.Errorf(kvs.MalformedPolicy, "%s", err)
	}
	return doc, nil
}

// exchange returns the text of a trust policy with each principal that other knows under
// another name replaced by it.
func exchange(doc *policy.Document, other func(principal string) (string, error)) (string, error) {
	names := map[string]string{}
	for _, principal := range doc.Named() {
		name, err := other(principal)
		if err != nil {
			return "", err
		}
		names[principal] = name
	}
	renamed, err := doc.Rename(func(principal string) (string, bool) {
		name, known := names[principal]
		return name, known
	})
	if err != nil {
		return "", err
	}
	return renamed.Text(), nil
}

const (
	idOfName = "SELECT id FROM entity WHERE account = $1 AND kind = $2 AND folded = $3 AND name = $4 AND path = $5"
	sameID   = "SELECT id FROM entity WHERE id = $1"
	nameOfID = "SELECT account, kind, path, name FROM entity WHERE id = $1"
)

// trustByID puts unique ids into a trust policy for the ARNs of users and roles, who must be
// there. Accounts and sessions stay as they are written.
func trustByID(q reader, doc *policy.Document) (string, error) {
	return exchange(doc, func(principal string) (id string, err error) {
		n, isARN := naming.ParseARN(principal)
		_, isID := naming.KindOf(principal)
		switch {
		case isARN:
			err = q.QueryRow(idOfName, string(n.Account), string(n.Kind), naming.Fold(n.Name), n.Name, n.Path).Scan(&id)
		case isID:
			err = q.QueryRow(sameID, principal).Scan(&id)
		case strings.Contains(principal, ":iam::") && !strings.HasSuffix(principal, ":root"):
			err = sql.ErrNoRows // a name that nobody can have
		default:
			return principal, nil
		}
		if errors.Is(err, sql.ErrNoRows) {
			err = kvs.Errorf(kvs.MalformedPolicy, "Invalid principal in policy: \"AWS\":%q", principal)
		}
		return id, err
	})
}

// trustByName puts ARNs into a stored trust policy for the unique ids of who is still there.
func (d *Directory) trustByName(q reader, stored string) (string, error) {
	doc, err := d.memory.compile(textKey(policy.Trust, stored), policy.Trust, stored)
	if err != nil {
		return "", err
	}
	return exchange(doc, func(principal string) (string, error) {
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
