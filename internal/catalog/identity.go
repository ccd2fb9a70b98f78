package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"

	"github.com/millrace/millrace/internal/kvs"
)

// Identity is [Identity] of this catalog.
func (c *Catalog) Identity(ctx context.Context) (string, error) {
	id, _, err := Identity(ctx, c.db.Read())
	return id, err
}

// Identity tells installations apart: it is made with a catalog and stays with its
// copies. pool may be a copy of a catalog's database, or the one that another process is
// using. The number of streams comes along.
func Identity(ctx context.Context, pool *sql.DB) (id string, streams int64, err error) {
	var key []byte
	err = pool.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'token key'").Scan(&key)
	if err != nil {
		return "", 0, err
	}
	err = pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM stream").Scan(&streams)
	sum := sha256.Sum256(append([]byte("millrace installation\n"), key...)) // the key itself is a secret
	return hex.EncodeToString(sum[:8]), streams, err
}

// Owner is whose stream it is, and which wrapping key it was created with.
type Owner struct {
	Account kvs.AccountID
	KeyID   string // KmsKeyId
	Name    string
}

// Owners returns the streams that exist. pool is as for [Identity].
func Owners(ctx context.Context, pool *sql.DB) (map[kvs.StreamID]Owner, error) {
	rows, err := pool.QueryContext(ctx, "SELECT id, account, kms_key, name FROM stream")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[kvs.StreamID]Owner{}
	for rows.Next() {
		var id kvs.StreamID
		var o Owner
		if err := rows.Scan(&id, &o.Account, &o.KeyID, &o.Name); err != nil {
			return nil, err
		}
		all[id] = o
	}
	return all, rows.Err()
}
