package db_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/db/dbtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestExam(t *testing.T) {
	for _, durable := range []bool{true, false} {
		t.Run(map[bool]string{true: "durable", false: "normal"}[durable], func(t *testing.T) {
			dbtest.Exam(t, func(t *testing.T) dbtest.Opener {
				path := filepath.Join(t.TempDir(), "a b%20?c#.db") // no part of it may be taken for a parameter
				return func(_ *testing.T, migrations fs.FS) (dbtest.Database, error) {
					return db.Open(context.Background(), db.Options{Path: path, Durable: durable, Migrations: migrations})
				}
			})
		})
	}
}
