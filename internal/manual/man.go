package manual

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// About is what a man page says about the program beside its commands.
type About struct {
	Version string
	Date    string // of the version, such as 2026-01-02; may be empty
}

// Man returns the program's manual page in the man macros of roff (man(7)).
func Man(app *kong.Application, about About) string {
	p := &page{}
	p.line(".TH %s 1 %s %s %s", arg(strings.ToUpper(app.Name)), arg(about.Date), arg(app.Name+" "+about.Version), arg("User Commands"))
	p.section("NAME")
	p.line("%s \\-", escape(app.Name))
	p.prose(strings.ToLower(app.Help[:1]) + strings.TrimSuffix(app.Help[1:], "."))
	p.section("SYNOPSIS")
	p.line(".B %s", escape(app.Name))
	p.line(".I command")
	p.line(".RI [ flags ]")
	p.section("DESCRIPTION")
	p.text(app.Detail)
	p.section("COMMANDS")
	for _, n := range app.Leaves(true) {
		p.command(n)
	}
	p.section("GLOBAL FLAGS")
	p.flags(app.Flags)
	for _, t := range Topics() {
		p.section(strings.ToUpper(strings.ReplaceAll(t, "-", " ")))
		p.text(body(t))
	}
	return p.String()
}

// page is a man page that is being written.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(name string) { p.line(".SH %s", name) }

// command explains one command.
func (p *page) command(n *kong.Node) {
	p.line(".SS %s", escape(strings.TrimPrefix(n.Summary(), n.Vars()["name"])))
	p.text(n.Help)
	if n.Detail != "" {
		p.line(".PP")
		p.text(n.Detail)
	}
	var flags []*kong.Flag
	for at := n; at.Parent != nil; at = at.Parent { // those of the application come once
		flags = append(flags, at.Flags...)
	}
	p.flags(flags)
}

// flags explains flags.
func (p *page) flags(flags []*kong.Flag) {
	for _, f := range flags {
		if f.Hidden {
			continue
		}
		p.line(".TP")
		name := "\\fB\\-\\-" + escape(f.Name) + "\\fR"
		if f.Short != 0 {
			name = "\\fB\\-" + escape(string(f.Short)) + "\\fR, " + name
		}
		if !f.IsBool() && !f.IsCounter() {
			name += "=\\fI" + escape(strings.Trim(f.FormatPlaceHolder(), `"`)) + "\\fR"
		}
		p.line("%s", name)
		p.prose(f.Help)
	}
}

// text writes paragraphs; indented lines stand as they are.
func (p *page) text(text string) {
	for i, block := range blocks(text) {
		if i > 0 {
			p.line(".PP")
		}
		if !indented(block[0]) {
			p.prose(strings.Join(block, " "))
			continue
		}
		p.line(".RS 4\n.nf")
		for _, l := range block {
			p.line("%s", escape(strings.TrimPrefix(l, "  ")))
		}
		p.line(".fi\n.RE")
	}
}

func indented(line string) bool { return strings.HasPrefix(line, "  ") }

// blocks divides a text into paragraphs and runs of indented lines.
func blocks(text string) (all [][]string) {
	fresh := true // the next line begins a block
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		last := len(all) - 1
		switch {
		case line == "":
			fresh = true
			continue
		case !fresh && indented(line) == indented(all[last][0]):
			all[last] = append(all[last], line)
		default:
			all = append(all, []string{line})
		}
		fresh = false
	}
	return all
}

// prose writes words that fill lines, in lines of their own of at most 78 bytes.
func (p *page) prose(text string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(escape(line+" "+word)) > 78 {
			p.line("%s", escape(line))
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.line("%s", escape(line))
}

// escape makes a text stand for itself in roff.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\(rs`, "-", `\-`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\t", "    ").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// arg makes a text one argument of a macro.
func arg(s string) string { return `"` + strings.ReplaceAll(escape(s), `"`, `\(dq`) + `"` }
