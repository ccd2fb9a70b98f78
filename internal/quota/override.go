package quota

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"

	"github.com/millrace/millrace/internal/kvs"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema, for the [db.Options] of the book's database, which
// should be durable: a limit that was set must hold after a power failure.
func Migrations() fs.FS { return migrations }

// load reads what was set in earlier runs. A row that this program does not understand
// is left alone and told: the limits of the profile hold instead.
func (b *Book) load(ctx context.Context) error {
	if b.db == nil {
		return nil
	}
	rows, err := b.db.Read().QueryContext(ctx, `SELECT account, stream, name, value FROM override`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	accounts, streams := map[kvs.AccountID]overrides{}, map[kvs.StreamID]overrides{}
	for rows.Next() {
		var t Target
		var name, value string
		if err := rows.Scan(&t.Account, &t.Stream, &name, &value); err != nil {
			return err
		}
		l, v, err := parse(name, value)
		switch {
		case err != nil:
			b.log.Warn("a limit that was set is not in force", "account", t.Account, "stream-id", int64(t.Stream), "error", err)
		case t.Stream != 0:
			enter(streams, t.Stream, l, v)
		default:
			enter(accounts, t.Account, l, v)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	b.change.Lock()
	defer b.change.Unlock()
	old := b.current.Load()
	f := &inForce{profile: old.profile, settings: old.settings, accounts: accounts, streams: streams}
	f.server = resolved{of: f, values: old.server.values}
	b.current.Store(f)
	return nil
}

func enter[K comparable](all map[K]overrides, key K, l *Limit, v Value) {
	if all[key] == nil {
		all[key] = overrides{}
	}
	all[key][l.index] = v
}

func (b *Book) write(ctx context.Context, statement string, args ...any) error {
	if b.db == nil {
		return nil
	}
	return b.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
}

func (b *Book) store(ctx context.Context, t Target, l *Limit, v Value) error {
	return b.write(ctx, `INSERT INTO override (account, stream, name, value) VALUES ($1, $2, $3, $4)
		ON CONFLICT (account, stream, name) DO UPDATE SET value = excluded.value`, string(t.Account), int64(t.Stream), l.Name, l.Format(v))
}

func (b *Book) remove(ctx context.Context, t Target, name string) error {
	return b.write(ctx, `DELETE FROM override WHERE account = $1 AND stream = $2 AND ($3 = '' OR name = $3)`, string(t.Account), int64(t.Stream), name)
}

func (b *Book) removeStream(ctx context.Context, id kvs.StreamID) error {
	return b.write(ctx, `DELETE FROM override WHERE stream = $1`, int64(id))
}
