// Command gen writes the generated files of package wire.
//
// Without flags it writes the Go files of package wire from the facts in the folder
// model; with -coverage FILE it writes the table of operations for the reference
// manual. It runs in the folder of package wire ("go generate ./internal/wire").
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/wire/model"
)

func main() {
	page := flag.String("coverage", "", "write the page of operations to `FILE` and nothing else")
	flag.Parse()
	if err := run(*page); err != nil {
		fmt.Fprintln(os.Stderr, "wire/gen:", err)
		os.Exit(1)
	}
}

func run(page string) error {
	facts, err := model.Load()
	if err != nil {
		return err
	}
	served, err := readServed(facts, "served.txt")
	if err != nil {
		return err
	}
	if page != "" {
		return os.WriteFile(page, coverage(facts, served), 0o644)
	}
	files, err := sources(facts, served)
	if err != nil {
		return err
	}
	for name, source := range files {
		if err := os.WriteFile(name, source, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sources returns the Go files of package wire by name.
func sources(facts *model.Facts, served []string) (map[string][]byte, error) {
	writers := map[string]func(*writer){
		"shared.go":     func(w *writer) { w.shapes(facts.Shared) },
		"operations.go": func(w *writer) { w.operations(facts, served) },
	}
	for _, s := range facts.Services {
		writers[strings.ToLower(s.Name)+".go"] = func(w *writer) { w.shapes(s.Shapes) }
	}
	files := map[string][]byte{}
	for name, write := range writers {
		w := &writer{}
		write(w)
		source, err := w.file()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = source
	}
	return files, nil
}

// readServed reads the operations that the server implements, one name per line.
func readServed(facts *model.Facts, file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	served := strings.Fields(string(text))
	for _, name := range served {
		if !hasOperation(facts, name) {
			return nil, fmt.Errorf("%s: no operation is called %q", file, name)
		}
	}
	return served, nil
}

func hasOperation(facts *model.Facts, name string) bool {
	return slices.ContainsFunc(facts.Services, func(s model.Service) bool {
		return slices.ContainsFunc(s.Operations, func(op model.Operation) bool { return op.Name == name })
	})
}
