package directory

import (
	"context"
	"database/sql"
	"errors"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/policy"
)

// inlineSizes are how many characters all inline policies of one owner may have together,
// white space not counted.
var inlineSizes = map[OwnerKind]int64{UserOwner: policy.MaxUser, GroupOwner: policy.MaxGroup, RoleOwner: policy.MaxRole}

// PutInline gives a user, group or role a policy of its own, instead of the one it had
// under the name; LimitExceeded if all of them together are too long.
func (d *Directory) PutInline(ctx context.Context, account kvs.AccountID, o Owner, name, text string) error {
	if err := naming.CheckInlineName(name); err != nil {
		return err
	}
	size, most := int64(policy.Size([]byte(text))), inlineSizes[o.Kind]
	if size <= most { // else it is refused below, whatever it says
		if _, err := parse(policy.Identity, text); err != nil {
			return err
		}
	}
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, r row) error {
		others, err := count(tx, "SELECT COALESCE(SUM(size), 0) FROM inline_policy WHERE owner = $1 AND name <> $2", o.ID, name)
		if err == nil && others+size > most {
			err = kvs.Errorf(kvs.LimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", most, o.Kind, r.Name.Name)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO inline_policy (owner, name, text, size) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner, name) DO UPDATE SET text = excluded.text, size = excluded.size`, o.ID, name, text, size)
		return err
	})
}

const (
	inlineText = "SELECT text FROM inline_policy WHERE owner = $1 AND name = $2"
	inlineList = "SELECT name FROM inline_policy WHERE owner = $1 AND name > $2 ORDER BY name LIMIT $3"
)

// GetInline returns the text of an inline policy.
func (d *Directory) GetInline(ctx context.Context, account kvs.AccountID, o Owner, name string) (text string, err error) {
	q := d.read(ctx)
	if _, err := owned(q, account, o); err != nil {
		return "", err
	}
	err = q.QueryRow(inlineText, o.ID, name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		err = unknownInline(o.Kind, name)
	}
	return text, err
}

func unknownInline(kind OwnerKind, name string) error {
	return kvs.Errorf(kvs.NotFound, "The %s policy with name %s cannot be found.", kind, name)
}

// ListInline lists up to limit names of inline policies, behind the one that an earlier
// page gave as next.
func (d *Directory) ListInline(ctx context.Context, account kvs.AccountID, o Owner, after string, limit int) (names []string, next string, err error) {
	q := d.read(ctx)
	if _, err := owned(q, account, o); err != nil {
		return nil, "", err
	}
	names, err = texts(q, inlineList, o.ID, after, limit+1)
	if err == nil && len(names) > limit {
		names = names[:limit]
		next = names[limit-1]
	}
	return names, next, err
}

// DeleteInline removes an inline policy.
func (d *Directory) DeleteInline(ctx context.Context, account kvs.AccountID, o Owner, name string) error {
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, _ row) error {
		r, err := tx.Exec("DELETE FROM inline_policy WHERE owner = $1 AND name = $2", o.ID, name)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return unknownInline(o.Kind, name)
	})
}
