package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// checkPackageComments wants exactly one package comment in each package, which starts
// with its name.
func checkPackageComments(t *tree) (broken []string) {
	for _, p := range t.sorted() {
		product := p.product()
		if len(product) == 0 {
			broken = append(broken, p.path+": has tests but no file that says what it is")
			continue
		}
		var comments []*source
		for _, s := range product {
			if s.ast.Doc != nil {
				comments = append(comments, s)
			}
		}
		if len(comments) != 1 {
			broken = append(broken, fmt.Sprintf("%s: %d package comments, want one", p.path, len(comments)))
			continue
		}
		want := "Package " + comments[0].ast.Name.Name + " "
		if comments[0].ast.Name.Name == "main" {
			want = "Command " + p.path[strings.LastIndex(p.path, "/")+1:] + " "
		}
		if !strings.HasPrefix(comments[0].ast.Doc.Text(), want) {
			broken = append(broken, fmt.Sprintf("%s: the package comment must start with %q", comments[0].name, want))
		}
	}
	return broken
}

// checkExportedComments wants a comment at every exported name, one for a group of
// constants or variables.
func checkExportedComments(t *tree) (broken []string) {
	for _, p := range t.sorted() {
		for _, s := range p.product() {
			if s.generated {
				continue
			}
			for _, d := range s.ast.Decls {
				for _, name := range undocumented(d) {
					broken = append(broken, fmt.Sprintf("%s: %s has no comment", s.fset.Position(d.Pos()), name))
				}
			}
		}
	}
	return broken
}

func undocumented(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			return []string{d.Name.Name}
		}
	case *ast.GenDecl:
		if d.Doc == nil || d.Tok == token.TYPE {
			return undocumentedSpecs(d)
		}
	}
	return nil
}

func undocumentedSpecs(d *ast.GenDecl) (names []string) {
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				names = append(names, s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && s.Doc == nil && s.Comment == nil {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// exportedReceiver says whether a function is no method, or one of an exported type.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	for {
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return false
		}
	}
}

func TestPackagesSayWhatTheyAre(t *testing.T) { report(t, checkPackageComments(project(t))) }

func TestExportedNamesAreDocumented(t *testing.T) { report(t, checkExportedComments(project(t))) }
