package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// as is the same server for somebody with other keys.
func (s *server) as(key, secret string) *server {
	other := *s
	other.key, other.secret = key, secret
	return &other
}

// keyOutput is what aws iam create-access-key prints.
type keyOutput struct {
	AccessKey struct{ UserName, AccessKeyId, SecretAccessKey, Status string }
}

// paper is a file with a policy.
func paper(t *testing.T, text string) string {
	t.Helper()
	name := temporary(t, "policy.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + name
}

// refusedWith runs an aws command that must fail with a code.
func (a awsCommand) refusedWith(t *testing.T, code, words string, args ...string) {
	t.Helper()
	stdout, stderr, err := try(t, a.variables(), nil, a.program, append([]string{"--endpoint-url", a.https}, args...)...)
	if err == nil || !strings.Contains(stderr, "An error occurred ("+code+")") || !strings.Contains(stderr, words) {
		t.Errorf("aws %s: %v, want %s and %q\n%s%s", strings.Join(args, " "), err, code, words, stdout, stderr)
	}
}

// TestAWSCLIIdentity is scenario A4 of the tutorials and what comes around it: a user with a
// key of its own, which may do what its policies say, and tidying up afterwards.
func TestAWSCLIIdentity(t *testing.T) {
	root := awsCommand{serve(t), "aws"}
	root.aws(t, "kinesisvideo", "create-stream", "--stream-name", "yard", "--data-retention-in-hours", "2")
	root.aws(t, "kinesisvideo", "create-stream", "--stream-name", "gate", "--data-retention-in-hours", "2")

	var user struct {
		User struct{ UserName, UserId, Arn, Path string }
	}
	root.awsTo(t, &user, "iam", "create-user", "--user-name", "camera", "--path", "/devices/", "--tags", "Key=place,Value=yard")
	if want := "arn:aws:iam::" + account + ":user/devices/camera"; user.User.Arn != want || !strings.HasPrefix(user.User.UserId, "AIDA") {
		t.Errorf("create-user: %+v, want %s", user, want)
	}
	root.refusedWith(t, "EntityAlreadyExists", "User with name camera already exists.", "iam", "create-user", "--user-name", "camera")
	var made keyOutput
	root.awsTo(t, &made, "iam", "create-access-key", "--user-name", "camera")
	k := made.AccessKey
	if k.UserName != "camera" || k.Status != "Active" || !strings.HasPrefix(k.AccessKeyId, "AKIA") || len(k.SecretAccessKey) != 40 {
		t.Fatalf("create-access-key: %+v", made)
	}
	camera := awsCommand{root.as(k.AccessKeyId, k.SecretAccessKey), "aws"}
	camera.denied(t, user.User.Arn)
	root.granting(t, camera)
	root.seeing(t, camera, k.AccessKeyId)
	root.tidying(t, camera, k.AccessKeyId)
}

// denied: a user without policies may do nothing, and learns nothing of what there is.
func (a awsCommand) denied(t *testing.T, arn string) {
	t.Helper()
	const because = "because no identity-based policy allows the kinesisvideo:DescribeStream action"
	for _, stream := range []string{"yard", "nothing"} {
		a.refusedWith(t, "NotAuthorizedException", "User: "+arn+" is not authorized to perform: kinesisvideo:DescribeStream on resource: "+stream+" "+because,
			"kinesisvideo", "describe-stream", "--stream-name", stream)
	}
	for _, name := range []string{"camera", "nobody"} {
		a.refusedWith(t, "AccessDenied", "User: "+arn+" is not authorized to perform: iam:GetUser on resource: user "+name+" because", "iam", "get-user", "--user-name", name)
	}
	a.refusedWith(t, "AccessDenied", "iam:CreateUser", "iam", "create-user", "--user-name", "other")
}

// granting gives a camera its stream, by an inline policy with a variable.
func (a awsCommand) granting(t *testing.T, camera awsCommand) {
	t.Helper()
	a.refusedWith(t, "MalformedPolicyDocument", "line 1", "iam", "put-user-policy", "--user-name", "camera", "--policy-name", "own", "--policy-document", paper(t, `{"Statement":[{"Effect":"allow"}]}`))
	a.aws(t, "iam", "put-user-policy", "--user-name", "camera", "--policy-name", "own", "--policy-document", paper(t, `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["kinesisvideo:DescribeStream", "kinesisvideo:GetDataEndpoint", "kinesisvideo:PutMedia", "kinesisvideo:ListFragments"],
     "Resource": "arn:aws:kinesisvideo:*:*:stream/${aws:PrincipalTag/place}/*"},
    {"Effect": "Allow", "Action": ["iam:GetUser", "iam:*AccessKey*"], "Resource": "arn:aws:iam::*:user/devices/${aws:username}"}
  ]
}`))
	camera.aws(t, "kinesisvideo", "describe-stream", "--stream-name", "yard")
	camera.refusedWith(t, "NotAuthorizedException", "on resource: gate because", "kinesisvideo", "describe-stream", "--stream-name", "gate")
	camera.refusedWith(t, "NotAuthorizedException", "kinesisvideo:DeleteStream", "kinesisvideo", "delete-stream", "--stream-arn", a.arn(t, "yard"))
	camera.put(t, "yard", seconds(2, 0)...)
	var list struct {
		Fragments []struct{ FragmentNumber string }
	}
	camera.awsTo(t, &list, "kinesis-video-archived-media", "list-fragments", "--stream-name", "yard",
		"--fragment-selector", "FragmentSelectorType=SERVER_TIMESTAMP,TimestampRange={StartTimestamp=2020-01-01T00:00:00Z,EndTimestamp=2100-01-01T00:00:00Z}")
	if len(list.Fragments) != 2 {
		t.Errorf("the camera sees %d fragments of its own, want 2", len(list.Fragments))
	}
}

func (a awsCommand) arn(t *testing.T, stream string) string {
	t.Helper()
	var d struct{ StreamInfo struct{ StreamARN string } }
	a.awsTo(t, &d, "kinesisvideo", "describe-stream", "--stream-name", stream)
	return d.StreamInfo.StreamARN
}

// seeing reads back what was made.
func (a awsCommand) seeing(t *testing.T, camera awsCommand, key string) {
	t.Helper()
	var self struct{ User struct{ UserName string } }
	camera.awsTo(t, &self, "iam", "get-user")
	if self.User.UserName != "camera" {
		t.Errorf("get-user of oneself: %+v", self)
	}
	var text struct{ PolicyDocument struct{ Version string } }
	a.awsTo(t, &text, "iam", "get-user-policy", "--user-name", "camera", "--policy-name", "own")
	if text.PolicyDocument.Version != "2012-10-17" {
		t.Errorf("get-user-policy: %+v", text)
	}
	var used struct {
		UserName          string
		AccessKeyLastUsed struct{ LastUsedDate string }
	}
	a.awsTo(t, &used, "iam", "get-access-key-last-used", "--access-key-id", key)
	if used.UserName != "camera" {
		t.Errorf("get-access-key-last-used: %+v", used)
	}
	for _, name := range []string{"b", "c", "d", "e"} {
		a.aws(t, "iam", "create-user", "--user-name", name)
	}
	var users struct{ Users []struct{ UserName string } }
	a.awsTo(t, &users, "iam", "list-users", "--page-size", "2")
	if len(users.Users) != 5 {
		t.Errorf("list-users in pages of two: %+v", users)
	}
	var first struct {
		Users     []struct{ UserName string }
		NextToken string
	}
	a.awsTo(t, &first, "iam", "list-users", "--max-items", "3")
	if len(first.Users) != 3 || first.NextToken == "" {
		t.Errorf("list-users --max-items: %+v", first)
	}
	var results struct {
		EvaluationResults []struct{ EvalDecision string }
	}
	a.awsTo(t, &results, "iam", "simulate-principal-policy", "--policy-source-arn", "arn:aws:iam::"+account+":user/devices/camera",
		"--action-names", "iam:GetUser", "kinesisvideo:DeleteStream", "--resource-arns", "arn:aws:iam::"+account+":user/devices/camera")
	if r := results.EvaluationResults; len(r) != 2 || r[0].EvalDecision != "allowed" || r[1].EvalDecision != "implicitDeny" {
		t.Errorf("simulate-principal-policy: %+v", results)
	}
}

// tidying deletes the user, in the order that IAM wants, and it is nobody from then on.
func (a awsCommand) tidying(t *testing.T, camera awsCommand, key string) {
	t.Helper()
	a.refusedWith(t, "DeleteConflict", "must delete access keys first", "iam", "delete-user", "--user-name", "camera")
	// a user may give up a key of its own
	var second keyOutput
	camera.awsTo(t, &second, "iam", "create-access-key")
	camera.refusedWith(t, "LimitExceeded", "AccessKeysPerUser: 2", "iam", "create-access-key")
	camera.aws(t, "iam", "update-access-key", "--access-key-id", key, "--status", "Inactive")
	camera.refusedWith(t, "InvalidClientTokenId", "The security token included in the request is invalid.", "iam", "get-user")
	camera.refusedWith(t, "UnrecognizedClientException", "", "kinesisvideo", "list-streams")
	other := awsCommand{a.as(second.AccessKey.AccessKeyId, second.AccessKey.SecretAccessKey), "aws"}
	other.aws(t, "iam", "delete-access-key", "--access-key-id", key)
	a.refusedWith(t, "NoSuchEntity", "The Access Key with id "+key+" cannot be found.", "iam", "delete-access-key", "--user-name", "camera", "--access-key-id", key)
	a.aws(t, "iam", "delete-access-key", "--user-name", "camera", "--access-key-id", second.AccessKey.AccessKeyId)
	a.refusedWith(t, "DeleteConflict", "must delete policies first", "iam", "delete-user", "--user-name", "camera")
	a.aws(t, "iam", "delete-user-policy", "--user-name", "camera", "--policy-name", "own")
	a.aws(t, "iam", "delete-user", "--user-name", "camera")
	a.refusedWith(t, "NoSuchEntity", "The user with name camera cannot be found.", "iam", "get-user", "--user-name", "camera")
	other.refusedWith(t, "InvalidClientTokenId", "", "iam", "get-user")
	wrong := awsCommand{a.as(a.key, strings.Repeat("x", 40)), "aws"}
	wrong.refusedWith(t, "SignatureDoesNotMatch", "", "iam", "list-users")
}

// TestBoto3Identity calls every action of IAM that is served, once at least, with boto3, which
// parses each answer by the service's own model.
func TestBoto3Identity(t *testing.T) {
	s := serve(t)
	out := run(t, s.variables(), python(t), append([]string{"boto_identity.py", s.https, s.ca()}, servedByIAM(t)...)...)
	var seen struct {
		Uncalled, Unmodelled []string
		Saw                  map[string]json.RawMessage
		Refused              map[string]string
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(seen.Uncalled) > 0 || len(seen.Unmodelled) > 0 {
		t.Errorf("not called: %v; answers without a member that the model requires: %v", seen.Uncalled, seen.Unmodelled)
	}
	for name, want := range map[string]string{
		"users": `["u0", "u1", "u2", "u3", "u4"]`, "groups of u0": `["staff"]`, "members": `["u0"]`, "document": `"kinesisvideo:*"`,
		"trust": `"sts:AssumeRole"`, "versions": `["v2", "v1"]`, "attached": `["watch", "watch", "watch"]`, "entities": `[["staff"], ["u0", "u1"], ["op"]]`,
		"tags": `[{"Key": "a", "Value": "b"}]`, "simulated": `["allowed", "implicitDeny", "explicitDeny"]`, "summary": `[5, 1, 1, 1]`,
		"boundary": `"arn:aws:iam::123456789012:policy/watch"`, "local policies": `["watch"]`, "keys": `1`,
	} {
		if got := string(seen.Saw[name]); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"get nobody": "NoSuchEntityException 404", "create twice": "EntityAlreadyExistsException 409", "delete used": "DeleteConflictException 409",
		"third key": "LimitExceededException 409", "bad policy": "MalformedPolicyDocumentException 400", "bad arn": "InvalidInputException 400",
		"built in": "UnmodifiableEntityException 400", "bad name": "ClientError ValidationError 400", "not served": "ClientError InvalidAction 400",
	} {
		if seen.Refused[name] != want {
			t.Errorf("%s: %s, want %s", name, seen.Refused[name], want)
		}
	}
}

// servedByIAM are the actions of IAM that the page of permissions lists.
func servedByIAM(t *testing.T) (names []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/ref/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`iam:([A-Z][A-Za-z]+)`").FindAllStringSubmatch(string(page), -1) {
		names = append(names, m[1])
	}
	if len(names) < 70 {
		t.Fatalf("%d actions of IAM on the page: %v", len(names), names)
	}
	return names
}
