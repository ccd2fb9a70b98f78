package sigv4

import (
	"errors"
	"testing"
	"time"
)

func TestRules(t *testing.T) {
	signed := time.Date(2023, 11, 7, 4, 47, 34, 0, time.UTC)
	at := func(d time.Duration) func() time.Time { return func() time.Time { return signed.Add(d) } }
	header := &Auth{Region: "us-west-2", Service: "kinesisvideo", Time: signed}
	url := &Auth{Region: "us-west-2", Service: "kinesisvideo", Time: signed, Expires: 299 * time.Second, Presigned: true}
	week := &Auth{Region: "us-west-2", Service: "kinesisvideo", Time: signed, Expires: 604800 * time.Second, Presigned: true}
	longer := &Auth{Region: "us-west-2", Service: "kinesisvideo", Time: signed, Expires: 604801 * time.Second, Presigned: true}
	const m = time.Minute
	for _, c := range []struct {
		name  string
		rules Rules
		auth  *Auth
		code  Code // 0 = accepted
		text  string
	}{
		{"now", Rules{Now: at(0)}, header, 0, ""},
		{"at the end of the window", Rules{Now: at(5 * m)}, header, 0, ""},
		{"after the window", Rules{Now: at(5*m + time.Second)}, header, Expired,
			"Signature expired: 20231107T044734Z is now earlier than 20231107T044735Z (20231107T045235Z - 5 min.)"},
		{"a real refusal", Rules{Now: at(10*m + 31*time.Second)}, header, Expired,
			"Signature expired: 20231107T044734Z is now earlier than 20231107T045305Z (20231107T045805Z - 5 min.)"},
		{"from a fast clock", Rules{Now: at(-5 * m)}, header, 0, ""},
		{"from the future", Rules{Now: at(-5*m - time.Second)}, header, NotYetCurrent,
			"Signature not yet current: 20231107T044734Z is still later than 20231107T044733Z (20231107T044233Z + 5 min.)"},
		{"wider window", Rules{Now: at(14 * m), Window: 15 * m}, header, 0, ""},
		{"odd window", Rules{Now: at(m), Window: 30 * time.Second}, header, Expired,
			"Signature expired: 20231107T044734Z is now earlier than 20231107T044804Z (20231107T044834Z - 30 sec.)"},
		{"URL in its life", Rules{Now: at(299 * time.Second)}, url, 0, ""},
		{"URL after its life", Rules{Now: at(5 * m)}, url, Expired,
			"Signature expired: 20231107T044734Z is now earlier than 20231107T044735Z (20231107T045234Z - 299 sec.)"},
		{"URL from the future", Rules{Now: at(-6 * m)}, url, NotYetCurrent,
			"Signature not yet current: 20231107T044734Z is still later than 20231107T044634Z (20231107T044134Z + 5 min.)"},
		{"URL for a week", Rules{Now: at(6 * 24 * time.Hour)}, week, 0, ""},
		{"URL for longer", Rules{Now: at(0)}, longer, IncompleteSignature, "X-Amz-Expires must be at most 604800 seconds, not 604801."},
		{"shorter limit", Rules{Now: at(0), Expires: m}, url, IncompleteSignature, "X-Amz-Expires must be at most 60 seconds, not 299."},
		{"right scope", Rules{Now: at(0), Regions: []string{"us-east-1", "us-west-2"}, Services: []string{"kinesisvideo"}}, header, 0, ""},
		{"wrong region", Rules{Now: at(0), Regions: []string{"us-east-1"}}, header, WrongRegion,
			"Credential should be scoped to a valid region, not 'us-west-2'. The region here is 'us-east-1'."},
		{"wrong service", Rules{Now: at(0), Services: []string{"iam", "sts"}}, header, WrongService,
			"Credential should be scoped to correct service: 'iam' or 'sts', not 'kinesisvideo'."},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.rules.Check(c.auth)
			if c.code == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != c.code || e.Message != c.text {
				t.Fatalf("%v\nwant %q", err, c.text)
			}
		})
	}
}

// TestRealClock: the zero rules look at the clock.
func TestRealClock(t *testing.T) {
	var r Rules
	if err := r.Check(&Auth{Time: time.Now()}); err != nil {
		t.Error(err)
	}
	if err := r.Check(&Auth{Time: time.Now().Add(-time.Hour)}); err == nil {
		t.Error("accepted a signature of an hour ago")
	}
}

func TestCodes(t *testing.T) {
	for c, want := range map[Code]string{
		MissingAuthenticationToken: "MissingAuthenticationTokenException",
		IncompleteSignature:        "IncompleteSignatureException",
		UnrecognizedClient:         "UnrecognizedClientException",
		InvalidSignature:           "InvalidSignatureException",
		Expired:                    "InvalidSignatureException",
		NotYetCurrent:              "InvalidSignatureException",
		WrongRegion:                "InvalidSignatureException",
		WrongService:               "InvalidSignatureException",
	} {
		if got := c.Exception(); got != want || c.Status() != 403 {
			t.Errorf("%d: %s, %d", c, got, c.Status())
		}
	}
	if got := UnknownKey(); got.Code != UnrecognizedClient || got.Error() != "The security token included in the request is invalid." {
		t.Errorf("unknown key: %v", got)
	}
}
