package main

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/manual"
)

// The page, the topics and the completion are those of this program's commands.
func TestManual(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string // the beginning of a line
	}{
		{"man", exitOK, ".SS put <stream> <file> [flags]"},
		{"man", exitOK, ".SH ENVIRONMENT"},
		{"help tls", exitOK, "Which certificate the server shows"},
		{"help topics", exitOK, "exit-codes "},
		{"help nonsense", exitUsage, ""},
		{"--help", exitOK, "Topics: millrace help configuration"},
		{"completion bash", exitOK, "complete -F _millrace millrace"},
		{"completion tcsh", exitUsage, ""},
		{"__complete key res", exitOK, "reset-root\t"},
		{"__complete put --cr", exitOK, "--create\t"},
		{"__complete get demo --start E", exitOK, "EARLIEST\t"},
		{"__complete get demo --start=N", exitOK, "--start=NOW\t"},
		{"__complete help en", exitOK, "environment\t"},
	} {
		code, stdout, _ := program(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains("\n"+stdout, "\n"+c.want) {
			t.Errorf("millrace %s: code %d, want %d; no line begins with %q:\n%s", c.args, code, c.code, c.want, stdout)
		}
	}
}

// The names of streams are asked for while somebody waits for them.
func TestStreamNamesAreCompleted(t *testing.T) {
	p := &plumbing{streams: map[string]int64{"garden": 24, "gate": 0}}
	if code, stdout, stderr := command(t, p, nil, "__complete", "get", "ga"); code != exitOK || stdout != "garden\t\ngate\t\n" {
		t.Errorf("code %d: %q %s", code, stdout, stderr)
	}
	if code, stdout, stderr := command(t, p, nil, "__complete", "get", "x"); code != exitOK || stdout != "" {
		t.Errorf("code %d: %q %s", code, stdout, stderr)
	}
}

// The topic on variables names the commands that read settings from them: those and no
// others.
func TestTheTopicNamesCommandsThatReadSettings(t *testing.T) {
	text, _ := manual.Topic("environment")
	found := regexp.MustCompile(`work on a server of this machine \(([^)]*)\)`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("the topic has no list of commands")
	}
	named := strings.Fields(strings.ReplaceAll(found[1], ",", ""))
	slices.Sort(named)
	var reading []string
	for i := range reflect.TypeFor[cli]().NumField() {
		f := reflect.TypeFor[cli]().Field(i)
		if readsSettings(f.Type) {
			reading = append(reading, strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(f.Name, "$1-$2")))
		}
	}
	slices.Sort(reading)
	if !slices.Equal(named, reading) {
		t.Errorf("the topic names %q, settings are read by %q", named, reading)
	}
}

// readsSettings reports whether a command, or one below it, has the flags of settings.
func readsSettings(t reflect.Type) bool {
	if t == reflect.TypeFor[dataFlags]() || t == reflect.TypeFor[settingFlags]() {
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if readsSettings(t.Field(i).Type) {
			return true
		}
	}
	return false
}
