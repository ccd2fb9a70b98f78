package manual

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// program is a small command line with everything that completion and page must know.
type program struct {
	Serve struct {
		Config string `type:"existingfile" placeholder:"FILE" help:"Settings."`
		Dev    bool   `help:"For trying out."`
	} `cmd:"" help:"Run it."`
	Key struct {
		Create struct{} `cmd:"" help:"Make one."`
		Delete struct {
			ID string `arg:"" name:"KEY"`
		} `cmd:"" help:"Delete one."`
	} `cmd:"" help:"Manage keys."`
	Copy struct {
		Make struct {
			To   string `arg:"" type:"path"`
			Keep int
		} `cmd:"" default:"withargs" help:"Make one."`
		Show struct{} `cmd:"" help:"Show them."`
	} `cmd:"" help:"Copies."`
	Get    get      `cmd:"" help:"Read media."`
	Secret struct{} `cmd:"" hidden:""`
}

type get struct {
	Stream string `arg:"" help:"Its name."`
	To     string `arg:"" optional:"" type:"path" help:"Where to."`
	Clock  string `enum:"server,producer" default:"server" short:"c" help:".dots and 'quotes' and a \\ at the beginning of a long help text that has to be wrapped somewhere."`
}

func (get) Help() string { return "How it goes.\n\nExamples:\n  a.sh --x\n  .b\nThe end." }

func model(t *testing.T) *kong.Application {
	t.Helper()
	k, err := kong.New(&program{}, kong.Name("prog"), kong.Description("A program."))
	if err != nil {
		t.Fatal(err)
	}
	return k.Model
}

func TestComplete(t *testing.T) {
	app := model(t)
	ask := func(kind string) []string {
		if kind == "stream" {
			return []string{"garden", "gate", "porch"}
		}
		return nil
	}
	for line, want := range map[string]string{
		"":                      "serve key copy get help version",
		"|":                     "serve key copy get help version",
		"k|":                    "key",
		"s|":                    "serve", // not what is hidden
		"key |":                 "create delete",
		"key d|":                "delete",
		"key delete |":          "",
		"serve |":               "",
		"serve --|":             "--help --config --dev",
		"serve --d|":            "--dev",
		"serve --config |":      ":files",
		"serve --config=|":      ":files",
		"serve --config = |":    ":files", // as bash splits it
		"serve --config = a |":  "",
		"serve --config f --d|": "--dev",
		"serve --dev --c|":      "--config",
		"copy |":                "make show :files",
		"copy x --k|":           "--keep",
		"copy --keep |":         "",
		"get |":                 "garden gate porch",
		"get ga|":               "garden gate",
		"get garden |":          ":files",
		"get garden a |":        "",
		"get --clock |":         "server producer",
		"get --clock p|":        "producer",
		"get --clock=p|":        "--clock=producer",
		"get --clock = p|":      "producer",
		"get -c |":              "server producer",
		"get --unknown=|":       "",
		"get -- --|":            "",
		"nonsense |":            "serve key copy get help version", // the mistake is said when it runs
		"help |":                "serve key copy get configuration environment exit-codes limits monitor quickstart testing tls",
		"help e|":               "environment exit-codes",
		"help key |":            "create delete",
	} {
		words := strings.Split(strings.TrimSuffix(line, "|"), " ")
		got := Complete(app, words, ask)
		var list []string
		for _, c := range got.List {
			list = append(list, c.Text)
		}
		if got.Files {
			list = append(list, ":files")
		}
		if strings.Join(list, " ") != want {
			t.Errorf("%q goes on with %q, want %q", line, list, want)
		}
	}
	if got := Complete(app, nil, nil); len(got.List) == 0 {
		t.Error("nothing for no words")
	}
	var b strings.Builder
	Complete(app, []string{"serve", "--config", ""}, nil).Write(&b)
	Complete(app, []string{"key", "c"}, nil).Write(&b)
	if b.String() != ":files\ncreate\tMake one.\n" {
		t.Errorf("written as %q", b.String())
	}
}

// Whatever is typed, completion neither fails nor offers a word that does not go on.
func FuzzComplete(f *testing.F) {
	for _, s := range []string{"", "get --clock = p", "key delete x --", "help help", "get - -", "--=x", "= = ="} {
		f.Add(s)
	}
	k, err := kong.New(&program{}, kong.Name("prog"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		for _, c := range Complete(k.Model, words, nil).List {
			if last := words[len(words)-1]; last != "=" && !strings.HasPrefix(c.Text, last) {
				t.Errorf("%q does not begin with %q", c.Text, last)
			}
		}
	})
}

func TestMan(t *testing.T) {
	got := Man(model(t), About{Version: "v1.2.3", Date: "2026-01-02"})
	for _, want := range []string{
		".TH \"PROG\" 1 \"2026\\-01\\-02\" \"prog v1.2.3\" \"User Commands\"\n",
		".SH NAME\nprog \\-\na program\n",
		".SS serve [flags]\nRun it.\n",
		"\\fB\\-\\-config\\fR=\\fIFILE\\fR\nSettings.\n",
		".SS key delete <KEY>",
		"\\fB\\-c\\fR, \\fB\\-\\-clock\\fR=\\fI",
		"\n\\&.dots and 'quotes' and a \\(rs at",
		"How it goes.\n.PP\nExamples:\n.PP\n.RS 4\n.nf\na.sh \\-\\-x\n\\&.b\n.fi\n.RE\n.PP\nThe end.\n",
		".SH EXIT CODES\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	if strings.Contains(got, ".SS secret") {
		t.Error("the page shows a hidden command")
	}
	for line := range strings.Lines(got) {
		if len(line) > 200 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// A topic has a title, which lists show, and a text that fits a terminal.
func TestTopics(t *testing.T) {
	names := Topics()
	for _, want := range []string{"configuration", "environment", "limits", "exit-codes", "tls", "quickstart"} {
		if !slices.Contains(names, want) {
			t.Errorf("no topic %s", want)
		}
	}
	for _, n := range names {
		text, found := Topic(n)
		lines := strings.Split(text, "\n")
		if !found || len(lines) < 3 || !strings.HasSuffix(lines[0], ".") || lines[1] != "" {
			t.Errorf("%s: no title line with an empty line behind it", n)
		}
		for i, l := range lines {
			if len(l) > 100 {
				t.Errorf("%s:%d: %d bytes", n, i+1, len(l))
			}
		}
	}
	if _, found := Topic("../topics/tls"); found {
		t.Error("a path is a topic")
	}
}

func TestScripts(t *testing.T) {
	for _, shell := range Shells() {
		script, err := Script(shell)
		if err != nil || !strings.Contains(script, CompleteCommand) {
			t.Errorf("%s: %v", shell, err)
		}
	}
	if _, err := Script("tcsh"); err == nil {
		t.Error("a script for a shell that has none")
	}
}
