package archive

import (
	"context"
	"database/sql"
	"testing"

	"github.com/millrace/millrace/internal/segment"
)

// What a program that copies an archive is told is what lies there, and a row that points
// behind its segment is noticed.
func TestSegmentsForCopies(t *testing.T) {
	a := start(t, Options{Dir: t.TempDir(), SegmentBytes: 1 << 16})
	a.mustStore(sample(1, 1, 40_000), sample(1, 2, 50_000))
	a.mustStore(sample(1, 3, 10))
	pool := a.index.db.Read()
	all, err := Segments(t.Context(), pool)
	if err != nil || len(all) != 2 || !all[0].Sealed || all[1].Sealed || all[0].Fragments != 2 || all[1].Fragments != 1 {
		t.Fatalf("segments %+v, %v", all, err)
	}
	for _, s := range all {
		f, err := a.disk.Open(a.segmentPath(s.ID))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size, err := f.Size()
		if err != nil || size != s.Length {
			t.Errorf("segment %d has %d bytes, want %d (%v)", s.ID, size, s.Length, err)
		}
		if h, err := segment.ReadHead(f); err != nil || h.ID != s.ID || h.Salt != s.Salt {
			t.Errorf("segment %d says it is %+v (%v); want salt %x", s.ID, h, err, s.Salt)
		}
	}
	astray := func(want int64) {
		t.Helper()
		if n, err := Astray(t.Context(), pool); err != nil || n != want {
			t.Errorf("%d fragments are astray, %v; want %d", n, err, want)
		}
	}
	astray(0)
	change := func(query string) {
		t.Helper()
		err := a.index.db.Write(context.Background(), func(tx *sql.Tx) error {
			_, err := tx.Exec(query)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change("UPDATE fragments SET length = length + 1 WHERE n = 3")
	astray(1)
	change("UPDATE fragments SET segment = segment + 1000000 WHERE n = 1")
	astray(2)
	change("UPDATE fragments SET length = length - 1 WHERE n = 3")
	change("UPDATE fragments SET segment = segment - 1000000 WHERE n = 1")
	astray(0)
}
