package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The manual page is one that man shows and mandoc has nothing against.
func TestTheManualPage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "millrace.1")
	if err := os.WriteFile(page, []byte(run(t, environment(), program(t), "man")), 0o600); err != nil {
		t.Fatal(err)
	}
	env := environment("LC_ALL=C.UTF-8", "MANWIDTH=80", "TERM=dumb")
	text, warnings, err := try(t, env, nil, "man", "--warnings", "--encoding=UTF-8", "-P", "cat", "-l", page)
	if err != nil || warnings != "" || !strings.Contains(text, "QUICKSTART") || !strings.Contains(text, "put <stream> <file> [flags]") {
		t.Errorf("man: %v\n%s\n%s", err, warnings, text)
	}
	// A program that was built without its commit has no date.
	findings, stderr, _ := try(t, env, nil, "mandoc", "-Tlint", page)
	for line := range strings.Lines(findings + stderr) {
		if !strings.Contains(line, "missing date") {
			t.Error(line)
		}
	}
}

// The tab key works in the shells themselves.
func TestTheTabKey(t *testing.T) {
	folder := t.TempDir()
	if err := os.Symlink(program(t), filepath.Join(folder, "millrace")); err != nil {
		t.Fatal(err)
	}
	env := environment("PATH="+folder+":"+os.Getenv("PATH"), "HOME="+folder, "LC_ALL=C.UTF-8")
	script := func(shell string) string {
		path := filepath.Join(folder, "completion."+shell)
		if err := os.WriteFile(path, []byte(run(t, env, program(t), "completion", shell)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bash, fish, zsh := script("bash"), script("fish"), script("zsh")
	run(t, env, "bash", "-n", bash)
	run(t, env, "zsh", "-n", zsh)
	run(t, env, "fish", "--no-execute", fish)
	// Each writes the choices for the words, a line each.
	asked := map[string]func(words ...string) string{
		"bash": func(words ...string) string {
			return run(t, env, "bash", append([]string{"-c", `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _millrace; printf '%s\n' "${COMPREPLY[@]}"`, bash}, words...)...)
		},
		"fish": func(words ...string) string {
			return run(t, env, "fish", "-c", "source "+fish+"; complete -C '"+strings.Join(words, " ")+"'")
		},
		// zsh completes only in a terminal: what its script hands to the shell is what counts.
		"zsh": func(words ...string) string {
			return run(t, env, "zsh", append([]string{"-fc", `_describe() { print -l -- ${(P)3%%:*} }; _files() { }; source "$0"; words=("$@"); CURRENT=$#; _millrace; true`, zsh}, words...)...)
		},
	}
	for shell, ask := range asked {
		for line, want := range map[string][]string{
			"millrace key res":       {"reset-root"},
			"millrace list --clock ": {"producer", "server"},
			"millrace help t":        {"testing", "tls", "top", "turn"},
		} {
			var got []string
			for l := range strings.Lines(ask(strings.Split(line, " ")...)) {
				word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
				got = append(got, word)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("%s: %q goes on with %q, want %q", shell, line, got, want)
			}
		}
	}
}
