package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// TestARevokedKeyEndsPutMedia: who disables a key under an open session sees it end within
// a minute, with everything that was stored acknowledged, and the producer learns why.
func TestARevokedKeyEndsPutMedia(t *testing.T) {
	s := serve(t).awsCLI(t)
	s.create(t, "gate")
	camera := s.user(t, "camera", grant(s.streamARN("gate"), "kinesisvideo:PutMedia"))
	session := camera.open(t, "gate")
	clusters := seconds(3, 0)
	session.send(t, append([][]byte{head()}, clusters...)...)
	for range 2 { // the third lasts until something follows
		session.await(t, client.Persisted)
	}
	s.aws(t, "iam", "update-access-key", "--user-name", "camera", "--access-key-id", camera.key, "--status", "Inactive")
	from := time.Now()
	last := session.await(t, client.Failed)
	if took := time.Since(from); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(string(last.Raw), "MAX_CONNECTION_DURATION_REACHED") {
		t.Errorf("the session ended with %s", last.Raw)
	}
	session.rest(t)
	if numbers := persisted(session.acks); len(numbers) < 2 {
		t.Errorf("acknowledged as durable: %v", numbers)
	}
	camera.refused(t, "(UnrecognizedClientException) when calling the DescribeStream operation: The security token included in the request is invalid.",
		"kinesisvideo", "describe-stream", "--stream-name", "gate")
	camera.refused(t, "(InvalidClientTokenId)", "sts", "get-caller-identity")
	s.aws(t, "iam", "update-access-key", "--user-name", "camera", "--access-key-id", camera.key, "--status", "Active")
	camera.put(t, "gate", seconds(2, 10)...)
}

// TestADeletedUser: its keys and the sessions that were made with them are worth nothing,
// also not for somebody of the same name.
func TestADeletedUser(t *testing.T) {
	s := serve(t).awsCLI(t)
	s.create(t, "gate")
	policy := grant("*", "kinesisvideo:*")
	first := s.user(t, "anna", policy)
	session := first.temporary(t, "get-session-token")
	describe := []string{"kinesisvideo", "describe-stream", "--stream-name", "gate"}
	session.aws(t, describe...)
	role := s.role(t, "Night", s.account, policy)
	s.aws(t, "iam", "update-assume-role-policy", "--role-name", "Night", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+s.account+`:user/anna"},"Action":"sts:AssumeRole"}]}`)
	assume := []string{"assume-role", "--role-arn", role, "--role-session-name", "shift"}
	night := first.temporary(t, assume...)
	s.aws(t, "iam", "delete-access-key", "--user-name", "anna", "--access-key-id", first.key)
	s.aws(t, "iam", "delete-user-policy", "--user-name", "anna", "--policy-name", "own")
	s.aws(t, "iam", "delete-user", "--user-name", "anna")
	const invalid = "(UnrecognizedClientException) when calling the DescribeStream operation: The security token included in the request is invalid."
	first.refused(t, invalid, describe...)
	session.refused(t, invalid, describe...)
	second := s.user(t, "anna", policy)
	second.aws(t, describe...)
	session.refused(t, invalid, describe...)
	second.refused(t, "(AccessDenied) when calling the AssumeRole operation", append([]string{"sts"}, assume...)...)
	night.aws(t, describe...) // a session of the role is the role's, whoever began it
	s.aws(t, "iam", "delete-role-policy", "--role-name", "Night", "--policy-name", "own")
	s.aws(t, "iam", "delete-role", "--role-name", "Night")
	night.refused(t, invalid, describe...)
}

// TestAnExpiredSession moves the clock of a development server: temporary credentials
// expire with the words on which clients renew them. A call that began before goes on.
func TestAnExpiredSession(t *testing.T) {
	server := newServer(t, "--dev", "--no-demo")
	server.start(t)
	s := server.awsCLI(t)
	s.create(t, "gate")
	session := s.temporary(t, "get-session-token", "--duration-seconds", "900")
	describe := []string{"kinesisvideo", "describe-stream", "--stream-name", "gate"}
	session.aws(t, describe...)
	put := session.open(t, "gate")
	clusters := seconds(4, 0)
	put.send(t, head(), clusters[0], clusters[1])
	put.await(t, client.Persisted)
	run(t, s.variables(), program(t), "clock", "set", "+16m")
	session.refused(t, "(ExpiredTokenException) when calling the DescribeStream operation: The security token included in the request is expired", describe...)
	session.refused(t, "(ExpiredToken) when calling the GetCallerIdentity operation: The security token included in the request is expired", "sts", "get-caller-identity")
	put.send(t, clusters[2], clusters[3])
	if numbers := persisted(put.end(t)); len(numbers) != 4 {
		t.Errorf("durable in the session: %v", numbers)
	}
	_, err := session.client(t).PutMedia(t.Context(), client.PutMediaRequest{StreamName: "gate", TimecodeType: client.Relative, ProducerStart: began, Body: strings.NewReader("")})
	if e, ok := err.(*client.Error); !ok || e.Status != 403 || e.Exception != "ExpiredTokenException" {
		t.Errorf("PutMedia: %v", err)
	}
	s.temporary(t, "get-session-token").aws(t, describe...)
}

// TestClockSkew: boto3 with a clock that is wrong by ten minutes is refused with the words
// of the service, before and behind, with a key and with temporary credentials.
func TestClockSkew(t *testing.T) {
	s := serve(t).awsCLI(t)
	s.create(t, "gate")
	session := s.temporary(t, "get-session-token")
	for _, who := range []awsCommand{s, session} {
		for minutes, words := range map[string]string{"-10": "Signature expired: ", "10": "Signature not yet current: ", "-3": "", "3": ""} {
			out := run(t, who.variables(), python(t), "skew.py", minutes, "gate")
			var seen [][]any
			if err := json.Unmarshal([]byte(out), &seen); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			for i, code := range []string{"InvalidSignatureException", "SignatureDoesNotMatch"} {
				if words == "" && seen[i] == nil {
					continue
				}
				if words == "" || seen[i] == nil || seen[i][0] != code || seen[i][1] != 403.0 || !strings.HasPrefix(seen[i][2].(string), words) {
					t.Errorf("%s minutes: %v, want %s %s", minutes, seen[i], code, words)
				}
			}
		}
	}
}
