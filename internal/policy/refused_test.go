package policy

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestRefusedTexts reads testdata/refused.txt: a rule, the kind of document with a text,
// and the error. In texts, \n alone stands for a new line.
func TestRefusedTexts(t *testing.T) {
	text, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]Kind{"identity": Identity, "trust": Trust, "listener": Listener}
	rule, got, asked := "", "", 0
	for i, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		kind, isKind := kinds[word]
		switch {
		case word == "" || word == "#":
		case word == "rule":
			rule = rest
		case isKind:
			d, err := Parse(kind, []byte(strings.ReplaceAll(rest, `\n `, "\n ")))
			var e *Error
			if d != nil || !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
				t.Fatalf("line %d: %s: taken as a %s policy: %v", i+1, rule, word, err)
			}
			got = e.Error()
			asked++
		case word == "error":
			if got != rest {
				t.Errorf("line %d: %s:\ngot  %s\nwant %s", i+1, rule, got, rest)
			}
		default:
			t.Fatalf("line %d: %q", i+1, line)
		}
	}
	if asked < 80 {
		t.Errorf("only %d texts", asked)
	}
}

func TestTextsThatAreTooLong(t *testing.T) {
	const document = `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	if _, err := Parse(Identity, []byte(document+strings.Repeat(" ", MaxText-len(document)))); err != nil {
		t.Error(err)
	}
	if _, err := Parse(Identity, []byte(document+strings.Repeat(" ", MaxText-len(document)+1))); err == nil || !strings.Contains(err.Error(), "longer than 131072 bytes") {
		t.Error(err)
	}
	if _, err := Parse(Identity, []byte("{\"Id\": \"a\xff\"}")); err == nil || err.Error() != "line 1, column 10: the text is not UTF-8" {
		t.Error(err)
	}
	if _, err := Parse(Identity, []byte(strings.Repeat(`[`, 1000))); err == nil || !strings.Contains(err.Error(), "nest deeper than 8 levels") {
		t.Error(err)
	}
}

// TestTakenTexts: forms that look odd and are right.
func TestTakenTexts(t *testing.T) {
	for _, text := range []string{
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
		` { "Version" : "2008-10-17" , "Id" : "" , "Statement" : [ { "Sid" : "" , "Effect" : "Deny" , "NotAction" : [ "s3:*" ] , "NotResource" : [ "*" ] , "Condition" : { } } ] } `,
		`{"Statement":[{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"","Effect":"Allow","Action":"*","Resource":"*"}]}`,
		`{"Statement":{"Effect":"\u0041llow","Action":"*","Resource":"*"}}`,
		`{"Statement":{"Effect":"Allow","Action":"s3:Get*Object?","Resource":["arn:aws:s3:::b/*","arn:aws:s3:::${aws:username}/\ud83d\ude00"],"Condition":{"StringEquals":{}}}}`,
		`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericEquals":{"k:x":[-1.5e+3,"0",0]}}}}`,
	} {
		if _, err := Parse(Identity, []byte(text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	parsed(t, Trust, `{"Statement":{"Effect":"Allow","Principal":"*","Action":["STS:AssumeRole","sts:*"]}}`)
	d := parsed(t, Identity, `{"Statement":{"Effect":"Allow","Action":"*","Resource":["*","arn:aws:s3:::\u00e9\ud83d\ude00\/\"\\\b\f\n\r\t"]}}`)
	if got := d.statements[0].resourceTexts[1]; got != "arn:aws:s3:::é😀/\"\\\b\f\n\r\t" {
		t.Errorf("%q", got)
	}
}
