package model

import (
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	facts, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"Video": 32, "Media": 2, "Archived": 6, "Signaling": 2, "Storage": 2}
	if len(facts.Services) != len(want) {
		t.Errorf("%d services, want %d", len(facts.Services), len(want))
	}
	for _, s := range facts.Services {
		if len(s.Operations) != want[s.Name] {
			t.Errorf("%s has %d operations, want %d", s.Name, len(s.Operations), want[s.Name])
		}
		for _, op := range s.Operations {
			if len(op.Exceptions) < 2 {
				t.Errorf("%s has only %d exceptions", op.Name, len(op.Exceptions))
			}
		}
	}
}

// TestParseRefuses holds one line of each kind that must not pass.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"text", "no name"},
		{"word Name", "unknown word"},
		{"text Name 1..256 a b", "left over"},
		{"integer Name 1..x", "left over"},
		{"text Name\ntext Name", "twice"},
		{"exception Name", "want a status"},
		{"exception Name four", "four"},
		{"operation Name", "want a path"},
		{"\tMember", "under nothing"},
		{"structure S\n\tMember", "unknown shape Member"},
		{"structure S\n\tMember a b", "left over"},
		{"operation O /o\n\t? Member", "not one of"},
		{"operation O /o\n\t! Unknown", "unknown exception"},
		{"list L Nothing", "unknown shape Nothing"},
		{"map M Nothing Nothing", "unknown shape Nothing"},
	} {
		err := newParser(nil).parse(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want one with %q", test.text, err, test.want)
		}
	}
}

func TestParse(t *testing.T) {
	p := newParser(map[string]*Shape{"Name": {Name: "Name", Kind: Text}})
	err := p.parse("service S 2017\nexception Bad 400 message\nstructure Part\n\tB! Name\n\tA Name\n" +
		"operation Do /do\n\t< Part!\n\t> payload\n\t! Bad\n")
	if err != nil {
		t.Fatal(err)
	}
	op := p.service.Operations[0]
	if op.Output != nil || len(op.Input.Members) != 1 || !op.Input.Members[0].Required {
		t.Errorf("operation %+v", op)
	}
	if want := (Exception{"BadException", 400, "message"}); op.Exceptions[0] != want {
		t.Errorf("exception %+v, want %+v", op.Exceptions[0], want)
	}
	part := op.Input.Members[0].Shape
	if part.Members[0].Name != "A" || part.Members[1].Name != "B" || part.Members[1].Shape.Name != "Name" {
		t.Errorf("members %+v", part.Members)
	}
}
