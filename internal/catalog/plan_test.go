package catalog

import (
	"context"
	"database/sql"
	"strings"
	"testing"
)

// The queries of every day must find their rows by an index, never by reading a table.
func TestQueriesUseTheirIndex(t *testing.T) {
	r := newRoom(t)
	for name, c := range map[string]struct {
		query string
		args  []any
		want  string
	}{
		"by name": {"SELECT " + columns + " FROM stream WHERE account = $1 AND region = $2 AND name = $3",
			[]any{"a", "r", "n"}, "SEARCH stream USING INDEX stream_name (account=? AND region=? AND name=?)"},
		"first page": {firstPage, []any{"a", "r", "p", "q", 10}, "SEARCH stream USING INDEX stream_name (account=? AND region=? AND name>? AND name<?)"},
		"later page": {laterPage, []any{"a", "r", "p", "q", 10}, "SEARCH stream USING INDEX stream_name (account=? AND region=? AND name>? AND name<?)"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, r.db.Read(), c.query, c.args)
			if plan != c.want {
				t.Errorf("plan %q, want %q", plan, c.want)
			}
		})
	}
}

func explain(t *testing.T, q *sql.DB, query string, args []any) string {
	t.Helper()
	rows, err := q.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+query, args...)
	ok(t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		ok(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	ok(t, rows.Err())
	return strings.Join(steps, "; ")
}
