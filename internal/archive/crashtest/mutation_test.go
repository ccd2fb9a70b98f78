package crashtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
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

// elsewhere has functions whose call the histories may miss, because too much must come
// together, and the test that fails without it.
var elsewhere = map[string]string{
	"(*Archive).settleCopies": "TestFailedCopiesAreGoneBeforeAnythingIsBuried of internal/archive",
	"(*Journal).cut":          "TestPowerFailures of internal/journal, which leaves each call out, too",
}

// Each Sync, SyncDir and Rename is left out in turn, and for each some history ends badly
// that ends well with it: none is there for nothing, and no missing one would go
// unnoticed. It takes many minutes: make crash does it, and make test only sees that the
// histories come across all of them.
func TestEachSyncIsNeeded(t *testing.T) {
	if os.Getenv("CRASH_SEEDS") == "" {
		return
	}
	temp := scratch(t)
	reached := playAll(temp, "", 0, fewSeeds, 1, func(*outcome) {}).sites
	for _, site := range slices.Sorted(maps.Keys(reached)) {
		if file, _, _ := strings.Cut(site, ":"); exempt[file] == "" {
			needed(t, temp, site, reached[site])
		}
	}
	t.Logf("%d calls", len(reached))
}

// unreached returns the calls in the source that no history came across.
func unreached(t *testing.T, reached map[string]string) []string {
	t.Helper()
	return slices.DeleteFunc(written(t), func(call string) bool {
		for site := range reached {
			if strings.HasPrefix(site, call+" ") {
				return true
			}
		}
		return false
	})
}

// needed plays histories without the calls from a site until one ends badly.
func needed(t *testing.T, temp, site, kind string) {
	t.Helper()
	const most = 3000
	for from := uint64(0); from < most; {
		all := playAll(temp, site, from, most, 1, func(*outcome) {})
		for seed, err := range all.mistakes {
			if _, other := play(seed, temp, ""); other != nil {
				continue // it is not the missing call's fault
			}
			text, _, _ := strings.Cut(err.Error(), "\n")
			t.Logf("%-8s %s: seed %d: %s", kind, site, seed, text)
			return
		}
		from += uint64(all.played)
	}
	_, function, _ := strings.Cut(site, " ")
	if test := elsewhere[function]; test != "" {
		t.Logf("%-8s %s: %s", kind, site, test)
		return
	}
	t.Errorf("%s: %s left out in %d histories, and nothing is wrong", site, kind, most)
}

// written returns all such calls in the source, as package/file.go:line.
func written(t *testing.T) (calls []string) {
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
				if f, ok := n.(*ast.FuncDecl); ok && slices.Contains(asking, f.Name.Name) {
					return false // it hands on what another line asks for
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
