package directory

import (
	"database/sql"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wholeTables are the statements that read a table from end to end because that is what
// they are asked for: the list of all keys, a new wrapping key, and the account of the
// installation among the few there are.
var wholeTables = []string{
	"SELECT id, account, owner, root, active, created, used, note FROM access_key ORDER BY created, id",
	"SELECT id, secret FROM access_key",
	"SELECT id FROM account WHERE home = 1",
}

// TestEveryStatementUsesAnIndex reads the statements from the source of this package and
// its parent, so that none is forgotten.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	h := newHouse(t)
	found := 0
	for _, dir := range []string{".", ".."} {
		for _, s := range statements(t, dir) {
			found++
			for _, step := range h.plan(s) {
				if strings.HasPrefix(step, "SCAN ") && !strings.HasPrefix(step, "SCAN CONSTANT") && !slices.Contains(wholeTables, s) {
					t.Errorf("%s\n\t%s", s, step)
				}
			}
		}
	}
	if found < 80 {
		t.Errorf("%d statements found", found)
	}
}

// TestPagesAreRanges: a page begins at its position and is in order without sorting.
func TestPagesAreRanges(t *testing.T) {
	h := newHouse(t)
	for query, want := range map[string]string{
		firstPage:    "SEARCH e USING INDEX entity_path (account=? AND kind=? AND path>? AND path<?)",
		laterPage:    "SEARCH e USING INDEX entity_path (account=? AND kind=? AND (path,folded)>(?,?) AND path<?)",
		groupsOf:     "SEARCH m USING COVERING INDEX sqlite_autoindex_membership_1 (member=? AND grp>?)",
		membersOf:    "SEARCH m USING COVERING INDEX membership_group (grp=? AND member>?)",
		holders:      "SEARCH t USING COVERING INDEX attachment_policy (account=? AND policy=? AND owner>? AND owner<?)",
		bounded:      "SEARCH e USING INDEX entity_boundary (boundary=? AND account=? AND id>? AND id<?)",
		inlineList:   "SEARCH inline_policy USING COVERING INDEX sqlite_autoindex_inline_policy_1 (owner=? AND name>?)",
		tagPage:      "SEARCH tag USING INDEX sqlite_autoindex_tag_1 (owner=? AND folded>?)",
		cleanEnded:   "SEARCH ended_session USING INDEX ended_session_until (until<?)",
		endedByID:    "SEARCH ended_session USING COVERING INDEX sqlite_autoindex_ended_session_1 (id=?)",
		accountFacts: "SEARCH account USING INDEX sqlite_autoindex_account_1 (id=?)",
	} {
		plan := h.plan(query)
		if !slices.ContainsFunc(plan, func(s string) bool { return strings.HasPrefix(s, want) || s == want }) {
			t.Errorf("%s\nplan %q\nwant %q", query, plan, want)
		}
		if slices.ContainsFunc(plan, func(s string) bool { return strings.Contains(s, "TEMP B-TREE") }) {
			t.Errorf("%s\nsorts: %q", query, plan)
		}
	}
}

var placeholder = regexp.MustCompile(`\$(\d+)`)

// plan is how the database would run a statement.
func (h *house) plan(statement string) (steps []string) {
	h.t.Helper()
	args := 0
	for _, m := range placeholder.FindAllStringSubmatch(statement, -1) {
		n, err := strconv.Atoi(m[1])
		ok(h.t, err)
		args = max(args, n)
	}
	ok(h.t, h.db.Write(h.ctx, func(tx *sql.Tx) (err error) {
		steps, err = collect(tx, func(scan func(...any) error) (step string, err error) {
			var id, parent, unused int
			return step, scan(&id, &parent, &unused, &step)
		}, "EXPLAIN QUERY PLAN "+statement, slices.Repeat([]any{1}, args)...)
		return err
	}))
	return steps
}

var verb = regexp.MustCompile(`^(SELECT|INSERT|UPDATE|DELETE) `)

// statements are all constant texts in the source of a package that begin like SQL. Those
// that end with a space are the beginning of others.
func statements(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	ok(t, err)
	var files []*ast.File
	constants := map[string]ast.Expr{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		ok(t, err)
		files = append(files, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if v, isValue := n.(*ast.ValueSpec); isValue && len(v.Names) == len(v.Values) {
				for i, name := range v.Names {
					constants[name.Name] = v.Values[i]
				}
			}
			return true
		})
	}
	found := map[string]bool{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			e, isExpr := n.(ast.Expr)
			if !isExpr {
				return true
			}
			s, known := text(constants, e)
			if known && verb.MatchString(s) && !strings.HasSuffix(s, " ") {
				found[s] = true
			}
			return !known
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// text is the value of a constant expression.
func text(constants map[string]ast.Expr, e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, e.Kind == token.STRING && err == nil
	case *ast.Ident:
		if v, there := constants[e.Name]; there {
			return text(constants, v)
		}
	case *ast.BinaryExpr:
		a, known := text(constants, e.X)
		b, alsoKnown := text(constants, e.Y)
		return a + b, known && alsoKnown && e.Op == token.ADD
	}
	return "", false
}
