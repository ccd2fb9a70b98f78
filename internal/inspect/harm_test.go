package inspect

import (
	"cmp"
	"database/sql"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// victim is a copy of a stock that is harmed.
type victim struct {
	*stock
	rows []fragmentRow // of the stock, by segment and position
}

// copyOf copies a stock as it lies on the disk, holes as zeros.
func copyOf(t *testing.T, s *stock) *victim {
	t.Helper()
	c := *s
	c.t, c.dir = t, t.TempDir()
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		if to := filepath.Join(c.dir, rel); !e.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(to, b, 0o600)
		} else {
			return os.MkdirAll(to, 0o700)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{stock: &c}
	v.read()
	return v
}

// read reads all rows.
func (v *victim) read() {
	v.t.Helper()
	x, err := openIndex(v.t.Context(), v.path("index.db"))
	if err != nil {
		v.t.Fatal(err)
	}
	defer x.close()
	err = x.at(v.t.Context(), func(w view) error {
		return w.each(v.t.Context(), func(r *fragmentRow) { v.rows = append(v.rows, *r) }, fragmentColumns)
	})
	if err != nil {
		v.t.Fatal(err)
	}
	slices.SortFunc(v.rows, func(a, b fragmentRow) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.position, b.position))
	})
}

func (v *victim) path(name string) string { return filepath.Join(v.dir, "archive", name) }

func (v *victim) file(id int64) string { return v.path("segments/" + segment.FileName(id)) }

// exec changes the index.
func (v *victim) exec(query string, args ...any) {
	v.t.Helper()
	pool, err := sql.Open("sqlite", v.path("index.db"))
	if err != nil {
		v.t.Fatal(err)
	}
	defer pool.Close()
	if r, err := pool.Exec(query, args...); err != nil {
		v.t.Fatal(err)
	} else if n, err := r.RowsAffected(); err != nil || n == 0 {
		v.t.Fatalf("%s changed %d rows, %v", query, n, err)
	}
}

// number reads a number from the index.
func (v *victim) number(query string, args ...any) (n int64) {
	v.t.Helper()
	pool, err := sql.Open("sqlite", v.path("index.db"))
	if err != nil {
		v.t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.QueryRow(query, args...).Scan(&n); err != nil {
		v.t.Fatal(err)
	}
	return n
}

// edit opens a file for changes.
func (v *victim) edit(path string, do func(f *os.File, size int64)) {
	v.t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		v.t.Fatal(err)
	}
	do(f, info.Size())
}

// flip changes a bit of a file; a negative position counts from the end.
func (v *victim) flip(path string, at int64) {
	v.t.Helper()
	v.edit(path, func(f *os.File, size int64) {
		if at < 0 {
			at += size
		}
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at); err != nil {
			v.t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b, at); err != nil {
			v.t.Fatal(err)
		}
	})
}

// put writes bytes into a file, at its end if at is negative.
func (v *victim) put(path string, at int64, b []byte) {
	v.t.Helper()
	v.edit(path, func(f *os.File, size int64) {
		if at < 0 {
			at = size
		}
		if _, err := f.WriteAt(b, at); err != nil {
			v.t.Fatal(err)
		}
	})
}

func (v *victim) truncate(path string, by int64) {
	v.t.Helper()
	v.edit(path, func(f *os.File, size int64) {
		if err := f.Truncate(size - by); err != nil {
			v.t.Fatal(err)
		}
	})
}

// punch makes a hole.
func (v *victim) punch(path string, from, n int64) {
	v.t.Helper()
	f, err := disk.System{}.Open(path)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Punch(from, n); err != nil {
		v.t.Fatal(err)
	}
}

// rewrite changes head and facts of a record, with the right checksums.
func (v *victim) rewrite(id, position int64, change func(*segment.Record)) {
	v.t.Helper()
	v.edit(v.file(id), func(f *os.File, size int64) {
		h, err := segment.ReadHead(f)
		if err != nil {
			v.t.Fatal(err)
		}
		rec, ok, err := segment.ReadRecord(f, h, position, size)
		if err != nil || !ok {
			v.t.Fatal(ok, err)
		}
		change(&rec)
		if _, err := f.WriteAt(rec.Append(nil, h.Salt, position), position); err != nil {
			v.t.Fatal(err)
		}
	})
}

