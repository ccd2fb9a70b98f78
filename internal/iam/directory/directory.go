// Package directory keeps users, groups, roles and policies, and knows the rights of whoever makes a call.
//
// Its tables stand in the database of [iam.Store], see migration 00003 there. Every
// statement names the account it is about: what belongs to another account is not there.
// Errors have the words of IAM, because callers of its API see them; their kinds are
// NotFound (NoSuchEntity), InUse (EntityAlreadyExists), Conflict (DeleteConflict),
// LimitExceeded, MalformedPolicy, Unmodifiable, Validation and InvalidArgument
// (InvalidInput).
//
// [Directory.Rights] and [Directory.Valid] answer from memory for at most ten seconds;
// changes made through the same directory or its store show at once. Memory is bounded,
// and who is not there is never in it. All methods may be called from any number of
// goroutines; the package starts none (see [Directory.Run]).
package directory

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
)

// Options say what a directory stands on. DB and Keys are needed.
type Options struct {
	DB     *db.DB           // that of Keys
	Keys   *iam.Store       // accounts and access keys
	Now    func() time.Time // of entities and credentials; nil = time.Now
	Real   func() time.Time // of what is remembered, where Now can be moved; nil = Now
	Logger *slog.Logger     // nil = silent
}

// Directory is the list of users, groups, roles and policies of all accounts. Make it
// with [Open].
type Directory struct {
	db     *db.DB
	keys   *iam.Store
	now    func() time.Time
	log    *slog.Logger
	memory memory
}

// Open returns the directory kept in the database. Call it before the store is in use.
func Open(o Options) *Directory {
	d := &Directory{db: o.DB, keys: o.Keys, now: o.Now, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler))}
	if d.now == nil {
		d.now = time.Now
	}
	if d.memory.now = o.Real; o.Real == nil {
		d.memory.now = d.now
	}
	d.keys.Watch(d.memory.forgetAccount)
	return d
}

func (d *Directory) millis() kvs.Millis { return kvs.MillisOf(d.now()) }

// reader is a transaction, or the read pool with a context.
type reader interface {
	Query(query string, args ...any) (*sql.Rows, error)
	QueryRow(query string, args ...any) *sql.Row
}

// pool reads outside a transaction.
type pool struct {
	ctx context.Context
	db  *sql.DB
}

// Query asks the read pool.
func (p pool) Query(query string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(p.ctx, query, args...)
}

// QueryRow asks the read pool for one row.
func (p pool) QueryRow(query string, args ...any) *sql.Row {
	return p.db.QueryRowContext(p.ctx, query, args...)
}

func (d *Directory) read(ctx context.Context) pool { return pool{ctx, d.db.Read()} }

// count reads a number.
func count(q reader, query string, args ...any) (n int64, err error) {
	err = q.QueryRow(query, args...).Scan(&n)
	return n, err
}

// execute runs statements with the same arguments.
func execute(tx *sql.Tx, args []any, statements ...string) error {
	for _, s := range statements {
		if _, err := tx.Exec(s, args...); err != nil {
			return err
		}
	}
	return nil
}

// collect reads all rows of a query.
func collect[T any](q reader, scan func(func(...any) error) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// texts reads a column of text.
func texts(q reader, query string, args ...any) ([]string, error) {
	return collect(q, func(scan func(...any) error) (s string, err error) { return s, scan(&s) }, query, args...)
}
