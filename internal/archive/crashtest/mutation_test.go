package crashtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rooms are the packages whose calls of Sync, SyncDir and Rename have to be needed.
var rooms = []string{"archive", "journal", "keyring", "segment", "staging"}

// exempt are calls of which nothing that is stored depends.
var exempt = map[string]string{
	"archive/pressure.go": "a probe asks whether the disk takes bytes and removes them again",
}

// unreached returns the calls in the source that no history came across, but those in some
// functions.
func unreached(t *testing.T, reached map[string]string, but ...string) []string {
	t.Helper()
	return slices.DeleteFunc(written(t, but), func(call string) bool {
		for site := range reached {
			if strings.HasPrefix(site, call+" ") {
				return true
			}
		}
		return false
	})
}

// written returns all such calls in the source, as package/file.go:line, but those in some
// functions.
func written(t *testing.T, but []string) (calls []string) {
	t.Helper()
	for _, room := range rooms {
		names, err := filepath.Glob(filepath.Join("..", "..", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			files := token.NewFileSet()
			tree, err := parser.ParseFile(files, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				// One of the same name hands on what another line asks for.
				if f, ok := n.(*ast.FuncDecl); ok && (slices.Contains(asking, f.Name.Name) || slices.Contains(but, f.Name.Name)) {
					return false
				}
				call, ok := n.(*ast.CallExpr)
				file := room + "/" + filepath.Base(name)
				if ok && syncs(call) && exempt[file] == "" {
					calls = append(calls, fmt.Sprintf("%s:%d", file, files.Position(call.Pos()).Line))
				}
				return true
			})
		}
	}
	return calls
}

func syncs(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	return ok && slices.Contains(asking, method.Sel.Name)
}

// asking is what makes something durable.
var asking = []string{"Sync", "SyncDir", "Rename"}
