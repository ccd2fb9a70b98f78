package house

import (
	"bytes"
	"flag"
	"fmt"
	"go/doc"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the package table into ARCHITECTURE.md")

const (
	tableBegin = "<!-- The table is written by make gen from the package comments. -->\n"
	tableEnd   = "<!-- End of the table. -->\n"
)

var floorNames = map[floor]string{
	command: "command", frame4: "4 assembly", doors3: "3 doors", work2: "2 work",
	state1: "1 state", bytes0: "0 bytes and words", public: "public",
}

// packageTable lists the packages from the top of the house down, each with the first
// sentence of its comment.
func packageTable(t *tree, floors map[string]floor) string {
	ps := t.sorted()
	slices.SortStableFunc(ps, func(a, b *pkg) int { return int(floors[b.path]) - int(floors[a.path]) })
	var b strings.Builder
	b.WriteString("| Floor | Package | What it is |\n|---|---|---|\n")
	above := floor(-9)
	for _, p := range ps {
		name := ""
		if floors[p.path] != above {
			name = floorNames[floors[p.path]]
		}
		above = floors[p.path]
		fmt.Fprintf(&b, "| %s | [`%s`](%s) | %s |\n", name, p.path, p.path, synopsis(p))
	}
	return b.String()
}

// synopsis returns the first sentence of a package comment without "Package x".
func synopsis(p *pkg) string {
	for _, s := range p.product() {
		if s.ast.Doc == nil {
			continue
		}
		words := strings.SplitN(new(doc.Package).Synopsis(s.ast.Doc.Text()), " ", 3)
		return strings.TrimSuffix(strings.ReplaceAll(words[len(words)-1], "|", "\\|"), ".")
	}
	return ""
}

// replaceTable returns the document with the table between its marks replaced.
func replaceTable(document []byte, table string) ([]byte, error) {
	head, rest, ok1 := bytes.Cut(document, []byte(tableBegin))
	_, tail, ok2 := bytes.Cut(rest, []byte(tableEnd))
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("no marks %q and %q around the table", tableBegin, tableEnd)
	}
	return slices.Concat(head, []byte(tableBegin), []byte(table), []byte(tableEnd), tail), nil
}

func TestArchitectureTable(t *testing.T) {
	const name = "../ARCHITECTURE.md"
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := replaceTable(have, packageTable(project(t), floors))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(have, want) {
		return
	}
	if !*update {
		t.Fatal("the package table in ARCHITECTURE.md is not current: run make gen")
	}
	if err := os.WriteFile(name, want, 0o644); err != nil {
		t.Fatal(err)
	}
}
