package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// emptyNames say nothing about what a package or file holds.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "types", "misc"}

func checkNames(t *tree) (broken []string) {
	for _, p := range t.sorted() {
		if slices.Contains(emptyNames, path.Base(p.path)) {
			broken = append(broken, p.path+": the name says nothing; call it by what it holds")
		}
		for _, s := range p.files {
			stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(s.name), ".go"), "_test")
			if slices.Contains(emptyNames, stem) {
				broken = append(broken, s.name+": the name says nothing; call it by what it holds")
			}
		}
	}
	return broken
}

// sleepers and skippers list test files that may wait by the clock or leave tests out,
// with the reason.
var (
	sleepers = map[string]string{}
	skippers = map[string]string{}
)

// checkTestCalls finds tests that sleep, which makes them slow or flaky, and tests that
// can be left out, which nobody then notices. Inside synctest.Test a sleep costs nothing
// and is exact. Programs of a module of their own (real clients) have to wait for others
// and may sleep.
func checkTestCalls(t *tree, sleepers, skippers map[string]string) (broken []string) {
	for _, p := range t.packages {
		for _, s := range p.files {
			if !s.test {
				continue
			}
			fake := bubbles(s.ast)
			ast.Inspect(s.ast, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				where := s.fset.Position(sel.Pos())
				if calls(sel, []string{"time"}, "Sleep") && !p.nested && !fake(sel) && sleepers[s.name] == "" {
					broken = append(broken, fmt.Sprintf("%s: sleeps; use testing/synctest or wait for the event", where))
				}
				if calls(sel, []string{"t", "b", "f", "tb"}, "Skip", "Skipf", "SkipNow") && skippers[s.name] == "" {
					broken = append(broken, fmt.Sprintf("%s: skips; a test that cannot run must fail", where))
				}
				return true
			})
		}
	}
	return broken
}

// calls says whether sel is one of the names on one of the receivers or packages.
func calls(sel *ast.SelectorExpr, on []string, names ...string) bool {
	x, ok := sel.X.(*ast.Ident)
	return ok && slices.Contains(on, x.Name) && slices.Contains(names, sel.Sel.Name)
}

// bubbles returns a function that says whether a node stands in a call of synctest.Test.
func bubbles(f *ast.File) func(ast.Node) bool {
	var found []*ast.CallExpr
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && calls(sel, []string{"synctest"}, "Test") {
				found = append(found, call)
			}
		}
		return true
	})
	return func(n ast.Node) bool {
		return slices.ContainsFunc(found, func(c *ast.CallExpr) bool { return c.Pos() <= n.Pos() && n.End() <= c.End() })
	}
}

// foreign are words that tie the project to one machine or one network. Written as
// expressions that do not match themselves.
var foreign = []struct {
	why  string
	expr *regexp.Regexp
}{
	{"a path of one machine", regexp.MustCompile(`(^|[^\w.$}/-])/(work|root|home)/`)},
	{"the name of a registry", regexp.MustCompile(`registry\.[n]pmjs|[p]roxy\.golang\.org|[s]um\.golang\.org|[p]ypi\.org|[d]eb\.debian\.org|[a]rchive\.ubuntu\.com`)},
}

var scratch = regexp.MustCompile(`(^|[^\w.$}/-])/[t]mp/`)

func checkForeignWords(t *tree) (broken []string) {
	for _, f := range t.texts {
		for _, w := range foreign {
			if m := w.expr.Find(f.data); m != nil {
				broken = append(broken, fmt.Sprintf("%s:%d: %q is %s", f.name, lineOf(f.data, w.expr), m, w.why))
			}
		}
		if path.Ext(f.name) == ".md" && scratch.Match(f.data) {
			broken = append(broken, fmt.Sprintf("%s:%d: a document names a scratch folder", f.name, lineOf(f.data, scratch)))
		}
	}
	return broken
}

func lineOf(data []byte, expr *regexp.Regexp) int {
	return 1 + bytes.Count(data[:expr.FindIndex(data)[1]], []byte("\n"))
}

var mdLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// checkLinks wants every relative link of a document to lead to a file that exists.
func checkLinks(t *tree, exists func(name string) bool) (broken []string) {
	for _, f := range t.docs {
		for _, m := range mdLink.FindAllSubmatch(f.data, -1) {
			target, _, _ := strings.Cut(string(m[1]), "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if !exists(path.Join(path.Dir(f.name), target)) {
				broken = append(broken, fmt.Sprintf("%s: links to %s, which does not exist", f.name, target))
			}
		}
	}
	return broken
}

// maxReadmeLines keeps the front page a page.
const maxReadmeLines = 120

// checkReadme wants a short front page whose first two commands are the two that a
// newcomer needs.
func checkReadme(readme []byte) (broken []string) {
	if n := bytes.Count(readme, []byte("\n")); n > maxReadmeLines {
		broken = append(broken, fmt.Sprintf("README.md: %d lines, at most %d", n, maxReadmeLines))
	}
	_, block, _ := bytes.Cut(readme, []byte("```sh\n"))
	lines := strings.SplitN(string(block), "\n", 3)
	if len(lines) < 3 || !strings.HasPrefix(lines[0], "make run") || !strings.HasPrefix(lines[1], "make test") {
		broken = append(broken, "README.md: the first two commands must be make run and make test")
	}
	return broken
}

func TestNamesSaySomething(t *testing.T) { report(t, checkNames(project(t))) }

func TestTestsNeitherSleepNorSkip(t *testing.T) {
	report(t, checkTestCalls(project(t), sleepers, skippers))
}

func TestNothingNamesOneMachine(t *testing.T) { report(t, checkForeignWords(project(t))) }

func TestLinksLeadSomewhere(t *testing.T) {
	report(t, checkLinks(project(t), func(name string) bool {
		_, err := os.Stat(filepath.Join("..", name))
		return err == nil
	}))
}

func TestReadmeIsAPage(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	report(t, checkReadme(readme))
}
