package archive

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/kvs"
)

// wantCounts checks that the counts of streams and segments equal what is there
// (invariant 7).
func wantCounts(t *testing.T, a *Archive) {
	t.Helper()
	for _, wrong := range []string{
		`SELECT COUNT(*) FROM (SELECT stream, COUNT(*), SUM(length) FROM fragments GROUP BY stream EXCEPT SELECT stream, fragments, bytes FROM streams)`,
		`SELECT COUNT(*) FROM (SELECT stream, fragments, bytes FROM streams EXCEPT SELECT stream, COUNT(*), SUM(length) FROM fragments GROUP BY stream)`,
	} {
		var n int
		if err := a.index.db.Read().QueryRow(wrong).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d streams are counted wrong: %v", n, err)
		}
	}
}

// usage is what stream id keeps of what began at the horizon or later.
func usage(t *testing.T, a *Archive, id kvs.StreamID, horizon kvs.Millis) Usage {
	t.Helper()
	u, err := a.Usage(context.Background(), id, horizon)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUsage(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	if u := usage(t, a.Archive, 1, 0); u != (Usage{}) {
		t.Errorf("before anything was stored: %+v", u)
	}
	recs := append(numbered(1, 1, 30, 1000), numbered(2, 1, 5, 700)...)
	a.mustStore(recs...)
	if err := a.store(sample(1, 3, 1000)); err == nil {
		t.Error("a number was taken twice")
	}
	u := usage(t, a.Archive, 1, 0)
	if u.Fragments != 30 || u.Bytes != 30*recordBytes(1000) || u.Oldest.Number.N != 1 || u.Newest.Number.N != 30 {
		t.Errorf("%+v %+v %+v", u, u.Oldest, u.Newest)
	}
	if u = usage(t, a.Archive, 2, 0); u.Fragments != 5 || u.Bytes != 5*recordBytes(700) {
		t.Errorf("%+v", u)
	}
	// Behind the horizon nothing is shown, but it still takes up space.
	u = usage(t, a.Archive, 1, recs[9].Fragment.Number.Server)
	if u.Fragments != 30 || u.Oldest.Number.N != 10 || u.Newest.Number.N != 30 {
		t.Errorf("%+v %+v", u, u.Oldest)
	}
	if u = usage(t, a.Archive, 1, kvs.MaxMillis); u.Fragments != 30 || u.Oldest != nil || u.Newest != nil {
		t.Errorf("all are expired: %+v", u)
	}
}

// What expires or is deleted leaves the counts, and a deleted stream leaves no row.
func TestUsageShrinks(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir()})
	recs := numbered(1, 1, 1200, 10)
	a.mustStore(append(recs, numbered(2, 1, 3, 10)...)...)
	if _, err := a.Erase(context.Background(), 1, Erasure{Range: kvs.TimeRange{End: recs[699].Fragment.Number.Server}, Through: 700}); err != nil {
		t.Fatal(err)
	}
	if u := usage(t, a.Archive, 1, 0); u.Fragments != 500 || u.Bytes != 500*recordBytes(10) || u.Oldest.Number.N != 701 {
		t.Errorf("%+v %+v", u, u.Oldest)
	}
	if err := a.DeleteStream(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := a.index.db.Read().QueryRow(`SELECT COUNT(*) FROM streams`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows are left, want that of stream 2: %v", rows, err)
	}
}

// An index of the first form is made anew from the segments when it is opened.
func TestAnOlderIndexIsRebuilt(t *testing.T) {
	dir := t.TempDir()
	storeAll(t, Options{Dir: dir}, append(numbered(1, 1, 20, 100), numbered(2, 1, 3, 50)...)...)
	rows, err := db.Open(context.Background(), db.Options{Path: filepath.Join(dir, "index.db"), Migrations: migrations})
	if err != nil {
		t.Fatal(err)
	}
	err = rows.Write(context.Background(), func(tx *sql.Tx) error {
		for _, s := range []string{`DROP TABLE journal`, `DROP TABLE streams`, `DROP TABLE fragments`, `DROP TABLE segments`,
			`DELETE FROM goose_db_version WHERE version_id > 0`} {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	a := start(t, Options{Dir: dir})
	wantCounts(t, a.Archive)
	if u := usage(t, a.Archive, 1, 0); u.Fragments != 20 || u.Bytes != 20*recordBytes(100) {
		t.Errorf("%+v", u)
	}
}
