package house

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// files makes a small project out of names and contents.
func files(t *testing.T, content map[string]string) *tree {
	t.Helper()
	m := fstest.MapFS{}
	for name, text := range content {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	tr, err := load(m)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// goFile is a package with the given imports.
func goFile(name string, imports ...string) string {
	s := "// Package " + name + " is here for a test.\npackage " + name + "\n"
	for _, i := range imports {
		s += fmt.Sprintf("import _ %q\n", i)
	}
	return s
}

// expect compares the findings of a rule with the beginnings of what it should say.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if len(got) != len(want) {
		t.Fatalf("found %d:\n%s\nwant %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
	for i := range got {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("found %q, want %q", got[i], want[i])
		}
	}
}

func TestFloorsRule(t *testing.T) {
	floors := map[string]floor{"mkv": public, "sigv4": public, "kvs": bytes0, "db": bytes0, "mediatest": bytes0,
		"live": state1, "archive": state1, "archive/disk": state1, "api": doors3, "api/video": doors3, "server": frame4}
	for _, c := range []struct {
		name, from, imports string
		broken              bool
	}{
		{"down", "live", module + "kvs", false},
		{"down to public", "live", module + "mkv", false},
		{"far down", "server", module + "kvs", false},
		{"up", "kvs", module + "live", true},
		{"neighbour on floor 1", "live", module + "archive", true},
		{"neighbour on floor 0", "kvs", module + "db", false},
		{"child to parent", "api/video", module + "api", false},
		{"parent to child", "archive", module + "archive/disk", true},
		{"public to public", "mkv", module + "sigv4", false},
		{"public to internal", "mkv", module + "kvs", true},
		{"public to a library", "mkv", "golang.org/x/sync/errgroup", true},
		{"public to the standard library", "mkv", "encoding/binary", false},
		{"internal to a library", "kvs", "golang.org/x/sync/errgroup", false},
		{"product to test media", "live", module + "mediatest", true},
		{"to nowhere", "live", module + "nowhere", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := files(t, map[string]string{c.from + "/a.go": goFile("a", c.imports)})
			floors["nowhere"] = command
			if got := checkFloors(tr, floors, nil); (len(got) > 0) != c.broken {
				t.Errorf("broken: %q", got)
			}
			test := files(t, map[string]string{c.from + "/a_test.go": goFile("a", c.imports)})
			expect(t, checkFloors(test, floors, nil)) // tests may look anywhere
		})
	}
}

func TestFloorsRuleKnowsItsLists(t *testing.T) {
	tr := files(t, map[string]string{"live/a.go": goFile("live", module+"archive"), "new/a.go": goFile("new")})
	floors := map[string]floor{"live": state1, "archive": state1}
	expect(t, checkFloors(tr, floors, map[string]string{"live -> archive": "a reason"}), "new: is on no floor")
	floors["new"] = work2
	expect(t, checkFloors(tr, floors, map[string]string{"live -> archive": "a reason", "new -> live": "gone"}),
		"new -> live: is listed but no longer there")
}

func TestImportCountRule(t *testing.T) {
	var many []string
	for i := range maxInternalImports + 1 {
		many = append(many, fmt.Sprintf("%sp%d", module, i))
	}
	tr := files(t, map[string]string{"a/a.go": goFile("a", many...), "b/b.go": goFile("b", many[1:]...),
		"top/top.go": goFile("top", many...)})
	floors := map[string]floor{"a": work2, "b": work2, "top": frame4}
	expect(t, checkImportCount(tr, floors, nil), "a: imports 8")
	expect(t, checkImportCount(tr, floors, map[string]string{"a": "why"}))
	expect(t, checkImportCount(tr, floors, map[string]string{"a": "why", "b": "why"}), "b: needs no exception")
}

func TestPackageCommentRule(t *testing.T) {
	expect(t, checkPackageComments(files(t, map[string]string{
		"good/a.go":       "// Package good is good.\npackage good\n",
		"good/b.go":       "package good\n",
		"cmd/tool/a.go":   "// Command tool is a tool.\npackage main\n",
		"none/a.go":       "package none\n",
		"two/a.go":        "// Package two is one.\npackage two\n",
		"two/b.go":        "// Package two is two.\npackage two\n",
		"wrong/a.go":      "// This package is wrong.\npackage wrong\n",
		"cmd/odd/a.go":    "// Package main is odd.\npackage main\n",
		"bare/a_test.go":  "// Package bare tests.\npackage bare\n",
		"e2e/go.mod":      "module e2e\n",
		"e2e/sub/a.go":    "package sub\n",
		"x/testdata/y.go": "package y\n",
	})), "none: 0 package comments", "two: 2 package comments", "wrong/a.go: the package comment",
		"cmd/odd/a.go: the package comment", "bare: has tests but no file")
}

