package token

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/iam"
)

func TestCallerIdentities(t *testing.T) {
	h := newHouse(t)
	a := h.call(h.root, "GetCallerIdentity")
	if a.Arn != "arn:aws:iam::111122223333:root" || a.Account != string(owner) || a.UserID != string(owner) {
		t.Errorf("root: %s", a.text)
	}
	a = h.call(h.anna, "GetCallerIdentity")
	if a.Arn != "arn:aws:iam::111122223333:user/anna" || a.Account != string(owner) || !strings.HasPrefix(a.UserID, "AIDA") {
		t.Errorf("anna: %s", a.text)
	}
	u, err := h.directory.User(t.Context(), owner, "anna")
	must(t, err)
	must(t, h.directory.PutInline(t.Context(), owner, u.Owner(), "no", `{"Statement":{"Effect":"Deny","Action":"sts:*","Resource":"*"}}`))
	h.call(h.anna, "GetCallerIdentity").is(t, "nobody can be denied that", "", "")
	h.call(h.anna, "GetSessionToken").is(t, "but this", "AccessDenied", "with an explicit deny in an identity-based policy")
}

func TestSessionsOfKeys(t *testing.T) {
	h := newHouse(t)
	const hour = "2026-05-17T09:30:15Z"
	for _, c := range []struct {
		seconds, expires string
		root             bool
	}{{"", "2026-05-17T20:30:15Z", false}, {"900", "2026-05-17T08:45:15Z", false}, {"129600", "2026-05-18T20:30:15Z", false}, {"", hour, true}, {"129600", hour, true}} {
		who := h.anna
		if c.root {
			who = h.root
		}
		var more []string
		if c.seconds != "" {
			more = []string{"DurationSeconds", c.seconds}
		}
		a := h.call(who, "GetSessionToken", more...)
		a.is(t, c.seconds, "", "")
		if a.Credentials.Expiration != c.expires {
			t.Errorf("%q, root %v: %s", c.seconds, c.root, a.text)
		}
		self, same := h.call(who, "GetCallerIdentity"), h.call(a.credentials(), "GetCallerIdentity")
		if same.Arn != self.Arn || same.UserID != self.UserID {
			t.Errorf("%s is not %s", same.text, self.text)
		}
		h.call(a.credentials(), "GetSessionToken").is(t, "of a session", "AccessDenied", "Cannot call GetSessionToken with session credentials")
	}
	for what, more := range map[string][]string{"too short": {"DurationSeconds", "899"}, "too long": {"DurationSeconds", "129601"}, "a second factor": {"TokenCode", "123456"}} {
		h.call(h.anna, "GetSessionToken", more...).is(t, what, "ValidationError", "")
	}
}

// Credentials end with the key that they were made with, and by themselves.
func TestSessionsOfKeysEnd(t *testing.T) {
	h := newHouse(t)
	session := h.call(h.anna, "GetSessionToken").credentials()
	h.call(session, "GetCallerIdentity").is(t, "good", "", "")
	must(t, h.keys.Disable(t.Context(), h.anna.AccessKey))
	h.call(session, "GetCallerIdentity").is(t, "its key is disabled", "InvalidClientTokenId", "The security token included in the request is invalid.")
	must(t, h.keys.Enable(t.Context(), h.anna.AccessKey))
	h.call(session, "GetCallerIdentity").is(t, "good again", "", "")
	other := session
	other.SessionToken = h.call(h.anna, "GetSessionToken").Credentials.SessionToken
	h.call(other, "GetCallerIdentity").is(t, "another's token", "InvalidClientTokenId", "")
	other = session
	other.SessionToken = ""
	h.call(other, "GetCallerIdentity").is(t, "without the token", "InvalidClientTokenId", "")
	other = session
	other.Secret = h.anna.Secret
	h.call(other, "GetCallerIdentity").is(t, "another secret", "SignatureDoesNotMatch", "")
	h.at = h.at.Add(12 * time.Hour)
	h.call(session, "GetCallerIdentity").is(t, "expired", "ExpiredToken", "The security token included in the request is expired")
	if log := h.log.String(); strings.Contains(log, session.Secret) || strings.Contains(log, session.SessionToken) || !strings.Contains(log, session.AccessKey) {
		t.Error("the log has a secret, or no key")
	}
}

func TestWhoseAKeyIs(t *testing.T) {
	h := newHouse(t)
	k, err := h.keys.Create(t.Context(), iam.NewKey{Account: guest})
	must(t, err)
	info := func(who, id string) answer {
		t.Helper()
		c := map[string]func() answer{
			"root":  func() answer { return h.call(h.root, "GetAccessKeyInfo", "AccessKeyId", id) },
			"guest": func() answer { return h.call(h.guestRoot, "GetAccessKeyInfo", "AccessKeyId", id) },
			"anna":  func() answer { return h.call(h.anna, "GetAccessKeyInfo", "AccessKeyId", id) },
		}
		return c[who]()
	}
	for _, c := range []struct{ who, id, account string }{
		{"guest", k.ID, string(guest)}, {"root", k.ID, string(guest)}, {"root", h.anna.AccessKey, string(owner)}, {"guest", h.guestRoot.AccessKey, string(guest)},
	} {
		if a := info(c.who, c.id); a.Account != c.account {
			t.Errorf("%s %s: %s", c.who, c.id, a.text)
		}
	}
	foreign, unknown := info("guest", h.anna.AccessKey), info("guest", "AKIAUNKNOWNUNKNOWNUN")
	foreign.is(t, "foreign", "ValidationError", "no stored access key")
	if strings.ReplaceAll(foreign.Message, h.anna.AccessKey, "") != strings.ReplaceAll(unknown.Message, "AKIAUNKNOWNUNKNOWNUN", "") {
		t.Errorf("%s\n%s", foreign.text, unknown.text)
	}
	info("guest", "short").is(t, "short", "ValidationError", "")
	info("anna", h.anna.AccessKey).is(t, "without permission", "AccessDenied", "sts:GetAccessKeyInfo")
	session := h.call(h.guestRoot, "GetSessionToken").credentials()
	if a := h.call(session, "GetAccessKeyInfo", "AccessKeyId", session.AccessKey); a.Account != string(guest) {
		t.Errorf("its own: %s", a.text)
	}
}

// TestDecodedMessages: a denial carries why, for those who may see that.
func TestDecodedMessages(t *testing.T) {
	h := newHouse(t)
	no := h.call(h.anna, "GetAccessKeyInfo", "AccessKeyId", h.anna.AccessKey)
	no.is(t, "denied", "AccessDenied", "")
	h.call(h.anna, "DecodeAuthorizationMessage", "EncodedMessage", no.sealed).is(t, "without permission", "AccessDenied", "sts:DecodeAuthorizationMessage")
	a := h.call(h.root, "DecodeAuthorizationMessage", "EncodedMessage", no.sealed)
	var d struct {
		Allowed bool `json:"allowed"`
		Context struct {
			Action string `json:"action"`
		} `json:"context"`
	}
	if err := json.Unmarshal([]byte(a.Decoded), &d); err != nil || d.Allowed || d.Context.Action != "sts:GetAccessKeyInfo" {
		t.Errorf("%v: %s", err, a.text)
	}
	h.call(h.root, "DecodeAuthorizationMessage", "EncodedMessage", "made-up").is(t, "made up", "InvalidAuthorizationMessageException", "")
	h.call(h.root, "DecodeAuthorizationMessage").is(t, "nothing", "ValidationError", "'encodedMessage'")
}
