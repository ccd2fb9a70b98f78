// Package manual explains the program: a man page, texts on topics, and what a shell
// offers when somebody presses the tab key.
//
// The commands and flags come from the model of the command line, so that no page can
// forget one; the topics are texts in this package. It reads nothing else and has no
// state; only the command uses it.
package manual

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed topics/*.txt
var topics embed.FS

// Topics are the names of the texts that [Topic] returns, in alphabetical order.
func Topics() []string {
	entries, err := fs.ReadDir(topics, "topics")
	if err != nil {
		panic(err) // they are part of the program
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".txt")
	}
	return names
}

// Topic returns the text on a topic: a title line, an empty line, then paragraphs, in
// which indented lines stand as they are.
func Topic(name string) (text string, found bool) {
	b, err := topics.ReadFile("topics/" + name + ".txt")
	return string(b), err == nil
}

// title is the first line of a topic.
func title(name string) string {
	text, _ := Topic(name)
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// body is a topic without its title.
func body(name string) string {
	text, _ := Topic(name)
	_, rest, _ := strings.Cut(text, "\n\n")
	return rest
}
