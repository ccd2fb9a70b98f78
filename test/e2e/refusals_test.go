package e2e

import (
	"strings"
	"testing"
)

// What is refused before the service is reached: status 403 and the texts that clients
// show, with a lower-case "message" (wire-media section 9.2).
func TestRefusedSignatures(t *testing.T) {
	s := serve(t)
	s.create(t, "garden")
	in := object{"StreamName": "garden"}
	var tr transcript
	for _, c := range []struct {
		title     string
		change    func(*caller)
		exception string
		message   string
	}{
		{"a key that nobody has", func(w *caller) { w.Key = "AKIAEXAMPLEEXAMPLE00" }, "UnrecognizedClientException",
			"The security token included in the request is invalid."},
		{"a secret of another key", func(w *caller) { w.Secret = strings.ToUpper(w.Secret) + "x" }, "InvalidSignatureException",
			"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."},
		{"a session token of nobody", func(w *caller) { w.Token = "token" }, "UnrecognizedClientException",
			"The security token included in the request is invalid."},
		{"another region", func(w *caller) { w.Region = "eu-west-3" }, "InvalidSignatureException", region},
		{"a clock that is late", func(w *caller) { w.ClockOffset = -10 * 60 * 1000 }, "InvalidSignatureException", "Signature expired: "},
		{"a clock that is early", func(w *caller) { w.ClockOffset = 10 * 60 * 1000 }, "InvalidSignatureException", "Signature not yet current: "},
	} {
		who := s.caller(t)
		c.change(&who)
		for _, operation := range []string{"DescribeStream", "GetMedia", "ListFragments"} {
			in := input(operation, "garden", "", "")
			a := who.call(t, operation, in)
			if a.Error == nil || a.Status != 403 || a.Error.Name != c.exception || !strings.Contains(a.Error.Message, c.message) {
				t.Errorf("%s, %s: %d %v, want 403 %s: %s", c.title, operation, a.Status, a.Error, c.exception, c.message)
				continue
			}
			if !strings.HasPrefix(a.Raw, `{"message":"`) {
				t.Errorf("%s, %s: body %s, want a lower-case message", c.title, operation, a.Raw)
			}
			if operation == "DescribeStream" {
				tr.add(c.title, operation, in, a)
			}
		}
	}
	s.caller(t).must(t, "DescribeStream", in, nil)
	tr.compare(t, "refusals.txt")
}
