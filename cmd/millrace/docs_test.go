package main

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/manual"
)

// Every command line of this program in the documents and in its own help is one that it
// understands: the command exists, and so does each flag.
func TestDocumentedCommandsExist(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("millrace"), kong.Vars{"version": ""}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(where, text string) {
		for _, line := range commandLines(text) {
			found++
			if wrong := misspelt(parser.Model, line); wrong != "" {
				t.Errorf("%s: %q: %s", where, line, wrong)
			}
		}
	}
	root := os.DirFS("../..")
	pages := []string{"README.md", "CHANGELOG.md", "millrace.yml", "deploy/systemd/millrace.service", "deploy/container/Containerfile", "deploy/release/archive.md"}
	for _, pattern := range []string{"docs/guide/*.md", "docs/ref/*.md"} {
		more, err := fs.Glob(root, pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := fs.ReadFile(root, page)
		if err != nil {
			t.Fatal(err)
		}
		check(page, string(text))
	}
	for _, topic := range manual.Topics() {
		text, _ := manual.Topic(topic)
		check("help "+topic, text)
	}
	for _, n := range append(parser.Model.Leaves(false), parser.Model.Children...) {
		check("help of "+n.Path(), n.Detail)
	}
	if found < 100 {
		t.Errorf("only %d command lines found", found)
	}
}

// spoken finds the program's name where a command line may follow: at the beginning of a
// line or behind what stands in front of a command, with small letters or a flag behind it.
var spoken = regexp.MustCompile("(?m)(?:^ *|[`\"(|;] *|-- |serve *&& *|bin/|\\./|exec |run --rm -v millrace:/data )(?:millrace) ((?:[a-z-]+|--[a-z])[^`\"\n)|;&>]*)")

// commandLines are the words behind the program's name in a text.
func commandLines(text string) (lines []string) {
	for _, m := range spoken.FindAllStringSubmatch(text, -1) {
		line, _, _ := strings.Cut(m[1], " #")
		line, _, _ = strings.Cut(line, "  ")
		line = strings.TrimPrefix(strings.TrimSpace(line), "millrace ") // a container may have the name, too
		lines = append(lines, strings.TrimRight(line, ".:, "))
	}
	return lines
}

// misspelt says what in a command line does not exist.
func misspelt(app *kong.Application, line string) string {
	node, args := app.Node, strings.Fields(line)
	switch args[0] {
	case "help":
		if len(args) == 1 || args[1] == "topics" || args[1] == "TOPIC" || slices.Contains(manual.Topics(), strings.Trim(args[1], ",")) {
			return ""
		}
		args = args[1:]
	case "version":
		return ""
	}
	for i, w := range words(args) {
		name, _, _ := strings.Cut(w, "=")
		switch {
		case strings.HasPrefix(name, "--"):
			known := name == "--help"
			flags := node.AllFlags(false)
			if node.DefaultCmd != nil {
				flags = append(flags, node.DefaultCmd.Flags)
			}
			for _, group := range flags {
				known = known || slices.ContainsFunc(group, func(f *kong.Flag) bool { return "--"+f.Name == name })
			}
			if !known {
				return node.FullPath() + " has no flag " + name
			}
		case i == 0 || node != app.Node && len(node.Children) > 0 && !strings.ContainsAny(w, "|/."):
			next := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == w })
			if next < 0 && i == 0 {
				return "there is no command " + w
			}
			if next >= 0 {
				node = node.Children[next]
			}
		}
	}
	return ""
}

// The rule above finds what it should.
func TestMisspeltCommandsAreFound(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Name("millrace"), kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"run `millrace put garden x.mkv --create`":                 "",
		"  millrace put garden x.mkv --created # a comment":        "millrace put has no flag --created",
		"runuser -u millrace -- millrace keys list":                "there is no command keys",
		"millrace key list --data /var/lib/millrace":               "",
		"millrace key list --dat /var/lib/millrace":                "millrace key list has no flag --dat",
		"`millrace help tls`, see \"millrace help put\"":           "",
		"systemctl enable --now millrace":                          "",
		"the user millrace owns it":                                "",
		"ffmpeg -i x -f matroska - | bin/millrace put a - --creat": "millrace put has no flag --creat",
	} {
		got := ""
		for _, line := range commandLines(text) {
			got += misspelt(parser.Model, line)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
