package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestICEServers(t *testing.T) {
	for _, c := range []struct {
		text, says string
		want       ICEServer
	}{
		{"turn:turn.example.com:3478?transport=udp username=u credential=s", "", ICEServer{URLs: []string{"turn:turn.example.com:3478?transport=udp"}, Username: "u", Credential: "s"}},
		{"  username=u   turns:[::1]:443?transport=tcp turn:10-0-0-1.example:1?transport=udp credential_file=/f ", "",
			ICEServer{URLs: []string{"turns:[::1]:443?transport=tcp", "turn:10-0-0-1.example:1?transport=udp"}, Username: "u", CredentialFile: "/f"}},
		{"stun:stun.example.com:3478", "", ICEServer{URLs: []string{"stun:stun.example.com:3478"}}},
		{"turn:a:1?transport=udp username=a=b credential=c=d", "", ICEServer{URLs: []string{"turn:a:1?transport=udp"}, Username: "a=b", Credential: "c=d"}},
		{"", "names no URL", ICEServer{}},
		{"username=u credential=hush", "names no URL", ICEServer{}},
		{"turn:a:1?transport=udp", "needs username", ICEServer{}},
		{"turn:a:1?transport=udp username=u", "needs username", ICEServer{}},
		{"turn:a:1?transport=udp username=u credential=hush credential_file=/f", "give one of them", ICEServer{}},
		{"turn:a:1?transport=udp username=u credential=hush credential=hush", "stands there twice", ICEServer{}},
		{"turn:a:1?transport=udp username= credential=hush", "is empty", ICEServer{}},
		{"turn:a:1?transport=udp username=u credential=hush" + strings.Repeat("h", 256), "more than 256", ICEServer{}},
		{"turn:a:1 username=u credential=hush", "?transport=udp", ICEServer{}},
		{"turn:a?transport=udp username=u credential=hush", "write host and port", ICEServer{}},
		{"turn:a:70000?transport=udp username=u credential=hush", "write host and port", ICEServer{}},
		{"turn:a:1?transport=sctp username=u credential=hush", "is no URL", ICEServer{}},
		{"stun:a:1?transport=udp", "others do not", ICEServer{}},
		{"https://example.com", "is no URL", ICEServer{}},
		{"stun:a:1 stun:b:1 stun:c:1 stun:d:1 stun:e:1", "has 5 URLs", ICEServer{}},
	} {
		got, err := ParseICEServer(c.text)
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%q: %v, want %q", c.text, err, c.says)
			}
			continue
		}
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%q: %v %s", c.text, err, d)
		}
	}
}

// Whatever is written there, no part of a credential gets into an error or into the settings
// as they are shown.
func FuzzParseICEServer(f *testing.F) {
	for _, seed := range []string{"turn:a:1?transport=udp username=u credential=hush-hush-hush", "credential=hush-hush-hush", "stun:a:1", "turn:[::1]:1?transport=tcp credential_file=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseICEServer(text)
		if err == nil && (len(s.URLs) == 0 || len(s.URLs) > maxICEURLs) {
			t.Errorf("%q: %+v", text, s)
		}
		if secret := s.Credential; len(secret) > 8 && !strings.Contains(strings.ReplaceAll(text, "credential="+secret, ""), secret) {
			if err != nil && strings.Contains(err.Error(), secret) || strings.Contains(strings.Join(withoutSecrets([]string{text}), ""), secret) {
				t.Errorf("%q: the credential is shown", text)
			}
		}
	})
}

func TestICECredentialInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "turn")
	s := ICEServer{CredentialFile: path}
	if _, err := s.Secret(); err == nil {
		t.Error("there is no file")
	}
	for text, want := range map[string]string{"hush\n": "hush", " \n": "", strings.Repeat("h", 257): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.Secret()
		if got != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "hh") {
			t.Errorf("%.8q: %q, %v", text, got, err)
		}
	}
}

func TestSignalingSettings(t *testing.T) {
	for _, c := range []struct{ domain, says string }{
		{"", ""}, {"kvs.example.com", ""}, {"localhost", ""},
		{"KVS.example", "small letters"}, {"kvs..example", "small letters"}, {"https://kvs.example", "small letters"}, {"10.0.0.1", "small letters"},
		{"kvs.example:443", "small letters"}, {"-kvs.example", "small letters"}, {strings.Repeat("a.", 130) + "b", "small letters"},
	} {
		s := Signaling{Domain: c.domain}
		err := s.check(0).err()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.domain, err)
		}
	}
	s := Signaling{ICEServers: []string{"stun:a:1", "stun:b:1", "stun:c:1", "stun:d:1", "stun:e:1", "nothing"}}
	if err := s.check(0).err(); err == nil || !strings.Contains(err.Error(), "there are 6") || !strings.Contains(err.Error(), "server 6") {
		t.Error(err)
	}
	s.ICEServers = s.ICEServers[:4] // with the two addresses of our own relay clients would be told of six
	c := Config{Signaling: s, Turn: Turn{Listen: []string{":3478", ":443"}}}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "there are 4, and 2 of turn.listen") {
		t.Error(err)
	}
}

// The secrets of the servers are not shown, in no form, and not when they change.
func TestICECredentialsAreNotShown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yml")
	text := "signaling:\n  ice_servers:\n    - turn:a:1?transport=udp username=u credential=hush\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Sources{File: path})
	if err != nil || len(l.Signaling.ICEServers) != 1 {
		t.Fatal(l.Signaling, err)
	}
	var b bytes.Buffer
	if err := l.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	if err := l.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	next := l.Config
	next.Signaling.ICEServers = []string{"turn:a:1?transport=udp username=u credential=hush-hush"}
	changes := Changes(&l.Config, &next)
	if len(changes) != 1 || strings.Contains(changes[0].From+changes[0].To, "hush") || strings.Contains(b.String(), "hush") || !strings.Contains(b.String(), "credential="+masked) {
		t.Errorf("%+v\n%s", changes, b.String())
	}
}

// Behind the address of a relay a domain must leave room for what clients read.
func TestLongDomains(t *testing.T) {
	const most = maxTurnHost - longestLabel
	for _, length := range []int{most, most + 1} {
		s := Signaling{Domain: strings.Repeat("a", 30) + "." + strings.Repeat("b", length-31)}
		if wrong := s.check(1); len(wrong) != length-most {
			t.Errorf("a domain of %d characters: %v", length, wrong)
		}
		if wrong := s.check(0); len(wrong) != 0 {
			t.Errorf("without a relay: %v", wrong)
		}
	}
}
