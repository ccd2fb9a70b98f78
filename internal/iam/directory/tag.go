package directory

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/iam/naming"
	"github.com/millrace/millrace/internal/kvs"
)

// Tag is a key and a value that an entity carries. Keys of one entity differ without case.
type Tag struct{ Key, Value string }

// maxTags is how many tags an entity may have.
const maxTags = 50

// Tag gives a user, role or managed policy tags, instead of those it had under the keys;
// LimitExceeded if it had more than 50 then.
func (d *Directory) Tag(ctx context.Context, account kvs.AccountID, o Owner, tags []Tag) error {
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, _ row) error { return putTags(tx, o, tags) })
}

func putTags(tx *sql.Tx, o Owner, tags []Tag) error {
	if len(tags) == 0 {
		return nil
	}
	if o.Kind == GroupOwner {
		return kvs.Errorf(kvs.InvalidArgument, "Groups have no tags.")
	}
	seen := map[string]bool{}
	for _, t := range tags {
		if err := naming.CheckTag(t.Key, t.Value); err != nil {
			return err
		}
		folded := naming.Fold(t.Key)
		if seen[folded] {
			return kvs.Errorf(kvs.InvalidArgument, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[folded] = true
		_, err := tx.Exec(`INSERT INTO tag (owner, folded, key, value) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner, folded) DO UPDATE SET key = excluded.key, value = excluded.value`, o.ID, folded, t.Key, t.Value)
		if err != nil {
			return err
		}
	}
	n, err := count(tx, "SELECT COUNT(*) FROM tag WHERE owner = $1", o.ID)
	if err == nil && n > maxTags {
		err = kvs.Errorf(kvs.LimitExceeded, "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	return err
}

// Untag takes tags away; keys that are not there do not matter.
func (d *Directory) Untag(ctx context.Context, account kvs.AccountID, o Owner, keys []string) error {
	return d.changeOwned(ctx, account, o, func(tx *sql.Tx, _ row) error {
		for _, k := range keys {
			if err := naming.CheckTagKey(k); err != nil {
				return err
			}
			if _, err := tx.Exec("DELETE FROM tag WHERE owner = $1 AND folded = $2", o.ID, naming.Fold(k)); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	tagList = "SELECT key, value FROM tag WHERE owner = $1 ORDER BY folded"
	tagPage = "SELECT key, value FROM tag WHERE owner = $1 AND folded > $2 ORDER BY folded LIMIT $3"
)

func scanTag(scan func(...any) error) (t Tag, err error) { return t, scan(&t.Key, &t.Value) }

// allTags reads the tags of an entity, at most 50.
func allTags(q reader, id string) ([]Tag, error) { return collect(q, scanTag, tagList, id) }

// Tags lists up to limit tags of an entity, behind the one whose key an earlier page gave
// as next.
func (d *Directory) Tags(ctx context.Context, account kvs.AccountID, o Owner, after string, limit int) (tags []Tag, next string, err error) {
	q := d.read(ctx)
	if _, err := owned(q, account, o); err != nil {
		return nil, "", err
	}
	tags, err = collect(q, scanTag, tagPage, o.ID, naming.Fold(after), limit+1)
	if err == nil && len(tags) > limit {
		tags = tags[:limit]
		next = tags[limit-1].Key
	}
	return tags, next, err
}
