package crashtest

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/internal/db"
)

// image is a copy of an index: the file and its write-ahead log. A power failure leaves
// the log's first commits, as many as it pleases: nothing syncs them.
type image struct{ file, log []byte }

// takeImage copies an index that nobody is writing to at this moment.
func takeImage(dir string) (image, error) {
	file, err := os.ReadFile(filepath.Join(dir, "index.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return image{}, nil
	}
	log, logErr := os.ReadFile(filepath.Join(dir, "index.db-wal"))
	if errors.Is(logErr, fs.ErrNotExist) {
		logErr = nil
	}
	return image{file, log}, errors.Join(err, logErr)
}

// Sizes of SQLite's write-ahead log, https://www.sqlite.org/fileformat2.html#walformat.
const (
	logHead   = 32
	frameHead = 24
)

// commits returns where the log may end: behind each commit, and before all.
func (m image) commits() []int {
	ends := []int{0}
	if len(m.log) < logHead {
		return ends
	}
	frame := frameHead + int(binary.BigEndian.Uint32(m.log[8:]))
	salts := string(m.log[16:24])
	for at := logHead; at+frame <= len(m.log) && string(m.log[at+8:at+16]) == salts; at += frame {
		if binary.BigEndian.Uint32(m.log[at+4:]) != 0 {
			ends = append(ends, at+frame)
		}
	}
	return ends
}

// put writes the index to a folder, with its log cut at end.
func (m image) put(dir string, end int) error {
	if m.file == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "index.db"), m.file, 0o600); err != nil || end == 0 {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.db-wal"), m.log[:end], 0o600)
}

// dump returns the rows of the index that a start must make the same, whatever it began
// with. What the index says of the journal must be true of its file, which the start may
// have made or added to. That a segment may have two files, one of them in the other
// folder, is said until a pass has seen that it has not. How long the longest fragment of a
// stream was may be known of one that is gone.
func dump(path string, salt, end int64) (rows string, err error) {
	pool, err := db.OpenCopy(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	var b strings.Builder
	for _, query := range []string{
		"SELECT * FROM fragments ORDER BY stream, n",
		"SELECT id, salt, version, class, tier, created, length, sealed, warm % 2, live, bytes, total, longest FROM segments ORDER BY id",
		"SELECT stream, fragments, bytes, longest >= (SELECT MAX(duration) FROM fragments AS f WHERE f.stream = streams.stream) FROM streams ORDER BY stream",
		fmt.Sprintf("SELECT salt = %d AND position = %d AS true FROM journal", salt, end),
	} {
		if err := dumpTable(&b, pool, query); err != nil {
			return "", err
		}
		b.WriteString("--\n")
	}
	return b.String(), nil
}

func dumpTable(b *strings.Builder, pool *sql.DB, query string) error {
	rows, err := pool.QueryContext(context.Background(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	row := make([]any, len(columns))
	for i := range row {
		row[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(row...); err != nil {
			return err
		}
		for i, v := range row {
			fmt.Fprintf(b, " %s=%v", columns[i], *v.(*any))
		}
		b.WriteByte('\n')
	}
	return rows.Err()
}

// differ tells the first rows of two dumps that are not the same.
func differ(a, b string) string {
	one, other := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(one), len(other)) {
		if one[i] != other[i] {
			return fmt.Sprintf("\n  with an older index:%s\n  without an index:   %s", one[i], other[i])
		}
	}
	return fmt.Sprintf("\n  %d rows with an older index, %d without", len(one), len(other))
}
