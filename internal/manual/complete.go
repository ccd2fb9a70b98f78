package manual

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

//go:embed scripts/*
var scripts embed.FS

// CompleteCommand is what the scripts of [Script] call: the program's name, this word,
// and the words of the command line up to the one that is being typed.
const CompleteCommand = "__complete"

// Shells are the shells that there are scripts for.
func Shells() []string { return []string{"bash", "fish", "zsh"} }

// Script is the text that teaches a shell to complete the program's command lines.
func Script(shell string) (string, error) {
	b, err := scripts.ReadFile("scripts/millrace." + shell)
	if err != nil {
		return "", fmt.Errorf("there is no completion for %q: use %s", shell, strings.Join(Shells(), ", "))
	}
	return string(b), nil
}

// Choice is one way to go on.
type Choice struct {
	Text string // the whole word
	Help string // "" or one line
}

// Choices are the ways to go on.
type Choices struct {
	List  []Choice
	Files bool // names of files fit, too
}

// Ask looks up values that the model does not know, such as the names of streams: kind
// is the name of the argument or flag. It may return nil.
type Ask func(kind string) []string

// Write writes one line for each choice: the word, a tab and the help. A last line
// ":files" says that file names fit.
func (c Choices) Write(w io.Writer) {
	for _, o := range c.List {
		fmt.Fprintf(w, "%s\t%s\n", o.Text, o.Help)
	}
	if c.Files {
		fmt.Fprintln(w, ":files")
	}
}

// cursor is how far the words before the one being typed lead.
type cursor struct {
	node  *kong.Node
	args  int        // positional arguments that are there already
	value *kong.Flag // the flag whose value comes next
	plain bool       // behind "--": no flags any more
}

// Complete returns how the last of the words, which may be empty, can go on. The words
// come without the program's name. ask may be nil.
func Complete(app *kong.Application, words []string, ask Ask) Choices {
	words = assigned(words)
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	if words[0] == "help" && len(words) > 1 {
		return helped(app, words[1:len(words)-1], last)
	}
	at := cursor{node: app.Node}
	for _, w := range words[:len(words)-1] {
		at.step(w)
	}
	name, part, assigning := strings.Cut(last, "=")
	switch {
	case at.value != nil:
		return values(at.value.Value, "", last, ask)
	case at.plain || !strings.HasPrefix(last, "-"):
		return at.words(app, last, ask)
	case assigning:
		if f := at.flag(name); f != nil {
			return values(f.Value, name+"=", part, ask)
		}
		return Choices{}
	}
	return at.flags(last)
}

// assigned puts the words in order that bash splits at "=", so that a flag's value comes
// behind the flag.
func assigned(words []string) (out []string) {
	for i, w := range words {
		if w == "=" && i > 0 && strings.HasPrefix(words[i-1], "--") {
			if i == len(words)-1 {
				out = append(out, "")
			}
			continue
		}
		out = append(out, w)
	}
	return out
}

// step goes over one whole word.
func (c *cursor) step(w string) {
	switch {
	case c.value != nil:
		c.value = nil
	case w == "--":
		c.plain = true
	case !c.plain && strings.HasPrefix(w, "-") && w != "-":
		if f := c.flag(w); f != nil && !f.IsBool() && !strings.Contains(w, "=") {
			c.value = f
		}
	default:
		if child := child(c.node, w); child != nil {
			c.node, c.args = child, 0
			return
		}
		c.args++
	}
}

func child(n *kong.Node, name string) *kong.Node {
	for _, k := range n.Children {
		if k.Name == name || slices.Contains(k.Aliases, name) {
			return k
		}
	}
	return nil
}

// flag finds a flag as it was typed.
func (c *cursor) flag(typed string) *kong.Flag {
	typed, _, _ = strings.Cut(typed, "=")
	for _, group := range c.reach() {
		for _, f := range group {
			if typed == "--"+f.Name || f.Short != 0 && typed == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}

// reach are the flags that may stand here: those of the command, of those above it, and of
// the one below it that is meant when none is named.
func (c *cursor) reach() [][]*kong.Flag {
	flags := c.node.AllFlags(true)
	if d := c.node.DefaultCmd; d != nil {
		flags = append(flags, d.Flags)
	}
	return flags
}

// words offers commands, or values of the next argument.
func (c *cursor) words(app *kong.Application, part string, ask Ask) (out Choices) {
	for _, k := range c.node.Children {
		out.add(part, k.Name, k.Help, k.Hidden)
	}
	if c.node == app.Node {
		out.add(part, "help", "Explain a command or a topic.", false)
		out.add(part, "version", "Print the version.", false)
	}
	positional := c.node.Positional
	if d := c.node.DefaultCmd; d != nil {
		positional = d.Positional
	}
	if c.args < len(positional) {
		more := values(positional[c.args], "", part, ask)
		out.List, out.Files = append(out.List, more.List...), more.Files
	}
	return out
}

// flags offers the flags of the command and of those above it.
func (c *cursor) flags(part string) (out Choices) {
	for _, group := range c.reach() {
		for _, f := range group {
			out.add(part, "--"+f.Name, f.Help, false)
		}
	}
	return out
}

// values offers what a flag or an argument can be. before stands in front of each.
func values(v *kong.Value, before, part string, ask Ask) (out Choices) {
	for _, e := range v.EnumSlice() {
		out.add(before+part, before+e, "", e == "")
	}
	for e := range strings.SplitSeq(v.Tag.Get("words"), ",") { // beside which others fit
		out.add(before+part, before+e, "", e == "")
	}
	if ask != nil && len(out.List) == 0 {
		for _, s := range ask(v.Name) {
			out.add(before+part, before+s, "", false)
		}
	}
	switch v.Tag.Type {
	case "existingfile", "existingdir", "path":
		out.Files = true
	}
	return out
}

// helped offers what can be explained.
func helped(app *kong.Application, before []string, part string) (out Choices) {
	at := cursor{node: app.Node}
	for _, w := range before {
		at.step(w)
	}
	for _, k := range at.node.Children {
		out.add(part, k.Name, k.Help, k.Hidden)
	}
	if len(before) == 0 {
		for _, t := range Topics() {
			out.add(part, t, title(t), false)
		}
	}
	return out
}

// add adds a choice that begins with what was typed.
func (c *Choices) add(part, text, help string, hidden bool) {
	if !hidden && strings.HasPrefix(text, part) {
		help, _, _ = strings.Cut(help, "\n")
		c.List = append(c.List, Choice{text, help})
	}
}
