package directory

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// PolicyVersion is one text of a managed policy. It never changes.
type PolicyVersion struct {
	ID      string // "v1" and so on; numbers are not used again
	Text    string // not in lists
	Created kvs.Millis
	Default bool // it is the one that decides
}

// maxVersions is how many versions a policy may have (IAM: VersionsPerPolicy).
const maxVersions = 5

func versionName(n int64) string { return "v" + strconv.FormatInt(n, 10) }

// versionNumber reads "v1"; 0 for what is no version.
func versionNumber(id string) int64 {
	digits, ok := strings.CutPrefix(id, "v")
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 1 || versionName(n) != id {
		return 0
	}
	return n
}

func putVersion(tx *sql.Tx, policy string, version int64, at kvs.Millis, text string) error {
	_, err := tx.Exec("INSERT INTO policy_version (policy, version, created, text) VALUES ($1, $2, $3, $4)", policy, version, int64(at), text)
	return err
}

// CreateVersion adds a version to a managed policy and, if asked to, makes it the default
// one; LimitExceeded if there are five.
func (d *Directory) CreateVersion(ctx context.Context, account kvs.AccountID, arn, text string, asDefault bool) (v PolicyVersion, err error) {
	if err := checkManaged(text); err != nil {
		return v, err
	}
	err = d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := resolveOwn(tx, account, arn)
		if err != nil {
			return err
		}
		n, err := count(tx, "SELECT COUNT(*) FROM policy_version WHERE policy = $1", r.id)
		if err == nil && n >= maxVersions {
			err = kvs.Errorf(kvs.LimitExceeded, "A managed policy can have up to %d versions. Delete one before you create a new one.", maxVersions)
		}
		if err != nil {
			return err
		}
		next := r.lastVersion + 1
		v = PolicyVersion{ID: versionName(next), Text: text, Created: d.millis(), Default: asDefault}
		if err := putVersion(tx, r.id, next, v.Created, text); err != nil {
			return err
		}
		if asDefault {
			r.version = next
		}
		_, err = tx.Exec("UPDATE entity SET version = $2, versions = $3, updated = $4 WHERE id = $1", r.id, r.version, next, int64(v.Created))
		return err
	})
	d.memory.forgetAll()
	return v, err
}

const (
	versionText = "SELECT text, created FROM policy_version WHERE policy = $1 AND version = $2"
	versionList = "SELECT version, created FROM policy_version WHERE policy = $1 ORDER BY version DESC"
)

// Version returns one version of a managed policy of an account, or of a built-in one;
// "" is the default one.
func (d *Directory) Version(ctx context.Context, account kvs.AccountID, arn, id string) (PolicyVersion, error) {
	q := d.read(ctx)
	r, err := resolve(q, account, arn)
	if err != nil {
		return PolicyVersion{}, err
	}
	if id == "" {
		id = versionName(r.version)
	}
	v := PolicyVersion{ID: id, Default: id == versionName(r.version)}
	if b := builtInByID(r.id); b != nil {
		if !v.Default {
			return PolicyVersion{}, unknownVersion(arn, id)
		}
		v.Text, v.Created = b.text(), builtInSince
		return v, nil
	}
	err = q.QueryRow(versionText, r.id, versionNumber(id)).Scan(&v.Text, &v.Created)
	if errors.Is(err, sql.ErrNoRows) {
		return PolicyVersion{}, unknownVersion(arn, id)
	}
	return v, err
}

func unknownVersion(arn, id string) error {
	return kvs.Errorf(kvs.NotFound, "Policy %s version %s does not exist or is not attachable.", arn, id)
}

// Versions lists the versions of a managed policy, the newest first; there are at most five.
func (d *Directory) Versions(ctx context.Context, account kvs.AccountID, arn string) ([]PolicyVersion, error) {
	q := d.read(ctx)
	r, err := resolve(q, account, arn)
	if err != nil {
		return nil, err
	}
	if builtInByID(r.id) != nil {
		return []PolicyVersion{{ID: versionName(1), Created: builtInSince, Default: true}}, nil
	}
	return collect(q, func(scan func(...any) error) (PolicyVersion, error) {
		var n int64
		var v PolicyVersion
		err := scan(&n, &v.Created)
		v.ID, v.Default = versionName(n), n == r.version
		return v, err
	}, versionList, r.id)
}

// SetDefault makes another version of a managed policy the one that decides.
func (d *Directory) SetDefault(ctx context.Context, account kvs.AccountID, arn, id string) error {
	err := d.changeVersion(ctx, account, arn, id, func(tx *sql.Tx, r row, n int64) error {
		_, err := tx.Exec("UPDATE entity SET version = $2, updated = $3 WHERE id = $1", r.id, n, int64(d.millis()))
		return err
	})
	d.memory.forgetAll()
	return err
}

// DeleteVersion removes a version of a managed policy; Conflict if it is the default one.
func (d *Directory) DeleteVersion(ctx context.Context, account kvs.AccountID, arn, id string) error {
	return d.changeVersion(ctx, account, arn, id, func(tx *sql.Tx, r row, n int64) error {
		if n == r.version {
			return kvs.Errorf(kvs.Conflict, "Cannot delete the default version of a policy.")
		}
		_, err := tx.Exec("DELETE FROM policy_version WHERE policy = $1 AND version = $2", r.id, n)
		return err
	})
}

// changeVersion does something with a version that is there.
func (d *Directory) changeVersion(ctx context.Context, account kvs.AccountID, arn, id string, change func(tx *sql.Tx, r row, n int64) error) error {
	return d.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := resolveOwn(tx, account, arn)
		if err != nil {
			return err
		}
		n := versionNumber(id)
		found, err := count(tx, "SELECT COUNT(*) FROM policy_version WHERE policy = $1 AND version = $2", r.id, n)
		if err == nil && found == 0 {
			err = unknownVersion(arn, id)
		}
		if err != nil {
			return err
		}
		return change(tx, r, n)
	})
}
