package catalog

import (
	"context"
	"database/sql"
	"unicode/utf8"

	"github.com/millrace/millrace/internal/kvs"
)

// The limits of holds: those of a stream are looked through for each fragment that may
// go.
const (
	maxHolds = 1000
	maxNote  = 1000 // characters
)

// Hold keeps the fragments of a stream that lie in a range of time, or partly, until it
// is removed: whatever the retention, and whoever asks for their erasure. A stream with
// a hold cannot be deleted.
type Hold struct {
	ID     int64 // given by [Catalog.AddHold], never used again
	Stream kvs.StreamID
	Clock  kvs.Clock
	Range  kvs.TimeRange // both ends inclusive
	Note   string        // why
	Who    string        // access key that set it
	When   kvs.Millis    // given by [Catalog.AddHold]
}

// StreamHold is a hold with what its stream is.
type StreamHold struct {
	Hold
	Name      string
	Retention int // hours
}

// Kept says what a stream keeps.
type Kept struct {
	Account   kvs.AccountID
	Retention int // hours
	Tier      kvs.StorageTier
	Holds     []Hold
}

// AddHold sets a hold. It is durable when the method returns. InvalidArgument for a range
// that is none, a note of more than 1,000 characters, and beyond 1,000 holds of a stream.
func (c *Catalog) AddHold(ctx context.Context, h Hold) (Hold, error) {
	if err := checkRange(h.Range); err != nil {
		return h, err
	}
	if n := utf8.RuneCountInString(h.Note); n > maxNote {
		return h, kvs.Errorf(kvs.InvalidArgument, "The note has %d characters; it may have at most %d.", n, maxNote)
	}
	h.When = kvs.MillisOf(c.now())
	err := c.changeHolds(ctx, h.Stream, func(tx *sql.Tx, n int64) (err error) {
		if n >= maxHolds {
			return kvs.Errorf(kvs.InvalidArgument, "The stream has %d holds, the most it may have. Remove one that is not needed.", n)
		}
		if h.ID, err = NextID(tx, "hold"); err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO hold (id, stream, clock, since, until, note, who, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			h.ID, h.Stream, h.Clock.String(), h.Range.Start, h.Range.End, h.Note, h.Who, h.When)
		return err
	})
	return h, err
}

func checkRange(r kvs.TimeRange) error {
	if r.Start < 0 || r.End > kvs.MaxMillis || r.Start > r.End {
		return kvs.Errorf(kvs.InvalidArgument, "The range must begin in 1970 or later, end by the year 9999, and not end before it begins.")
	}
	return nil
}

// RemoveHold removes a hold of the stream, NotFound if it has none of that id. What only
// it kept goes with the next expiry pass.
func (c *Catalog) RemoveHold(ctx context.Context, id kvs.StreamID, hold int64) error {
	return c.changeHolds(ctx, id, func(tx *sql.Tx, _ int64) error {
		r, err := tx.Exec("DELETE FROM hold WHERE stream = $1 AND id = $2", id, hold)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return kvs.Errorf(kvs.NotFound, "The stream has no hold %d.", hold)
	})
}

// changeHolds lets f, which is told how many there are, change the holds of a stream,
// and tells the sessions.
func (c *Catalog) changeHolds(ctx context.Context, id kvs.StreamID, f func(tx *sql.Tx, n int64) error) error {
	return c.changeRow(ctx, id, func(tx *sql.Tx, r *row) error {
		if err := f(tx, r.holds); err != nil {
			return err
		}
		err := tx.QueryRow("SELECT COUNT(*) FROM hold WHERE stream = $1", id).Scan(&r.holds)
		r.Held = r.holds > 0
		return err
	})
}

// Holds returns the holds of a stream in the order in which they were set.
func (c *Catalog) Holds(ctx context.Context, id kvs.StreamID) ([]Hold, error) {
	return c.selectHolds(ctx, holdColumns+" FROM hold WHERE stream = $1 ORDER BY id", id)
}

const holdColumns = "SELECT id, stream, clock, since, until, note, who, created"

func (c *Catalog) selectHolds(ctx context.Context, query string, args ...any) ([]Hold, error) {
	rows, err := c.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Hold
	for rows.Next() {
		var h Hold
		var clock string
		if err := rows.Scan(&h.ID, &h.Stream, &clock, &h.Range.Start, &h.Range.End, &h.Note, &h.Who, &h.When); err != nil {
			return nil, err
		}
		h.Clock = clockNamed(clock)
		all = append(all, h)
	}
	return all, rows.Err()
}

// AccountHolds returns up to limit holds of an account in this region, from the one behind
// after on, in the order in which they were set.
func (c *Catalog) AccountHolds(ctx context.Context, a kvs.AccountID, after int64, limit int) ([]StreamHold, error) {
	rows, err := c.db.Read().QueryContext(ctx, `SELECT h.id, h.stream, h.clock, h.since, h.until, h.note, h.who, h.created, s.name, s.retention
		FROM hold h JOIN stream s ON s.id = h.stream WHERE h.id > $1 AND s.account = $3 AND s.region = $4 ORDER BY h.id LIMIT $2`, after, limit, a, c.region)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []StreamHold
	for rows.Next() {
		var h StreamHold
		var clock string
		if err := rows.Scan(&h.ID, &h.Stream, &clock, &h.Range.Start, &h.Range.End, &h.Note, &h.Who, &h.When, &h.Name, &h.Retention); err != nil {
			return nil, err
		}
		h.Clock = clockNamed(clock)
		all = append(all, h)
	}
	return all, rows.Err()
}

// CountHolds returns how many holds there are, of all accounts and regions.
func (c *Catalog) CountHolds(ctx context.Context) (n int64, err error) {
	err = c.db.Read().QueryRowContext(ctx, "SELECT COUNT(*) FROM hold").Scan(&n)
	return n, err
}

func clockNamed(name string) kvs.Clock {
	if name == kvs.ProducerClock.String() {
		return kvs.ProducerClock
	}
	return kvs.ServerClock
}

// Kept returns what every stream of every account and region keeps, for the archive.
func (c *Catalog) Kept(ctx context.Context) (map[kvs.StreamID]Kept, error) {
	// Holds are read last: a stream that is new among them is not in the answer at all.
	all, err := c.keptStreams(ctx)
	if err != nil {
		return nil, err
	}
	holds, err := c.selectHolds(ctx, holdColumns+" FROM hold ORDER BY id")
	for _, h := range holds {
		if k, ok := all[h.Stream]; ok {
			k.Holds = append(k.Holds, h)
			all[h.Stream] = k
		}
	}
	return all, err
}

func (c *Catalog) keptStreams(ctx context.Context) (map[kvs.StreamID]Kept, error) {
	rows, err := c.db.Read().QueryContext(ctx, "SELECT id, account, retention, tier FROM stream")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[kvs.StreamID]Kept{}
	for rows.Next() {
		var id kvs.StreamID
		var k Kept
		if err := rows.Scan(&id, &k.Account, &k.Retention, &k.Tier); err != nil {
			return nil, err
		}
		all[id] = k
	}
	return all, rows.Err()
}

// NextID gives an id of a kind, of streams and channels "stream", never the same twice.
func NextID(tx *sql.Tx, kind string) (id int64, err error) {
	err = tx.QueryRow("UPDATE last_id SET value = value + 1 WHERE kind = $1 RETURNING value", kind).Scan(&id)
	return id, err
}
