package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// Wrapping keys that cannot be meant are mistakes, each with what would be right.
func TestWrappingKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	for text, says := range map[string]string{
		"files: {alias/aws/kinesisvideo: /k}":                                        "keys.files.alias/aws/kinesisvideo: this id is the server's own key",
		"files: {\"arn:aws:kms:us-east-1:111122223333:alias/aws/kinesisvideo\": /k}": "the server's own key",
		"files: {alias/cameras: \"\"}":                                               "key-file make",
		"files: {alias/cameras: /k}\n  disabled: [alias/camera]":                     "keys.disabled: alias/camera: there is no such key in keys.files; did you mean alias/cameras?",
		"disabled: [x]": "there is no such key",
		"file: {}":      "there is no such setting",
	} {
		write(t, path, "keys:\n  "+text+"\n")
		if _, err := Load(Sources{File: path}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
	write(t, path, "keys:\n  files: {alias/a.b: /a, x: /b}\n  disabled: [x]\n")
	l, err := Load(Sources{File: path, Environ: []string{"MILLRACE_KEYS_FILES=y=/c"}})
	if err != nil || len(l.Keys.Files) != 3 || l.Keys.Files["alias/a.b"] != "/a" || l.Keys.Files["y"] != "/c" || l.Keys.Disabled[0] != "x" {
		t.Errorf("%+v, %v", l.Keys, err)
	}
}
