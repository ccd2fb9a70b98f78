package house

import (
	"fmt"
	"go/ast"
	"testing"
)

// The ceilings. Most files and functions should be far below: about 150 lines and 15.
const (
	maxFileLines     = 500
	maxFunctionLines = 60
	maxPackageFiles  = 15
)

// oversized lists what is above a ceiling, with the reason. The list only shrinks: a
// name in it that is not needed any more fails the test.
var oversized = map[string]string{
	"internal/archive": "the sixteenth file, timeline.go, has the queries of playlists, which would not fit into query.go",
	"cmd/millrace":     "one file for each command, found by its name; what a command does is in the packages below",
}

// checkSizes holds files, functions and packages to their ceilings. Generated code is
// free; in tests only whole files count, since tables may be long.
func checkSizes(t *tree, exceptions map[string]string) (broken []string) {
	used := map[string]bool{}
	over := func(name, what string, n, ceiling int) {
		if n <= ceiling {
			return
		}
		if exceptions[name] != "" {
			used[name] = true
			return
		}
		broken = append(broken, fmt.Sprintf("%s: %d %s, at most %d", name, n, what, ceiling))
	}
	for _, p := range t.packages {
		files := 0
		for _, s := range p.files {
			if s.generated {
				continue
			}
			over(s.name, "lines", s.lines, maxFileLines)
			if s.test {
				continue
			}
			files++
			for _, d := range s.ast.Decls {
				if f, ok := d.(*ast.FuncDecl); ok {
					over(s.name+" "+f.Name.Name, "lines", functionLines(s, f), maxFunctionLines)
				}
			}
		}
		over(p.path, "files", files, maxPackageFiles)
	}
	for name := range exceptions {
		if !used[name] {
			broken = append(broken, name+": is no longer above a ceiling; take it off the list")
		}
	}
	return broken
}

func functionLines(s *source, f *ast.FuncDecl) int {
	return s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
}

func TestNothingOutgrowsItsSize(t *testing.T) { report(t, checkSizes(project(t), oversized)) }
