package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// awsCLI is the aws command in the path, as a key of the server.
func (s *server) awsCLI(t *testing.T) awsCommand {
	t.Helper()
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Fatal(err)
	}
	return awsCommand{s, program}
}

// with is the server as other credentials see it.
func (a awsCommand) with(key, secret, token string) awsCommand {
	s := *a.server
	s.key, s.secret, s.token = key, secret, token
	return awsCommand{&s, a.program}
}

// another makes an account beside the running server, and returns the server as its root
// sees it.
func (a awsCommand) another(t *testing.T, name string) awsCommand {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(run(t, environment(), program(t), "account", "create", name, "--data", a.data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = value
	}
	return a.with(values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"], "")
}

// user makes a user with an inline policy, "" for none, and returns the server as it sees it.
func (a awsCommand) user(t *testing.T, name, policy string) awsCommand {
	t.Helper()
	a.aws(t, "iam", "create-user", "--user-name", name)
	if policy != "" {
		a.aws(t, "iam", "put-user-policy", "--user-name", name, "--policy-name", "own", "--policy-document", policy)
	}
	var made struct {
		AccessKey struct{ AccessKeyId, SecretAccessKey string }
	}
	a.awsTo(t, &made, "iam", "create-access-key", "--user-name", name)
	return a.with(made.AccessKey.AccessKeyId, made.AccessKey.SecretAccessKey, "")
}

// role makes a role that principals of an account may take on, with an inline policy.
func (a awsCommand) role(t *testing.T, name, account, policy string) (arn string) {
	t.Helper()
	var made struct{ Role struct{ Arn string } }
	a.awsTo(t, &made, "iam", "create-role", "--role-name", name, "--assume-role-policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+account+`:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`)
	if policy != "" {
		a.aws(t, "iam", "put-role-policy", "--role-name", name, "--policy-name", "own", "--policy-document", policy)
	}
	return made.Role.Arn
}

// temporary calls STS for credentials and returns the server as they see it.
func (a awsCommand) temporary(t *testing.T, args ...string) awsCommand {
	t.Helper()
	var made struct {
		Credentials struct{ AccessKeyId, SecretAccessKey, SessionToken string }
	}
	a.awsTo(t, &made, append([]string{"sts"}, args...)...)
	c := made.Credentials
	return a.with(c.AccessKeyId, c.SecretAccessKey, c.SessionToken)
}

// refused runs an aws command that must fail with some words.
func (a awsCommand) refused(t *testing.T, words string, args ...string) {
	t.Helper()
	stdout, stderr, err := try(t, a.variables(), nil, a.program, append([]string{"--endpoint-url", a.https, "--output", "json"}, args...)...)
	if err == nil || !strings.Contains(stderr, words) {
		t.Errorf("aws %s: %v %s%s\nwant %s", strings.Join(args, " "), err, stdout, stderr, words)
	}
}

// grant is a policy of one statement: actions of the service on resources.
func grant(resource string, actions ...string) string {
	b, _ := json.Marshal(object{"Version": "2012-10-17", "Statement": []object{{"Effect": "Allow", "Action": actions, "Resource": resource}}})
	return string(b)
}

// streamARN is what policies write for a stream.
func (s *server) streamARN(name string) string {
	return "arn:aws:kinesisvideo:" + region + ":" + s.account + ":stream/" + name + "/*"
}

// TestCrossAccountRole is scenario E4, step by step as the guide has it: a policy and a role
// in the account that owns the stream, the permission to take the role on in the other.
func TestCrossAccountRole(t *testing.T) {
	owner := serve(t).awsCLI(t)
	guest := owner.another(t, "Viewers")
	owner.create(t, "garden")
	sent := seconds(3, 0)
	owner.put(t, "garden", sent...)
	var id struct{ Account string }
	guest.awsTo(t, &id, "sts", "get-caller-identity")
	var policy struct{ Policy struct{ Arn string } }
	owner.awsTo(t, &policy, "iam", "create-policy", "--policy-name", "WatchGarden", "--policy-document",
		grant(owner.streamARN("garden"), "kinesisvideo:Describe*", "kinesisvideo:Get*"))
	role := owner.role(t, "Watcher", id.Account, "")
	owner.aws(t, "iam", "attach-role-policy", "--role-name", "Watcher", "--policy-arn", policy.Policy.Arn)

	viewer := guest.user(t, "viewer", "")
	assume := []string{"assume-role", "--role-arn", role, "--role-session-name", "evening"}
	viewer.refused(t, "(AccessDenied) when calling the AssumeRole operation", append([]string{"sts"}, assume...)...)
	guest.aws(t, "iam", "put-user-policy", "--user-name", "viewer", "--policy-name", "own", "--policy-document", grant(role, "sts:AssumeRole"))
	session := viewer.temporary(t, assume...)
	var who struct{ Account, Arn string }
	session.awsTo(t, &who, "sts", "get-caller-identity")
	if who.Account != owner.account || who.Arn != "arn:aws:sts::"+owner.account+":assumed-role/Watcher/evening" {
		t.Errorf("the session is %+v", who)
	}
	file := temporary(t, "out.mkv")
	session.aws(t, "kinesisvideo", "describe-stream", "--stream-name", "garden")
	session.aws(t, "kinesis-video-media", "get-media", "--stream-name", "garden", "--start-selector", "StartSelectorType=EARLIEST", file)
	sameClusters(t, fileChunks(t, file), sent)
	session.refused(t, "is not authorized to perform: kinesisvideo:TagStream on resource: garden", "kinesisvideo", "tag-stream", "--stream-name", "garden", "--tags", "a=b")
	viewer.refused(t, "is not authorized to perform", "kinesisvideo", "describe-stream", "--stream-name", "garden")
	guest.refused(t, "ResourceNotFoundException", "kinesisvideo", "describe-stream", "--stream-name", "garden")
	viewer.profile(t, role)

	// What the console of AWS calls revoking: sessions from before now are denied everything.
	owner.aws(t, "iam", "put-role-policy", "--role-name", "Watcher", "--policy-name", "AWSRevokeOlderSessions", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+
			time.Now().UTC().Add(time.Second).Format(time.RFC3339)+`"}}}]}`)
	session.refused(t, "with an explicit deny in an identity-based policy", "kinesisvideo", "describe-stream", "--stream-name", "garden")
}

// profile lets the aws command take the role on by itself, from a profile.
func (a awsCommand) profile(t *testing.T, role string) {
	t.Helper()
	config := temporary(t, "config")
	text := fmt.Sprintf("[profile base]\naws_access_key_id=%s\naws_secret_access_key=%s\n[profile cross]\nrole_arn=%s\nsource_profile=base\nduration_seconds=900\n", a.key, a.secret, role)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(a.variables(), "AWS_CONFIG_FILE="+config, "HOME="+t.TempDir())
	if out := run(t, env, a.program, "--profile", "cross", "--output", "text", "sts", "get-caller-identity"); !strings.Contains(out, ":assumed-role/Watcher/") {
		t.Errorf("with a profile the caller is %s", out)
	}
	run(t, env, a.program, "--profile", "cross", "kinesisvideo", "describe-stream", "--stream-name", "garden")
}

// TestLeastPrivilegeProducer has the policies of the guides (identity sheet, section 3: S4, P1
// and P2) for a user, an exact stream, and a session whose tag names the stream.
func TestLeastPrivilegeProducer(t *testing.T) {
	s := serve(t).awsCLI(t)
	for _, name := range []string{"gate", "yard"} {
		s.create(t, name)
	}
	// P1, the Raspberry Pi.
	pi := s.user(t, "pi", grant("*", "kinesisvideo:DescribeStream", "kinesisvideo:CreateStream", "kinesisvideo:GetDataEndpoint", "kinesisvideo:PutMedia"))
	if _, acks := pi.pipe(t, gstreamer, "garden"); len(persisted(acks)) == 0 {
		t.Errorf("nothing is durable: %s", lines(acks))
	}
	// S4, one stream by its ARN.
	var gate struct{ StreamInfo struct{ StreamARN string } }
	s.awsTo(t, &gate, "kinesisvideo", "describe-stream", "--stream-name", "gate")
	device := s.user(t, "device", grant(gate.StreamInfo.StreamARN, "kinesisvideo:PutMedia"))
	device.put(t, "gate", seconds(2, 0)...)
	// P2, with a session tag for the name of the thing.
	p2 := grant(s.streamARN("${aws:PrincipalTag/thing}"), "kinesisvideo:DescribeStream", "kinesisvideo:PutMedia", "kinesisvideo:TagStream", "kinesisvideo:GetDataEndpoint")
	role := s.role(t, "Camera", s.account, p2)
	fleet := s.user(t, "fleet", grant(role, "sts:AssumeRole", "sts:TagSession"))
	camera := fleet.temporary(t, "assume-role", "--role-arn", role, "--role-session-name", "yard", "--tags", "Key=thing,Value=yard", "--duration-seconds", "900")
	if _, acks := camera.pipe(t, gstreamer, "yard"); len(persisted(acks)) == 0 {
		t.Errorf("nothing is durable: %s", lines(acks))
	}
	camera.aws(t, "kinesisvideo", "tag-stream", "--stream-name", "yard", "--tags", "side=south")
	for name, p := range map[string]awsCommand{"pi": pi, "device": device, "camera": camera} {
		p.refused(t, "is not authorized to perform: kinesisvideo:GetMedia on resource: gate", "kinesis-video-media", "get-media", "--stream-name", "gate",
			"--start-selector", "StartSelectorType=EARLIEST", os.DevNull)
		p.refused(t, "is not authorized to perform: kinesisvideo:ListStreams", "kinesisvideo", "list-streams")
		p.refused(t, "is not authorized to perform: kinesisvideo:DeleteStream", "kinesisvideo", "delete-stream", "--stream-arn", gate.StreamInfo.StreamARN)
		if name != "pi" { // S2 and P1 are for every stream
			p.mayNotPut(t, "garden")
		}
	}
}

// mayNotPut tries to send media, and wants the answer that the service gives.
func (s *server) mayNotPut(t *testing.T, stream string) {
	t.Helper()
	_, err := s.client(t).PutMedia(t.Context(), client.PutMediaRequest{StreamName: stream, TimecodeType: client.Relative, ProducerStart: began, Body: strings.NewReader("")})
	e, ok := errors.AsType[*client.Error](err)
	if !ok || e.Status != 403 || !strings.Contains(e.Message, "is not authorized to perform: kinesisvideo:PutMedia on resource: "+stream) {
		t.Errorf("PutMedia: %v", err)
	}
}

// TestLeastPrivilegeConsumer has the policy of the guides for readers (S1), with the
// credentials of GetSessionToken and boto3.
func TestLeastPrivilegeConsumer(t *testing.T) {
	s := serve(t).awsCLI(t)
	s.create(t, "garden")
	sent := seconds(3, 0)
	s.put(t, "garden", sent...)
	reader := s.user(t, "reader", grant("*", "kinesisvideo:Describe*", "kinesisvideo:Get*", "kinesisvideo:List*"))
	session := reader.temporary(t, "get-session-token", "--duration-seconds", "900")
	for _, who := range []awsCommand{reader, session} {
		file := temporary(t, "media.mkv")
		var seen struct {
			Who     string
			Refused map[string][]string
			Streams []string
		}
		out := run(t, who.variables(), python(t), "consumer.py", file, "garden")
		if err := json.Unmarshal([]byte(out), &seen); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		sameClusters(t, fileChunks(t, file), sent)
		if len(seen.Streams) != 1 || seen.Who != "arn:aws:iam::"+s.account+":user/reader" {
			t.Errorf("%+v", seen)
		}
		for call, got := range seen.Refused {
			code := "NotAuthorizedException"
			if call == "CreateStream" { // its model has none
				code = "AccessDeniedException"
			}
			if len(got) != 2 || got[0] != code || !strings.Contains(got[1], "because no identity-based policy allows the kinesisvideo:"+call+" action") {
				t.Errorf("%s: %q", call, got)
			}
		}
		if len(seen.Refused) != 3 {
			t.Errorf("%d calls were refused", len(seen.Refused))
		}
		who.mayNotPut(t, "garden")
	}
}
