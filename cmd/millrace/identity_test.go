package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// registryDesk is a data directory whose identities the command line manages.
type registryDesk struct {
	t         *testing.T
	dir, home string
}

func newDesk(t *testing.T) *registryDesk {
	t.Helper()
	o := &registryDesk{t: t, dir: filepath.Join(t.TempDir(), "data"), home: "123456789012"}
	if code, _, errs := program(t, "init", "--data", o.dir, "--account", o.home); code != exitOK {
		t.Fatal(errs)
	}
	return o
}

// file writes a document and returns its name.
func (o *registryDesk) file(name, text string) string {
	o.t.Helper()
	path := filepath.Join(filepath.Dir(o.dir), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// does runs a command that must work and returns what it says.
func (o *registryDesk) does(args ...string) string {
	o.t.Helper()
	code, out, errs := program(o.t, append(args, "--data", o.dir)...)
	if code != exitOK {
		o.t.Fatalf("%v: code %d\n%s%s", args, code, out, errs)
	}
	return out + errs
}

// refused runs a command that must fail with some words.
func (o *registryDesk) refused(words string, args ...string) {
	o.t.Helper()
	code, out, errs := program(o.t, append(args, "--data", o.dir)...)
	if code != exitFailed || !strings.Contains(out+errs, words) {
		o.t.Errorf("%v: code %d, want %q\n%s%s", args, code, words, out, errs)
	}
}

// says runs a command that must work and say some words.
func (o *registryDesk) says(words []string, args ...string) {
	o.t.Helper()
	out := o.does(args...)
	for _, w := range words {
		if !strings.Contains(out, w) {
			o.t.Errorf("%v says nothing of %q:\n%s", args, w, out)
		}
	}
}

const cameraPolicy = `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
 "Action": ["kinesisvideo:PutMedia", "kinesisvideo:DescribeStream"],
 "Resource": "arn:aws:kinesisvideo:*:*:stream/${aws:username}/*"}]}`

// A camera's user comes and goes: with a policy, a group, a key of its own.
func TestUsersOfTheCommandLine(t *testing.T) {
	o := newDesk(t)
	camera := o.file("camera.json", cameraPolicy)
	o.says([]string{"arn:aws:iam::123456789012:policy/gate-camera"}, "policy", "create", "gate-camera", camera)
	o.does("group", "create", "viewers", "--policy", "AmazonKinesisVideoStreamsReadOnlyAccess")
	made := o.does("user", "create", "gate", "--policy", "gate-camera", "--group", "viewers", "--tag", "site=north", "--tag", "kind=a=b", "--key")
	key := regexp.MustCompile(`AWS_ACCESS_KEY_ID=(AKIA\w{16})\nAWS_SECRET_ACCESS_KEY=\S{40}\n`).FindStringSubmatch(made)
	if key == nil {
		t.Fatalf("no key:\n%s", made)
	}
	o.says([]string{"user/gate", "AIDA", "viewers", "policy/gate-camera", "site=north", "kind=a=b", key[1], "never"}, "user", "show", "gate")
	o.says([]string{key[1], "gate", "user"}, "key", "list")
	o.says([]string{`"Arn":"arn:aws:iam::123456789012:user/gate"`}, "user", "list", "--json")
	o.does("policy", "put", "more", camera, "--user", "gate")
	o.says([]string{"more"}, "user", "show", "gate")
	o.says([]string{"kinesisvideo:PutMedia"}, "policy", "show", "more", "--user", "gate")
	o.refused("more", "policy", "show", "more", "--group", "viewers")
	o.does("policy", "remove", "more", "--user", "gate")
	o.does("user", "boundary", "gate", "AdministratorAccess")
	if code, _, errs := program(t, "user", "boundary", "gate", "--data", o.dir); code != exitUsage || !strings.Contains(errs, "--clear") {
		t.Errorf("code %d: %s", code, errs)
	}
	o.does("user", "boundary", "gate", "--clear")
	o.says([]string{"are refused"}, "user", "revoke", "gate")
	o.says([]string{"gate"}, "group", "show", "viewers")

	o.refused("one line", "key", "create", "--user", "gate", "--note", "two\nlines")
	o.does("key", "create", "--user", "gate")
	o.refused("Cannot exceed quota", "key", "create", "--user", "gate")
	o.refused("no policy named", "user", "create", "yard", "--policy", "nothing")
	o.refused("cannot be found", "user", "show", "yard") // what was begun is gone
	o.refused("--force", "user", "delete", "gate")
	o.does("user", "delete", "gate", "--force")
	o.refused("cannot be found", "user", "show", "gate")
	o.refused("--force", "policy", "delete", o.attached())
	o.does("group", "delete", "viewers", "--force")
}

// attached is the name of a policy that somebody has.
func (o *registryDesk) attached() string {
	o.t.Helper()
	o.does("user", "create", "keeper", "--policy", "gate-camera")
	return "gate-camera"
}

// The sixth text of a policy pushes out the first.
func TestVersionsOfPolicies(t *testing.T) {
	o := newDesk(t)
	camera := o.file("camera.json", cameraPolicy)
	o.does("policy", "create", "camera", camera)
	for range 6 {
		o.does("policy", "update", "camera", camera)
	}
	o.says([]string{"v7, v6, v5, v4, v3; v7 decides"}, "policy", "show", "camera")
	o.refused("line 1", "policy", "update", "camera", o.file("bad.json", `{"Statement": 5}`))
	if code, _, errs := program(t, "policy", "check", o.file("bad.json", `{"Statement": 5}`)); code != exitFailed || !strings.Contains(errs, "bad.json: line 1") {
		t.Errorf("code %d: %s", code, errs)
	}
	if code, out, errs := program(t, "policy", "check", camera); code != exitOK || !strings.Contains(out, "can be stored") {
		t.Errorf("code %d: %s%s", code, out, errs)
	}
	o.does("policy", "delete", "camera", "--force")
}

// Who may do what is said as the server would decide it.
func TestPolicyTest(t *testing.T) {
	o := newDesk(t)
	camera := o.file("camera.json", cameraPolicy)
	o.does("policy", "create", "camera", camera)
	o.does("user", "create", "gate", "--policy", "camera")
	o.says([]string{"allowed by statement 1", "policy/camera"}, "policy", "test", "--user", "gate", "--action", "kinesisvideo:PutMedia", "--resource", "gate")
	o.refused("is denied", "policy", "test", "--user", "gate", "--action", "kinesisvideo:PutMedia", "--resource", "yard")
	o.refused("is denied", "policy", "test", "--policy", camera, "--action", "kinesisvideo:PutMedia", "--resource", "gate")
	o.says([]string{"allowed"}, "policy", "test", "--policy", camera, "--action", "kinesisvideo:PutMedia", "--resource", "gate", "--context", "aws:username=gate")
	o.says([]string{"allowed", "asks about *"}, "policy", "test", "--policy", o.file("all.json", `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`),
		"--action", "kinesisvideo:ListStreams", "--resource", "gate")
	trust := o.file("trust.json", `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "210987654321"}}]}`)
	o.does("role", "create", "watch", "--trust", trust, "--policy", "AmazonKinesisVideoStreamsReadOnlyAccess", "--max-session", "2h")
	o.says([]string{"2h0m0s", "210987654321", "ReadOnlyAccess"}, "role", "show", "watch")
	o.says([]string{"allowed"}, "policy", "test", "--role", "watch", "--action", "kinesisvideo:GetMedia", "--resource", "gate")
	o.refused("explicit deny", "policy", "test", "--role", "watch", "--action", "kinesisvideo:GetMedia", "--resource", o.denied("watch"))
	o.says([]string{"allowed"}, "policy", "test", "--role", "watch", "--action", "kinesisvideo:GetMedia", "--resource", "gate", "--context", "aws:username=x")
	for words, action := range map[string]string{"was kinesisvideo:PutMedia meant?": "kinesisvideo:PutMdia", "has no service": "PutMedia", "name one": "kinesisvideo:Get*"} {
		if code, _, errs := program(t, "policy", "test", "--user", "gate", "--action", action, "--data", o.dir); code != exitUsage || !strings.Contains(errs, words) {
			t.Errorf("%s: code %d: %s", action, code, errs)
		}
	}
	o.does("role", "trust", "watch", trust)
	o.does("role", "revoke", "watch")
	o.refused("--force", "role", "delete", "watch")
	o.does("role", "delete", "watch", "--force")
}

// denied is a stream that a role must not touch.
func (o *registryDesk) denied(role string) string {
	o.t.Helper()
	never := o.file("never.json", `{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "arn:aws:kinesisvideo:*:*:stream/vault/*"}]}`)
	o.does("policy", "put", "never", never, "--role", role)
	return "vault"
}

// Tenants have users of their own, of the same names, and go only as a whole.
func TestAccountsOfTheCommandLine(t *testing.T) {
	o := newDesk(t)
	made := o.does("account", "create", "Harbour", "--id", "210987654321")
	if !strings.Contains(made, "AWS_SECRET_ACCESS_KEY=") {
		t.Errorf("no key:\n%s", made)
	}
	o.does("user", "create", "gate")
	o.does("user", "create", "gate", "--account", "210987654321")
	o.says([]string{"arn:aws:iam::210987654321:user/gate"}, "user", "list", "--account", "210987654321")
	for _, account := range []string{o.home, "210987654321"} { // policies grant what is of the installation at home only
		o.does("user", "create", "boss", "--policy", "arn:aws:iam::aws:policy/AdministratorAccess", "--account", account)
		o.says([]string{"allowed"}, "policy", "test", "--user", "boss", "--action", "millrace:ListLimits", "--account", account)
	}
	o.says([]string{"allowed"}, "policy", "test", "--user", "boss", "--action", "millrace:SetLimit")
	o.refused("belongs to its home account", "policy", "test", "--user", "boss", "--action", "millrace:SetLimit", "--account", "210987654321")
	o.does("account", "boundary", "210987654321", o.file("boundary.json", cameraPolicy))
	o.says([]string{"Harbour", "tenant", "PutMedia"}, "account", "show", "210987654321")
	o.does("account", "boundary", "210987654321", "--clear")
	o.does("account", "rename", "210987654321", "Port")
	o.does("account", "disable", "210987654321")
	o.says([]string{"disabled", "Port"}, "account", "list")
	o.does("account", "enable", "210987654321")
	o.refused("home", "account", "disable", o.home)
	o.refused("there is no account", "user", "list", "--account", "999999999999")
	o.refused("nothing was done", "account", "delete", "210987654321")
	o.does("account", "delete", "210987654321", "--yes")
	if out := o.does("account", "list", "--json"); strings.Contains(out, "210987654321") {
		t.Errorf("it is still there:\n%s", out)
	}
}
