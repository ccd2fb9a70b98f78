package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millrace/millrace/internal/manual"
)

// words makes "help", "help COMMAND" and "version" the flags that they stand for.
func words(args []string) []string {
	switch {
	case len(args) > 0 && args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "version":
		return []string{"--version"}
	}
	return args
}

// negative is a number or a duration below zero.
var negative = regexp.MustCompile(`^-[0-9.]`)

// negatives moves values below zero behind "--", where they are not taken for flags, for
// the commands that have such values: "clock set -1h".
func negatives(args []string) []string {
	if len(args) < 2 || args[1] != "set" || args[0] != "clock" && args[0] != "limit" || slices.Contains(args, "--") {
		return args
	}
	var front, values []string
	for _, a := range args {
		if negative.MatchString(a) {
			values = append(values, a)
		} else {
			front = append(front, a)
		}
	}
	if values == nil {
		return args
	}
	return append(append(front, "--"), values...)
}

// unknownHelp says that "help WORD" asks for a word that nothing is named.
func unknownHelp(w io.Writer, app *kong.Application, args []string) bool {
	if len(args) < 2 || args[0] != "help" || strings.HasPrefix(args[1], "-") ||
		slices.ContainsFunc(app.Children, func(n *kong.Node) bool { return n.Name == args[1] }) {
		return false
	}
	var commands []string
	for _, n := range app.Children {
		commands = append(commands, n.Name)
	}
	fmt.Fprintf(w, "millrace: there is no help on %q\n  topics: %s\n  commands: %s\n", args[1],
		strings.Join(manual.Topics(), ", "), strings.Join(commands, ", "))
	return true
}

// overview shows the commands to somebody who named none.
func overview(w io.Writer, parser *kong.Kong) int {
	parser.Stdout = w // it was not asked for
	c, err := kong.Trace(parser, nil)
	if err == nil {
		err = c.PrintUsage(false)
	}
	if err != nil {
		fmt.Fprintln(w, "millrace:", err)
	}
	return exitUsage
}

// missingFile is how the parser says that a file is not there.
var missingFile = regexp.MustCompile(`(stat|open) (.*): no such file or directory$`)

// noSuchFile says it in words.
func noSuchFile(text string) string { return missingFile.ReplaceAllString(text, "there is no file $2") }
