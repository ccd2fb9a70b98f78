package catalog

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
)

// ListQuery says which page of an account's streams is wanted.
type ListQuery struct {
	Prefix string // names that begin so; "" = all
	Token  string // of the page before; "" = the first page
	Max    int    // streams per page, at least 1
}

// List returns a page of streams in the byte order of their names, and the token of the
// next page, "" at the end. Streams created or deleted between two pages are seen or
// not, but never shift the others. A token that was given for another account, region
// or prefix, or never, is an InvalidArgument.
func (c *Catalog) List(ctx context.Context, account kvs.AccountID, q ListQuery) (streams []kvs.Stream, next string, err error) {
	if q.Max < 1 {
		return nil, "", kvs.Errorf(kvs.InvalidArgument, "MaxResults is %d; it must be at least 1.", q.Max)
	}
	list := []string{"streams", string(account), c.region, q.Prefix}
	var after string
	if q.Token != "" {
		position, err := c.tokens.open(q.Token, list...)
		if err != nil {
			return nil, "", err
		}
		after = string(position)
	}
	streams, err = c.page(ctx, account, q.Prefix, after, q.Max+1) // one more tells whether this is the end
	if err != nil || len(streams) <= q.Max {
		return streams, "", err
	}
	streams = streams[:q.Max]
	return streams, c.tokens.seal([]byte(streams[q.Max-1].Name), list...), nil
}

// The queries of a page: from $3 on, or behind it, and below $4. Each is one range of the
// index. LIKE would read every name, and so would two lower bounds: SQLite takes the
// first and filters by the second.
const (
	firstPage = "SELECT " + columns + ` FROM stream
		WHERE account = $1 AND region = $2 AND name >= $3 AND name < $4 ORDER BY name LIMIT $5`
	laterPage = "SELECT " + columns + ` FROM stream
		WHERE account = $1 AND region = $2 AND name > $3 AND name < $4 ORDER BY name LIMIT $5`
)

// page reads up to limit streams with the prefix; after, if there is one, is the name of
// such a stream, and those behind it are read. No byte of a name is as large as 0x7f
// (see namePattern).
func (c *Catalog) page(ctx context.Context, account kvs.AccountID, prefix, after string, limit int) ([]kvs.Stream, error) {
	query, from := firstPage, prefix
	if after != "" {
		query, from = laterPage, after
	}
	rows, err := c.db.Read().QueryContext(ctx, query, account, c.region, from, prefix+"\x7f", limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var streams []kvs.Stream
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		streams = append(streams, r.Stream)
	}
	return streams, rows.Err()
}

const anyOne = `SELECT COUNT(*) FROM (SELECT 1 FROM stream WHERE account = $1 UNION ALL
	SELECT 1 FROM channel WHERE account = $1 LIMIT 1) AS one`

// Any reports whether an account has a stream or a channel, in whatever region.
func (c *Catalog) Any(ctx context.Context, account kvs.AccountID) (bool, error) {
	var n int
	err := c.db.Read().QueryRowContext(ctx, anyOne, string(account)).Scan(&n)
	return n > 0, err
}
