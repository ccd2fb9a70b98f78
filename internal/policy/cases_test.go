package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/policy"
	"github.com/millrace/millrace/internal/policy/policytest"
)

// ruleCases are the policies of a rule in testdata/cases with what they must answer.
//
// The files have one thing a line: "rule NAME" begins a rule; "version V" (or none) says
// of which version its documents are; statement, session, boundary, account, listener and
// trust each add a statement to that set, in which Effect Allow, Action * and Resource *
// may be left out; root makes the caller root. "allow" and "deny" are questions, with
// parts of the request as NAME=VALUE, a value with spaces in quotes: action, resource,
// account, arn, id, role, service, federated, anonymous, else a key of the request, which
// may stand several times.
type ruleCases struct {
	rule       string
	version    string
	root       bool
	statements map[string][]string
	questions  []askedCase
}

type askedCase struct {
	where string
	allow bool
	q     policytest.Question
}

func readCases(t *testing.T) (all []ruleCases) {
	t.Helper()
	files, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			word, rest, _ := strings.Cut(line, " ")
			if word == "rule" {
				all = append(all, ruleCases{rule: rest, version: "2012-10-17", statements: map[string][]string{}})
			} else if word != "" && word != "#" {
				all[len(all)-1].read(t, filepath.Base(file)+":"+strconv.Itoa(i+1), word, rest)
			}
		}
	}
	return all
}

func (c *ruleCases) read(t *testing.T, where, word, rest string) {
	t.Helper()
	switch word {
	case "version":
		c.version = strings.TrimSuffix(rest, "none")
	case "root":
		c.root = true
	case "statement", "session", "boundary", "account", "listener", "trust":
		c.statements[word] = append(c.statements[word], completed(t, where, word, rest))
	case "allow", "deny":
		c.questions = append(c.questions, askedCase{where, word == "allow", question(t, where, rest)})
	default:
		t.Fatalf("%s: %q", where, word)
	}
}

// completed puts in what a case leaves out of a statement.
func completed(t *testing.T, where, kind, text string) string {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	add := func(name, value string) {
		if s[name] == nil && s["Not"+name] == nil {
			s[name] = value
		}
	}
	add("Effect", "Allow")
	add("Action", "*")
	if kind != "trust" && kind != "listener" {
		add("Resource", "*")
	}
	return shown(t, s)
}

func question(t *testing.T, where, text string) policytest.Question {
	t.Helper()
	q := policytest.Question{Action: "s:Any", Resource: "*", Keys: map[string][]string{}}
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			t.Fatalf("%s: %q", where, text)
		}
		value, after, _ := strings.Cut(rest, " ")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			after = strings.TrimPrefix(rest[len(quoted):], " ")
		}
		text = after
		field := map[string]*string{"action": &q.Action, "resource": &q.Resource, "account": &q.Account, "arn": &q.ARN,
			"id": &q.ID, "role": &q.RoleARN, "service": &q.Service, "federated": &q.Federated}[name]
		switch {
		case field != nil:
			*field = value
		case name == "anonymous":
			q.Anonymous = value == "true"
		default:
			policy.MapKeys(q.Keys).Add(name, value)
		}
	}
	return q
}

func (c *ruleCases) policies(t *testing.T) policytest.Policies {
	t.Helper()
	document := func(statements []string) string {
		if len(statements) == 0 {
			return ""
		}
		text := `{"Statement": [` + strings.Join(statements, ", ") + `]`
		if c.version != "" {
			text += `, "Version": "` + c.version + `"`
		}
		return text + "}"
	}
	p := policytest.Policies{Root: c.root, Boundary: document(c.statements["boundary"]), Account: document(c.statements["account"]),
		Listener: document(c.statements["listener"]), Trust: document(c.statements["trust"])}
	if s := document(c.statements["statement"]); s != "" {
		p.Identity = []string{s}
	}
	for _, s := range c.statements["session"] {
		p.Session = append(p.Session, document([]string{s}))
	}
	return p
}

// TestRules: the cases of testdata/cases, for both evaluators.
func TestRules(t *testing.T) {
	rules, questions := map[string]bool{}, 0
	for _, c := range readCases(t) {
		if rules[c.rule] || len(c.questions) == 0 {
			t.Errorf("%s: the rule stands twice, or asks nothing", c.rule)
		}
		rules[c.rule] = true
		questions += len(c.questions)
		t.Run(c.rule, func(t *testing.T) {
			p := c.policies(t)
			for _, asked := range c.questions {
				if agree(t, asked.q, p) != asked.allow {
					t.Errorf("%s: allowed must be %v\n%s", asked.where, asked.allow, policy.Explain(request(asked.q), set(t, p)))
				}
			}
		})
	}
	if questions < 300 {
		t.Errorf("%d cases, fewer than 300", questions)
	}
	t.Logf("%d rules, %d cases", len(rules), questions)
}
