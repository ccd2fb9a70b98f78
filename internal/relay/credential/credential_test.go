package credential

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Unix(1_800_000_000, 0)

func secret(t testing.TB, fill string) Secret {
	t.Helper()
	s, err := NewSecret(bytes.Repeat([]byte(fill), 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIssueAndParse(t *testing.T) {
	s := secret(t, "a")
	for _, client := range []string{"", "anna", "a:b", strings.Repeat("x", 64)} {
		h := Holder{Account: "123456789012", Channel: 77, Client: client}
		user, password := s.Issue(noon, h, 5*time.Minute)
		if len(user) > MaxUser || len(password) != 44 || !strings.HasPrefix(user, "1800000300:") {
			t.Errorf("%q, %q", user, password)
		}
		got, err := Parse(user)
		h.Expires = noon.Add(5 * time.Minute)
		if err != nil || got != h {
			t.Errorf("%+v, %v", got, err)
		}
		if got.Expired(noon.Add(299*time.Second)) || !got.Expired(noon.Add(300*time.Second)) {
			t.Error("expires at another time")
		}
	}
	// The form is fixed: credentials hold across versions of the server.
	user, password := s.Issue(noon, Holder{Account: "123456789012", Channel: 77, Client: "anna"}, 5*time.Minute)
	if user != "1800000300:djE6MTIzNDU2Nzg5MDEyOjc3OmFubmE=" || password != s.Password(user) {
		t.Errorf("%q", user)
	}
}

func TestLongestUser(t *testing.T) {
	s := secret(t, "a")
	h := Holder{Account: "123456789012", Channel: 1<<63 - 1, Client: strings.Repeat("x", 64)}
	user, _ := s.Issue(time.Unix(1<<36, 0), h, 0)
	if len(user) > MaxUser {
		t.Error(len(user), "characters")
	}
	h.Client = strings.Repeat("x", 256)
	user, _ = s.Issue(noon, h, 0)
	got, err := Parse(user)
	if err != nil || len(got.Client) != 23 || got.Client[0] != '#' {
		t.Error(got, err)
	}
}

// Another secret, another user: another password.
func TestPasswordsAreBound(t *testing.T) {
	s := secret(t, "a")
	seen := map[string]string{}
	for _, h := range []Holder{
		{Account: "123456789012", Channel: 1}, {Account: "123456789013", Channel: 1},
		{Account: "123456789012", Channel: 2}, {Account: "123456789012", Channel: 1, Client: "a"},
	} {
		for _, ttl := range []time.Duration{time.Minute, time.Hour} {
			user, password := s.Issue(noon, h, ttl)
			if other := seen[password]; other != "" || password == secret(t, "b").Password(user) {
				t.Error(user, "has the password of", other)
			}
			seen[password] = user
		}
	}
}

func TestForeign(t *testing.T) {
	s := secret(t, "a")
	good, _ := s.Issue(noon, Holder{Account: "123456789012", Channel: 1}, time.Hour)
	for _, user := range []string{"", ":", "1:", "1800000300:anna", "x" + good, "-" + good, good + "=", good[:len(good)-1],
		"1800000300:djE6MQ==", "1800000300:djI6MTox", good + strings.Repeat("A", 400)} {
		if h, err := Parse(user); err == nil {
			t.Errorf("%q is taken for one of ours: %+v", user, h)
		}
	}
}

func TestNonces(t *testing.T) {
	s := secret(t, "a")
	here, there := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	nonce := []byte(s.Nonce(noon, here))
	if len(nonce) != NonceSize {
		t.Error(len(nonce), "characters")
	}
	for _, c := range []struct {
		name   string
		secret Secret
		now    time.Time
		source netip.Addr
		want   bool
	}{
		{"at once", s, noon, here, true},
		{"after a restart", secret(t, "a"), noon.Add(time.Minute), here, true},
		{"at its end", s, noon.Add(NonceAge), here, true},
		{"too late", s, noon.Add(NonceAge + time.Second), here, false},
		{"from the future", s, noon.Add(-2 * time.Minute), here, false},
		{"of another secret", secret(t, "b"), noon, here, false},
		{"of another source", s, noon, there, false},
	} {
		if got := c.secret.Fresh(c.now, c.source, nonce); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for i := range nonce {
		bad := bytes.Clone(nonce)
		bad[i] ^= 1
		if s.Fresh(noon, here, bad) || s.Fresh(noon, here, nonce[:i]) {
			t.Error("a forged nonce is taken, byte", i)
		}
	}
}

// The example of the draft's habit: coturn takes it (test/e2e proves that).
func TestShared(t *testing.T) {
	user, password := Shared("north", noon, "anna", time.Minute)
	if user != "1800000060:anna" || len(password) != 28 {
		t.Error(user, password)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1800000300:djE6MTIzNDU2Nzg5MDEyOjc3OmFubmE=")
	f.Add("1800000300:djE6MTIzNDU2Nzg5MDEyOjc3OiM=")
	s := secret(f, "a")
	f.Fuzz(func(t *testing.T, user string) {
		h, err := Parse(user)
		if err != nil {
			return
		}
		again, _ := s.Issue(h.Expires, h, 0)
		back, err := Parse(again)
		if err != nil || back != h {
			t.Fatalf("%q: %+v became %+v, %v", user, h, back, err)
		}
		s.Fresh(noon, netip.Addr{}, []byte(user))
	})
}
