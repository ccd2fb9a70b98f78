package channels

import (
	"context"

	"github.com/millrace/millrace/internal/kvs"
)

// Query says which page of an account's channels is wanted.
type Query struct {
	Prefix string // names that begin so; "" = all
	Token  string // of the page before; "" = the first page
	Max    int    // channels per page, at least 1
}

// List returns a page of channels in the byte order of their names, and the token of the
// next page, "" at the end. Channels created or deleted between two pages are seen or not,
// but never shift the others. A token that was given for another account, region or prefix,
// or never, is an InvalidArgument.
func (c *Channels) List(ctx context.Context, account kvs.AccountID, q Query) (all []kvs.Channel, next string, err error) {
	if q.Max < 1 {
		return nil, "", kvs.Errorf(kvs.InvalidArgument, "MaxResults is %d; it must be at least 1.", q.Max)
	}
	list := []string{"channels", string(account), c.catalog.Region(), q.Prefix}
	var after string
	if q.Token != "" {
		position, err := c.catalog.OpenToken(q.Token, list...)
		if err != nil {
			return nil, "", err
		}
		after = string(position)
	}
	all, err = c.page(ctx, account, q.Prefix, after, q.Max+1) // one more tells whether this is the end
	if err != nil || len(all) <= q.Max {
		return all, "", err
	}
	all = all[:q.Max]
	return all, c.catalog.SealToken([]byte(all[q.Max-1].Name), list...), nil
}

// The queries of a page: each is one range of the index (compare those of streams).
const (
	firstPage = "SELECT " + columns + ` FROM channel
		WHERE account = $1 AND region = $2 AND name >= $3 AND name < $4 ORDER BY name LIMIT $5`
	laterPage = "SELECT " + columns + ` FROM channel
		WHERE account = $1 AND region = $2 AND name > $3 AND name < $4 ORDER BY name LIMIT $5`
)

// page reads up to limit channels with the prefix; after, if there is one, is the name of
// such a channel, and those behind it are read. No byte of a name is as large as 0x7f (see
// namePattern).
func (c *Channels) page(ctx context.Context, account kvs.AccountID, prefix, after string, limit int) (all []kvs.Channel, err error) {
	query, from := firstPage, prefix
	if after != "" {
		query, from = laterPage, after
	}
	rows, err := c.catalog.DB().Read().QueryContext(ctx, query, account, c.catalog.Region(), from, prefix+"\x7f", limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		ch, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, ch)
	}
	return all, rows.Err()
}
