package main

import (
	"strings"
	"testing"
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