// sealed and growing are ids of segments that have rows of fragments.
func (v *victim) sealed() int64 {
	return v.number(`SELECT MIN(id) FROM segments WHERE sealed = 1 AND live > 2`)
}
func (v *victim) growing() int64 {
	return v.number(`SELECT MIN(id) FROM segments WHERE sealed = 0 AND live > 2`)
}

// in returns the rows of a segment.
func (v *victim) in(id int64) (rows []fragmentRow) {
	for _, r := range v.rows {
		if r.segment == id {
			rows = append(rows, r)
		}
	}
	return rows
}

// bury makes a fragment dead as expiry does: a tombstone, no row, counts without it.
func (v *victim) bury(r fragmentRow) {
	v.t.Helper()
	v.tombstone(r)
	v.exec(`DELETE FROM fragments WHERE stream = $1 AND n = $2`, int64(r.Stream), r.Number.N)
	v.exec(`UPDATE segments SET live = live - 1, bytes = bytes - $2 WHERE id = $1`, r.segment, r.length)
	v.exec(`UPDATE streams SET fragments = fragments - 1, bytes = bytes - $2 WHERE stream = $1`, int64(r.Stream), r.length)
}

// tombstone names a fragment, and says in the index that this was heeded.
func (v *victim) tombstone(r fragmentRow) {
	v.t.Helper()
	b := make([]byte, tombstoneFormat.Size-4)
	for i, n := range []int64{r.segment, int64(r.Stream), r.Number.N, r.Number.N} {
		binary.LittleEndian.PutUint64(b[8*i:], uint64(n))
	}
	b[32] = 1
	v.journal(tombstoneFile, tombstoneFormat, func(j *journal.Journal) error {
		err := j.Append(b)
		v.exec(`UPDATE journal SET salt = $1, position = $2`, int64(j.Salt()), j.End())
		return err
	})
}

func (v *victim) journal(name string, f journal.Format, do func(*journal.Journal) error) {
	v.t.Helper()
	j, err := journal.Open(disk.System{}, v.path(name), f, func(int64, []byte) error { return nil })
	if err == nil {
		err = do(j)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		v.t.Fatal(err)
	}
}

// keyEntries returns the entries of keys.
func (v *victim) keyEntries() (all [][]byte) {
	v.t.Helper()
	v.edit(v.path(keysFile), func(f *os.File, size int64) {
		_, _, err := journal.Read(f, size, keyring.Format, func(_ int64, b []byte) error {
			all = append(all, slices.Clone(b))
			return nil
		})
		if err != nil {
			v.t.Fatal(err)
		}
	})
	return all
}

// setKeys writes keys anew.
func (v *victim) setKeys(entries [][]byte) {
	v.t.Helper()
	v.journal(keysFile, keyring.Format, func(j *journal.Journal) error { return j.Rewrite(slices.Values(entries)) })
}

// rename moves a file.
func (v *victim) rename(from, to string) {
	v.t.Helper()
	if err := os.Rename(from, to); err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) remove(path string) {
	v.t.Helper()
	if err := os.Remove(path); err != nil {
		v.t.Fatal(err)
	}
}

// readable returns the fragments that can be read as they were stored.
func (v *victim) readable() map[fragmentID]bool {
	v.t.Helper()
	all := map[fragmentID]bool{}
	v.run(func(a *archive.Archive) {
		for _, stream := range stockStreams {
			for n := range v.count {
				if v.equal(a, stream, int64(n+1)) {
					all[fragmentID{stream, int64(n + 1)}] = true
				}
			}
		}
	})
	return all
}

// equal says whether a fragment is there with its bytes.
func (v *victim) equal(a *archive.Archive, stream kvs.StreamID, n int64) bool {
	at, ok, err := a.Get(v.t.Context(), stream, stockNumber(n), 0)
	if err != nil || !ok {
		return false
	}
	r, err := a.OpenRecord(v.t.Context(), at)
	if err != nil {
		return false
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	return err == nil && string(b) == string(stockBody(stream, n))
}
