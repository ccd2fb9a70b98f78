package policy

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// tooLong is far beyond what any text of the sizes below takes on any machine, and far
// below what an exponential matcher takes.
const tooLong = 10 * time.Second

// FuzzParse: what is taken is JSON, is read again in the same way, and can be asked; what
// is refused is refused with a place in the text.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if word, rest, _ := strings.Cut(line, " "); word == "identity" || word == "trust" {
			f.Add(uint8(len(word)), rest)
		}
	}
	for _, b := range Builtins() {
		f.Add(uint8(Identity), b.Document.Text())
	}
	f.Add(uint8(Listener), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"NotAction":"s:*","NotResource":"arn:aws:s3:::${aws:username, 'x'}*","Condition":{"ForAllValues:StringNotLikeIfExists":{"k:x":["a*?","${*}"]},"DateLessThan":{"k:y":"2026"}}}}`)
	keys := MapKeys{"aws:username": {"anna"}, "k:x": {"a", "b*"}, "k:y": {"2025-01-01"}}
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		k := Kind(kind % 3)
		begun := time.Now()
		d, err := Parse(k, []byte(text))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Line > 1+strings.Count(text, "\n") || e.Column < 1 || e.Column > 1+utf8.RuneCountInString(text) || e.Reason == "" {
				t.Fatalf("%#v\n%s", err, text)
			}
			return
		}
		if !json.Valid([]byte(text)) || d.Text() != text || d.Statements() == 0 {
			t.Fatalf("taken: %q", text)
		}
		if same, err := d.Rename(func(string) (string, bool) { return "", false }); err != nil || same.Text() != text {
			t.Fatalf("renamed without a name: %v\n%s", err, text)
		}
		r := &Request{Action: "s:Get", Resource: "arn:aws:s3:::anna/x", Keys: keys, Principal: Who{Account: "111122223333", ID: "AIDAAAAAAAAAAAAAAAAA"}}
		s := &Set{Identity: []Source{{"d", d}}, Listener: &Source{"d", d}}
		if x := Explain(r, s); x.Decision != Decide(r, s) || x.String() == "" {
			t.Fatalf("%v\n%s", x, text)
		}
		d.Warnings("s:Get", "s:Put")
		if took := time.Since(begun); took > tooLong {
			t.Fatalf("took %v", took)
		}
	})
}

// FuzzMatches compares the matcher with a table of all prefixes of both, which is slow,
// but never exponential.
func FuzzMatches(f *testing.F) {
	f.Add("a*b?c", "axxbyc", "v")
	f.Add("*ab*ab", "abab", "")
	f.Add("${k:x}*${*}?", "v**é", "v*")
	f.Add("*??", "日本", "")
	f.Add(strings.Repeat("a*", 40)+"b", strings.Repeat("a", 100), "")
	f.Add(strings.Repeat("*?", 40)+"b", strings.Repeat("a", 100), "")
	f.Fuzz(func(t *testing.T, text, value, of string) {
		if len(text) > 300 || len(value) > 300 || len(of) > 100 ||
			!utf8.ValidString(text) || !utf8.ValidString(value) || !utf8.ValidString(of) {
			return
		}
		p, reason := parsePattern(text, grammar{wildcards: true, variables: true})
		if reason != "" {
			return
		}
		e := newEvaluation(&Request{Keys: MapKeys{"k:x": {of}}})
		pieces, ok := e.resolve(&p)
		if !ok {
			return
		}
		begun := time.Now()
		got := matches(pieces, value)
		if took := time.Since(begun); took > tooLong {
			t.Fatalf("took %v", took)
		}
		if want := tabled(pieces, []rune(value)); got != want {
			t.Fatalf("%q on %q (variable %q) is %v", text, value, of, got)
		}
	})
}

// tabled matches by the table whose row i says which prefixes of the text the first i
// characters of the pattern match.
func tabled(pieces []piece, text []rune) bool {
	row := make([]bool, len(text)+1)
	row[0] = true
	next := func(step func(at int, above, left, diagonal bool) bool) {
		fresh := make([]bool, len(row))
		for at := range fresh {
			left, diagonal := false, false
			if at > 0 {
				left, diagonal = fresh[at-1], row[at-1]
			}
			fresh[at] = step(at, row[at], left, diagonal)
		}
		row = fresh
	}
	for _, p := range pieces {
		switch p.kind {
		case anyRun:
			next(func(_ int, above, left, _ bool) bool { return above || left })
		case anyOne:
			next(func(_ int, _, _, diagonal bool) bool { return diagonal })
		default:
			for _, c := range p.text {
				next(func(at int, _, _, diagonal bool) bool { return diagonal && text[at-1] == c })
			}
		}
	}
	return row[len(text)]
}

// TestLongPatterns: the worst that fits into a policy, on the longest resource, takes a
// moment and not forever.
func TestLongPatterns(t *testing.T) {
	value := strings.Repeat("a", 1024)
	for _, text := range []string{strings.Repeat("a*", 3000) + "b", strings.Repeat("*?", 1500) + "b", "*" + strings.Repeat("?", 500) + "b",
		strings.Repeat("*a?", 300) + "b", strings.Repeat("*", 6000) + "b"} {
		p, reason := parsePattern(text, grammar{wildcards: true})
		if reason != "" || matches(p.pieces, value) || matches(p.pieces, value+"b") != (strings.Count(text, "a")+strings.Count(text, "?") <= 1024) {
			t.Errorf("%.20s...: %s", text, reason)
		}
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"1", "-1.5e3", "2026", "2026-05-17T08:30:00.5+02:00", "-0.5", "2024-02-29", "1779006600.25", "0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, ok := parseNumber(s); ok && strings.Trim(s, "0123456789+-.eE") != "" {
			t.Errorf("%q is a number", s)
		}
		m, ok := parseMoment(s)
		if !ok {
			return
		}
		if m.nano < 0 || m.nano > 999_999_999 {
			t.Errorf("%q is %+v", s, m)
		}
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02", "2006-01", "2006"} {
			if at, err := time.Parse(layout, s); err == nil && (at.Unix() != m.second || at.Nanosecond() != m.nano) {
				t.Errorf("%q is %+v, not %v", s, m, at)
			}
		}
	})
}
