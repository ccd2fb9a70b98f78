package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// migrate runs the migrations the file has not seen yet, each in its own transaction.
// A file written by a newer program is refused: this one would not understand it.
func migrate(ctx context.Context, pool *sql.DB, migrations fs.FS, log *slog.Logger) error {
	if migrations == nil {
		return errors.New("no migrations given")
	}
	if sub, err := fs.Sub(migrations, "migrations"); err == nil && isDir(migrations, "migrations") {
		migrations = sub
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, pool, migrations,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	have, know, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > know {
		return fmt.Errorf("the file has schema version %d, this program knows versions up to %d; use the newer program", have, know)
	}
	applied, err := p.Up(ctx)
	for _, m := range applied {
		log.Info("migrated database", "version", m.Source.Version, "took", m.Duration)
	}
	return err
}

func isDir(f fs.FS, name string) bool {
	info, err := fs.Stat(f, name)
	return err == nil && info.IsDir()
}