func TestExportedCommentRule(t *testing.T) {
	got := checkExportedComments(files(t, map[string]string{"a/a.go": `// Package a is a.
package a
// Good is documented.
func Good() {}
func Bad() {}
func private() {}
type hidden struct{}
func (hidden) Method() {}
// T is documented.
type T[K any] struct{}
func (t *T[K]) Bare() {}
type U int
// Group of constants.
const (
	A = 1
	B = 2
)
const C = 3
var (
	D = 4 // said here
	E = 5
)
`, "a/gen.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\n\nfunc Free() {}\n"}))
	for i := range got {
		_, got[i], _ = strings.Cut(got[i], ": ")
	}
	expect(t, got, "Bad has", "Bare has", "U has", "C has", "E has")
}

func TestSizeRule(t *testing.T) {
	long := "package a\n" + strings.Repeat("\n", maxFileLines)
	function := "package a\nfunc f() {\n" + strings.Repeat("\n", maxFunctionLines) + "}\n"
	content := map[string]string{
		"a/long.go": long, "a/long_test.go": long, "a/f.go": function, "a/f_test.go": function,
		"a/gen.go": "// Code generated by x. DO NOT EDIT.\n\n" + long,
	}
	for i := range maxPackageFiles + 1 {
		content[fmt.Sprintf("many/%d.go", i)] = "package many\n"
	}
	tr := files(t, content)
	expect(t, checkSizes(tr, nil), "a/long.go: 501 lines", "a/long_test.go: 501 lines", "a/f.go f: 62 lines", "many: 16 files")
	expect(t, checkSizes(tr, map[string]string{"a/long.go": "why", "a/long_test.go": "why", "a/f.go f": "why", "many": "why", "a/f.go g": "why"}),
		"a/f.go g: is no longer above")
}

func TestNameRule(t *testing.T) {
	expect(t, checkNames(files(t, map[string]string{"common/a.go": "package common\n", "live/helpers.go": "package live\n",
		"live/util_test.go": "package live\n", "live/frame.go": "package live\n"})),
		"common: the name", "live/helpers.go: the name", "live/util_test.go: the name")
}

func TestTestCallRule(t *testing.T) {
	body := "package a\nfunc f() { time.Sleep(1); t.Skip(); dec.Skip() }\n" +
		"func g() { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }\n"
	tr := files(t, map[string]string{"a/a_test.go": body, "a/a.go": body, "e2e/go.mod": "", "e2e/e_test.go": body})
	expect(t, checkTestCalls(tr, nil, nil), "a/a_test.go:2:12: sleeps", "a/a_test.go:2:27: skips", "e2e/e_test.go:2:27: skips")
	why := map[string]string{"a/a_test.go": "why", "e2e/e_test.go": "why"}
	expect(t, checkTestCalls(tr, why, why))
}

func TestForeignWordRule(t *testing.T) {
	here, scratch, registry := "/"+"work/y", "/"+"tmp/x", "registry."+"npmjs.org"
	expect(t, checkForeignWords(files(t, map[string]string{
		"a.md": "see " + here, "b.md": "\nsee " + scratch, "c.go": "package c // " + scratch,
		"d.json": "https://" + registry, "e.md": "docs/" + "work/x and https://x/tmp/y", "Makefile": "cd " + here,
		"node_modules/f.json": registry,
	})), "a.md:1:", "b.md:2:", "d.json:1:", "Makefile:1:")
}

func TestLinkRule(t *testing.T) {
	tr := files(t, map[string]string{"docs/a.md": "[x](b.md) [y](../c.md#part) [z](gone.md) [w](https://x.test) [v](#here)"})
	expect(t, checkLinks(tr, func(name string) bool { return name == "docs/b.md" || name == "c.md" }), "docs/a.md: links to gone.md")
}

func TestReadmeRule(t *testing.T) {
	expect(t, checkReadme([]byte("# x\n```sh\nmake run\nmake test\n```\n")))
	expect(t, checkReadme([]byte("# x\n```sh\nmake test\nmake run\n```\n"+strings.Repeat("\n", maxReadmeLines))),
		"README.md: the first two", "README.md: 125 lines")
}

func TestTableRule(t *testing.T) {
	tr := files(t, map[string]string{
		"a/a.go":  "// Package a is the bottom. More.\npackage a\n",
		"b/b.go":  "// Package b is in\n// the middle.\npackage b\n",
		"c/x.go":  "// Command c is on top.\npackage main\n",
		"c/x2.go": "package main\n",
	})
	table := packageTable(tr, map[string]floor{"a": bytes0, "b": work2, "c": command})
	got, err := replaceTable([]byte("head\n"+tableBegin+"stale\n"+tableEnd+"tail\n"), table)
	want := "head\n" + tableBegin + `| Floor | Package | What it is |
|---|---|---|
| command | [` + "`c`" + `](c) | is on top |
| 2 work | [` + "`b`" + `](b) | is in the middle |
| 0 bytes and words | [` + "`a`" + `](a) | is the bottom |
` + tableEnd + "tail\n"
	if err != nil || string(got) != want {
		t.Errorf("error %v, got:\n%s\nwant:\n%s", err, got, want)
	}
	if _, err := replaceTable([]byte("no marks"), table); err == nil {
		t.Error("a document without marks was accepted")
	}
}
