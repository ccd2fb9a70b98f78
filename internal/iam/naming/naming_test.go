package naming

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
)

// TestNames have the characters and lengths that IAM allows.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		kind Kind
		name string
		good bool
	}{
		{User, "anna", true}, {User, "Anna.B+c=d,e@f-g_h0", true}, {User, strings.Repeat("a", 64), true}, {Group, strings.Repeat("a", 128), true},
		{Policy, strings.Repeat("a", 128), true}, {Role, strings.Repeat("a", 64), true},
		{User, "", false}, {User, "a b", false}, {User, "a/b", false}, {User, "größe", false}, {User, strings.Repeat("a", 65), false},
		{Group, strings.Repeat("a", 129), false}, {Policy, strings.Repeat("a", 129), false}, {Role, strings.Repeat("a", 65), false}, {User, "a\n", false},
	} {
		if err := CheckName(c.kind, c.name); (err == nil) != c.good || !c.good && kvs.KindOf(err) != kvs.Validation {
			t.Errorf("%s %q: %v", c.kind, c.name, err)
		}
	}
}

// TestPaths begin and end with a slash.
func TestPaths(t *testing.T) {
	for path, good := range map[string]bool{
		"/": true, "/a/": true, "/a/b/": true, "/!~/": true, "/" + strings.Repeat("a", 510) + "/": true, "///": true,
		"": false, "//": false, "a/": false, "/a": false, "/a b/": false, "/ä/": false, "/" + strings.Repeat("a", 511) + "/": false, "/\x7f/": false,
	} {
		if err := CheckPath(path); (err == nil) != good {
			t.Errorf("path %q: %v", path, err)
		}
	}
	for prefix, good := range map[string]bool{"/": true, "/a": true, "/a/b": true, "": false, "a": false, "/ ": false} {
		if err := CheckPrefix(prefix); (err == nil) != good {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

// TestTags have keys of 1 to 128 and values of 0 to 256 characters.
func TestTags(t *testing.T) {
	for _, c := range []struct {
		key, value string
		good       bool
	}{
		{"Team", "gate 7", true}, {"Größe", "", true}, {"a_.:/=+-@", "a_.:/=+-@", true}, {strings.Repeat("ü", 128), strings.Repeat("ü", 256), true},
		{"", "x", false}, {strings.Repeat("a", 129), "", false}, {"a", strings.Repeat("a", 257), false}, {"a*", "", false}, {"a", "x\ny", false},
		{"aws:x", "", false}, {"AWS:x", "", false}, {"a\xff", "", false},
	} {
		if err := CheckTag(c.key, c.value); (err == nil) != c.good {
			t.Errorf("%q=%q: %v", c.key, c.value, err)
		}
	}
}

// TestDescriptions may have lines and tabs.
func TestDescriptions(t *testing.T) {
	for text, good := range map[string]bool{"": true, "Größe\n\tx": true, strings.Repeat("ü", 1000): true, strings.Repeat("ü", 1001): false, "\x1b[2J": false, "\xff": false} {
		if err := CheckDescription(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	for name, good := range map[string]bool{"ab": true, "a": false, "": false, "a b": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false} {
		if err := CheckSessionName(name); (err == nil) != good {
			t.Errorf("session %q: %v", name, err)
		}
	}
	if CheckInlineName("own") != nil || CheckInlineName("o/wn") == nil {
		t.Error("inline names")
	}
}

// TestARNs are read as they are written, and nothing else is one.
func TestARNs(t *testing.T) {
	for _, n := range []Name{
		{"111122223333", User, "/", "anna"}, {"111122223333", Role, "/a/b/", "viewer"}, {AWS, Policy, "/", "AdministratorAccess"}, {"111122223333", Group, "/!/", "ops"},
	} {
		if got, ok := ParseARN(n.ARN()); !ok || got != n {
			t.Errorf("%s: %+v, %v", n.ARN(), got, ok)
		}
	}
	for _, bad := range []string{
		"", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user", "arn:aws:iam::111122223333:user/", "arn:aws:iam::1:user/anna",
		"arn:aws:iam::111122223333:server/anna", "arn:aws:iam:us-east-1:111122223333:user/anna", "arn:aws:sts::111122223333:assumed-role/r/s",
		"arn:aws:iam::111122223333:user/a b/anna", "arn:aws:iam::111122223333:user//anna", "arn:aws:iam::111122223333:user/an*a",
		"arn:aws:iam::111122223333:user/" + strings.Repeat("a", 65), "arn:aws:iam::111122223333:user/" + strings.Repeat("a/", 300) + "b",
	} {
		if n, ok := ParseARN(bad); ok {
			t.Errorf("%s: %+v", bad, n)
		}
	}
}

// TestIDs tell their kind and are never the same.
func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		for _, k := range []Kind{User, Group, Role, Policy} {
			id := NewID(k)
			if got, ok := KindOf(id); !ok || got != k || seen[id] {
				t.Errorf("%s: %s, %v", id, got, ok)
			}
			seen[id] = true
		}
	}
	for _, bad := range []string{"", "AKIAEXAMPLE000000000", "AIDA", "AIDAEXAMPLE0000000000"} {
		if k, ok := KindOf(bad); ok {
			t.Errorf("%s: %s", bad, k)
		}
	}
}

// FuzzParseARN: what is read is written the same, and obeys the rules of its parts.
func FuzzParseARN(f *testing.F) {
	for _, seed := range []string{"arn:aws:iam::111122223333:user/anna", "arn:aws:iam::aws:policy/a/b/C", "arn:aws:iam::111122223333:root", "arn:aws:iam:::user//x", "::::::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, arn string) {
		n, ok := ParseARN(arn)
		if !ok {
			return
		}
		if n.ARN() != arn || CheckName(n.Kind, n.Name) != nil || CheckPath(n.Path) != nil {
			t.Errorf("%q: %+v", arn, n)
		}
	})
}
