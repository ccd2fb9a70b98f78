package config

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Signaling says where clients of signaling channels connect, and which ICE servers they are
// told of.
type Signaling struct {
	Domain     string   `yaml:"domain"`                    // has the names m-1, v-1 and r-1 below it; "" = roles have paths
	ICEServers []string `yaml:"ice_servers" secret:"part"` // see [ParseICEServer]
}

// ICEServer is one line of signaling.ice_servers.
type ICEServer struct {
	URLs                 []string
	Username, Credential string
	CredentialFile       string
	Shared               bool // the credential is a secret of which credentials are made (coturn's use-auth-secret)
}

// Bounds of what clients take (wire-webrtc sheet, section 5.1).
const (
	maxICEServers = 5
	maxICEURLs    = 4
	maxICEURL     = 127
	maxICEText    = 256
)

// secretWords begin the words of a line that nobody may see.
var secretWords = []string{"credential=", "secret="}

// ParseICEServer reads one server: its URLs, and the words username=NAME and credential=SECRET
// or credential_file=FILE, in any order with spaces between them; or secret=SECRET or
// secret_file=FILE, which the server shares with us. The error never has the credential.
func ParseICEServer(text string) (s ICEServer, err error) {
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		var to *string
		switch name {
		case "username":
			to = &s.Username
		case "credential":
			to = &s.Credential
		case "credential_file":
			to = &s.CredentialFile
		case "secret":
			to, s.Shared = &s.Credential, true
		case "secret_file":
			to, s.Shared = &s.CredentialFile, true
		default:
			if err := checkICEURL(word); err != nil {
				return s, err
			}
			s.URLs = append(s.URLs, word)
			continue
		}
		if *to != "" || value == "" || len(value) > maxICEText && to != &s.CredentialFile {
			return s, fmt.Errorf("%s stands there twice, is empty or has more than %d characters", name, maxICEText)
		}
		*to = value
	}
	return s, s.check()
}

// check finds what a client could not use.
func (s *ICEServer) check() error {
	relay := slices.ContainsFunc(s.URLs, func(u string) bool { return strings.HasPrefix(u, "turn") })
	switch {
	case len(s.URLs) == 0:
		return fmt.Errorf("names no URL, such as turn:turn.example.com:3478?transport=udp")
	case len(s.URLs) > maxICEURLs:
		return fmt.Errorf("has %d URLs; clients take %d for one server", len(s.URLs), maxICEURLs)
	case s.Credential != "" && s.CredentialFile != "":
		return fmt.Errorf("has credential and credential_file: give one of them")
	case s.Shared && s.Username != "":
		return fmt.Errorf("has username and a secret: of a secret that is shared user names are made")
	case relay && (s.Username == "" && !s.Shared || s.Credential == "" && s.CredentialFile == ""):
		return fmt.Errorf("a TURN server needs username=NAME and credential=SECRET or credential_file=FILE, or secret=SECRET or secret_file=FILE")
	}
	return nil
}

var iceURL = regexp.MustCompile(`^(stun|stuns|turn|turns):([^?/#@]+)(\?transport=(udp|tcp))?$`)

// checkICEURL checks a URL as the strictest clients read them: those of TURN with port and
// transport.
func checkICEURL(text string) error {
	m := iceURL.FindStringSubmatch(text)
	if m == nil || len(text) > maxICEURL {
		return fmt.Errorf("%.127q is no URL of an ICE server; write turn:HOST:PORT?transport=udp, turns:HOST:PORT?transport=tcp or stun:HOST:PORT", text)
	}
	host, port, err := net.SplitHostPort(m[2])
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || host == "" || n < 1 || n > 65535 {
		return fmt.Errorf("%q: write host and port, such as turn.example.com:3478", text)
	}
	if strings.HasPrefix(text, "turn") != (m[4] != "") {
		return fmt.Errorf("%q: the URL of a TURN server ends with ?transport=udp or ?transport=tcp, others do not", text)
	}
	return nil
}

// Secret is the credential, read from its file if it is in one.
func (s *ICEServer) Secret() (string, error) {
	if s.CredentialFile == "" {
		return s.Credential, nil
	}
	text, err := os.ReadFile(s.CredentialFile)
	if err != nil {
		return "", fmt.Errorf("credential_file: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" || len(secret) > maxICEText {
		return "", fmt.Errorf("credential_file %s must hold 1 to %d characters", s.CredentialFile, maxICEText)
	}
	return secret, nil
}

// check finds what would keep clients from connecting; relays are the addresses of our own
// relay, which are named to clients too.
func (s *Signaling) check(relays int) (wrong Mistakes) {
	add := func(name, format string, args ...any) {
		wrong = append(wrong, Mistake{Setting: "signaling." + name, Text: fmt.Sprintf(format, args...)})
	}
	if s.Domain != "" && !isDomain(s.Domain) {
		add("domain", "%q: write a domain in small letters, such as kvs.example.com; m-1, v-1 and r-1 are put in front of it", s.Domain)
	}
	if n := len(s.Domain); relays > 0 && n > maxTurnHost-longestLabel {
		add("domain", "has %d characters; clients read %d of it at most behind the address of a relay", n, maxTurnHost-longestLabel)
	}
	if n := len(s.ICEServers); n > maxICEServers-relays {
		add("ice_servers", "there are %d, and %d of turn.listen; clients take %d", n, relays, maxICEServers)
	}
	for i, text := range s.ICEServers {
		if _, err := ParseICEServer(text); err != nil {
			add("ice_servers", "server %d: %v", i+1, err)
		}
	}
	return wrong
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// isDomain reports whether names can be made below a domain.
func isDomain(text string) bool {
	if len(text) > 240 || net.ParseIP(text) != nil {
		return false
	}
	for part := range strings.SplitSeq(text, ".") {
		if !label.MatchString(part) {
			return false
		}
	}
	u, err := url.Parse("https://m-1." + text)
	return err == nil && u.Hostname() == "m-1."+text
}

// withoutSecrets replaces the secret words of the lines of a list.
func withoutSecrets(lines []string) []string {
	shown := make([]string, len(lines))
	for i, line := range lines {
		words := strings.Fields(line)
		for j, w := range words {
			for _, secret := range secretWords {
				if strings.HasPrefix(w, secret) {
					words[j] = secret + masked
				}
			}
		}
		shown[i] = strings.Join(words, " ")
	}
	return shown
}
