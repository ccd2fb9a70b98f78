package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page is docs/guide/ci.md: its blocks by the mark in front of them.
type page struct {
	files map[string]string // to be saved under these names
	run   map[string]string
}

var marked = regexp.MustCompile("(?ms)^<!-- (file|run): (\\S+) -->\n```\\w+\n(.*?)^```$")

// readPage takes the blocks out of the page, with ports that are free here.
func readPage(t *testing.T) page {
	t.Helper()
	b, err := os.ReadFile("../../docs/guide/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	ports := strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:"+freePort(t), "127.0.0.1:8443", "127.0.0.1:"+freePort(t))
	p := page{files: map[string]string{}, run: map[string]string{}}
	for _, m := range marked.FindAllStringSubmatch(string(b), -1) {
		into := p.run
		if m[1] == "file" {
			into = p.files
		}
		into[m[2]] = ports.Replace(m[3])
	}
	return p
}

// job is the script that a CI system makes of a YAML block: its variables, then the
// commands of its steps.
func job(yaml string) string {
	var script strings.Builder
	variable := regexp.MustCompile(`^ +([A-Z_]+): (\S+)$`)
	block := -1 // indentation of the commands below "run: |" or "script:"
	for line := range strings.Lines(yaml) {
		line = strings.TrimRight(line, "\n")
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		switch m := variable.FindStringSubmatch(line); {
		case m != nil:
			script.WriteString("export " + m[1] + "=" + m[2] + "\n")
		case text == "run: |" || text == "script:":
			block = indent + 2
		case block >= 0 && indent >= block:
			script.WriteString(strings.TrimPrefix(text, "- ") + "\n")
		default:
			block = -1
		}
	}
	return script.String()
}

// Every block of the page on CI works as it stands there.
func TestThePageOnCI(t *testing.T) {
	t.Parallel()
	shape := readPage(t)
	for name, want := range map[string]string{
		"boto3":      "OK",
		"javascript": "# pass 1",
		"go":         "ok ",
		"kvssink":    "PRODUCER TIME",
		"clock":      "2030-01-01T00:00:00Z at speed 0",
		"faults":     "ack=4009",
		"github":     "OK",
		"gitlab":     "OK",
	} {
		if shape.run[name] == "" {
			t.Errorf("the page has no block %s", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := readPage(t)
			script := p.run["environment"] + p.run["clip"]
			switch name {
			case "github", "gitlab":
				script = p.run["clip"] + job(p.run[name])
			case "faults": // starts a server of its own
				script += p.run[name]
			default:
				script += p.run["start"] + p.run[name]
			}
			out := p.bash(t, script)
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		})
	}
}

// bash runs a script in a directory that holds the page's files, with the program under
// test as millrace, and ends what it left in the background.
func (p page) bash(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range p.files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join("../ci", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	modules, err := filepath.Abs("node_modules")
	if err == nil {
		err = os.Symlink(modules, filepath.Join(dir, "node_modules"))
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "bin"), 0o700)
	}
	if err == nil {
		err = os.Symlink(program(t), filepath.Join(dir, "bin", "millrace"))
	}
	var python3 string
	if err == nil {
		python3, err = exec.LookPath(python(t))
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "bin", "python3"), []byte("#!/bin/sh\nexec "+python3+" \"$@\"\n"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	prologue := "set -euo pipefail\ntrap 'kill $(jobs -p) && wait' EXIT\ncd " + dir + "\nPATH=$PWD/bin:$PATH\n"
	out, errors, err := try(t, environment("GOFLAGS=-mod=mod", "HOME="+os.Getenv("HOME")), strings.NewReader(""), "bash", "-c", prologue+script)
	if err != nil {
		server, _ := os.ReadFile(filepath.Join(dir, "millrace.log"))
		t.Errorf("%v\n%s%s\nthe server said:\n%s", err, out, errors, server)
	}
	return out + errors
}
