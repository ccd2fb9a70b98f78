package main

import (
	"os"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/policy"
)

// The policies of the guide can be stored as they stand there, and name only actions that
// there are.
func TestRecipes(t *testing.T) {
	page, err := os.ReadFile("../../docs/guide/secure.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, part := range strings.Split(string(page), "```json\n")[1:] {
		text, _, _ := strings.Cut(part, "```")
		found++
		kind := policy.Identity
		if strings.Contains(text, `"Principal"`) {
			kind = policy.Listener
		}
		if strings.Contains(text, `"sts:AssumeRole", "Principal"`) {
			kind = policy.Trust
		}
		d, err := policy.Parse(kind, []byte(text))
		if err != nil {
			t.Errorf("%v:\n%s", err, text)
			continue
		}
		for _, w := range d.Warnings(actions()...) {
			t.Errorf("%s:\n%s", w, text)
		}
	}
	if found < 8 {
		t.Errorf("found %d recipes", found)
	}
}
