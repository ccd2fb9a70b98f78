package catalog

import (
	"context"
	"database/sql"

	"github.com/millrace/millrace/internal/kvs"
)

// Erasure is the record of a deletion by request: of the fragments of a stream that lie
// in a range of time, or partly. It stays when the stream is deleted.
type Erasure struct {
	ID        int64 // given by [Catalog.BeginErasure], never used again
	Stream    kvs.StreamID
	Name      string // of the stream
	Clock     kvs.Clock
	Range     kvs.TimeRange // both ends inclusive
	Who       string        // access key that asked for it
	When      kvs.Millis    // given by [Catalog.BeginErasure]
	Through   int64         // counter of the last fragment that there was: later ones are not meant
	Fragments int64         // how many were removed
	Bytes     int64         // of their records
	Done      bool          // false: it is not whole yet, and goes on by itself
}

// BeginErasure notes durably that fragments of a stream are going to be removed, before
// the first is. ID, Name and When are filled in. InvalidArgument for a range that is none.
func (c *Catalog) BeginErasure(ctx context.Context, e Erasure) (Erasure, error) {
	if err := checkRange(e.Range); err != nil {
		return e, err
	}
	e.When = kvs.MillisOf(c.now())
	err := c.db.Write(ctx, func(tx *sql.Tx) error {
		r, err := byID(context.Background(), tx, e.Stream)
		if err != nil {
			return err
		}
		if e.ID, err = NextID(tx, "erasure"); err != nil {
			return err
		}
		e.Name = r.Name
		_, err = tx.Exec(`INSERT INTO erasure (id, stream, account, region, name, clock, since, until, who, created, through, fragments, bytes, done)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0)`, e.ID, e.Stream, r.Account, r.Region, r.Name,
			e.Clock.String(), e.Range.Start, e.Range.End, e.Who, e.When, e.Through, e.Fragments, e.Bytes)
		return err
	})
	return e, err
}

// FinishErasure notes that all is removed, and how much it was.
func (c *Catalog) FinishErasure(ctx context.Context, id, fragments, bytes int64) error {
	return c.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("UPDATE erasure SET fragments = $2, bytes = $3, done = 1 WHERE id = $1", id, fragments, bytes)
		return err
	})
}

// Erasures returns up to limit records of an account in this region, from the one behind
// after on, in the order in which they were made; of one stream when id is not 0.
func (c *Catalog) Erasures(ctx context.Context, a kvs.AccountID, id kvs.StreamID, after int64, limit int) ([]Erasure, error) {
	if id != 0 {
		return c.selectErasures(ctx, "account = $3 AND region = $4 AND stream = $5", after, limit, a, c.region, id)
	}
	return c.selectErasures(ctx, "account = $3 AND region = $4", after, limit, a, c.region)
}

// ErasuresDue returns the records of every stream that there is, of all accounts and
// regions, that are not done or greater than settled, from the one behind after on: what an
// archive that knows the erasures up to settled must not show.
func (c *Catalog) ErasuresDue(ctx context.Context, settled, after int64, limit int) ([]Erasure, error) {
	return c.selectErasures(ctx, "(done = 0 OR id > $3) AND EXISTS (SELECT 1 FROM stream WHERE stream.id = erasure.stream)", after, limit, settled)
}

// LastErasure returns the greatest id of an erasure so far.
func (c *Catalog) LastErasure(ctx context.Context) (id int64, err error) {
	err = c.db.Read().QueryRowContext(ctx, "SELECT value FROM last_id WHERE kind = 'erasure'").Scan(&id)
	return id, err
}

func (c *Catalog) selectErasures(ctx context.Context, which string, args ...any) ([]Erasure, error) {
	rows, err := c.db.Read().QueryContext(ctx, `SELECT id, stream, name, clock, since, until, who, created, through, fragments, bytes, done
		FROM erasure WHERE id > $1 AND `+which+` ORDER BY id LIMIT $2`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Erasure
	for rows.Next() {
		var e Erasure
		var clock string
		if err := rows.Scan(&e.ID, &e.Stream, &e.Name, &clock, &e.Range.Start, &e.Range.End, &e.Who, &e.When, &e.Through, &e.Fragments, &e.Bytes, &e.Done); err != nil {
			return nil, err
		}
		e.Clock = clockNamed(clock)
		all = append(all, e)
	}
	return all, rows.Err()
}
