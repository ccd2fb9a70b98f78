package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// module is the import path in front of every package of ours.
const module = "github.com/millrace/millrace/"

// tree is the project as the rules see it. It is read with go/parser instead of go list
// so that files of every platform count, and that a rule can be tested on a tree in
// memory.
type tree struct {
	packages map[string]*pkg // by folder, "" excluded
	docs     []textFile      // Markdown
	texts    []textFile      // everything written by hand, code and documents
}

// pkg is one folder with Go files.
type pkg struct {
	path   string // folder relative to the root, also the import path behind module
	nested bool   // belongs to a module of its own, such as test/e2e
	files  []*source
}

// source is one parsed Go file.
type source struct {
	name      string // path relative to the root
	test      bool
	generated bool
	lines     int
	fset      *token.FileSet
	ast       *ast.File
}

type textFile struct {
	name string
	data []byte
}

// load reads the tree under fsys, leaving out what is not written here.
func load(fsys fs.FS) (*tree, error) {
	t := &tree{packages: map[string]*pkg{}}
	nested := map[string]bool{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
			nested[name] = nested[path.Dir(name)] || err == nil && name != "."
			if skipFolder(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		return t.add(fsys, name, nested[path.Dir(name)])
	})
	return t, err
}

func skipFolder(base string) bool {
	return base == ".git" || base == "testdata" || base == "node_modules" || base == "bin" ||
		base == "dist" || base == "data"
}

func (t *tree) add(fsys fs.FS, name string, nested bool) error {
	ext := path.Ext(name)
	texts := []string{".go", ".md", ".sh", ".yml", ".yaml", ".sql", ".json", ".js", ".mjs", ".py", ".txt"}
	if !slices.Contains(texts, ext) && path.Base(name) != "Makefile" && !strings.HasPrefix(name, ".ci/") {
		return nil
	}
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	t.texts = append(t.texts, textFile{name, data})
	switch ext {
	case ".md":
		t.docs = append(t.docs, textFile{name, data})
	case ".go":
		return t.addSource(name, data, nested)
	}
	return nil
}

func (t *tree) addSource(name string, data []byte, nested bool) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := t.packages[dir]
	if p == nil {
		p = &pkg{path: dir, nested: nested}
		t.packages[dir] = p
	}
	p.files = append(p.files, &source{name: name, test: strings.HasSuffix(name, "_test.go"),
		generated: ast.IsGenerated(f), lines: bytes.Count(data, []byte("\n")), fset: fset, ast: f})
	return nil
}

// sorted returns the packages of the product in the order of their paths.
func (t *tree) sorted() []*pkg {
	var ps []*pkg
	for _, p := range t.packages {
		if !p.nested {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return ps
}

// product returns the files that are compiled into programs.
func (p *pkg) product() []*source {
	return slices.DeleteFunc(slices.Clone(p.files), func(s *source) bool { return s.test })
}

// imports returns the import paths of the product files, each once and sorted.
func (p *pkg) imports() []string {
	var all []string
	for _, s := range p.product() {
		for _, i := range s.ast.Imports {
			all = append(all, strings.Trim(i.Path.Value, `"`))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// project loads the real tree.
func project(t *testing.T) *tree {
	t.Helper()
	tr, err := load(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// report fails the test with one line for each broken rule.
func report(t *testing.T, broken []string) {
	t.Helper()
	for _, b := range broken {
		t.Error(b)
	}
}
