package e2e

import (
	"bufio"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/sigv4"
)

// enter connects to a channel; it is left by closing what is returned.
func (s *server) enter(t *testing.T, role, arn, clientID string) io.Closer {
	t.Helper()
	query := url.Values{"X-Amz-ChannelARN": {arn}}
	if clientID != "" {
		query.Set("X-Amz-ClientId", clientID)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http+"/channel/"+role+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(name, value)
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: s.key, Secret: s.secret}, Region: region, Service: "kinesisvideo"}
	if err := signer.Presign(r, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	resp, err := asker.Do(r)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s %s is not let in: %+v %v", role, clientID, resp, err)
	}
	return resp.Body
}

// What an operator sees of who is on the channels, and of each coming and going.
func TestChannelCommands(t *testing.T) {
	s := serve(t)
	millrace := func(args ...string) string {
		t.Helper()
		return run(t, s.variables(), program(t), append([]string{"channel"}, args...)...)
	}
	arn := regexp.MustCompile(`arn:\S+`).FindString(millrace("create", "door", "--ttl", "30s", "--tag", "place=north"))
	millrace("create", "yard")
	watch := exec.CommandContext(t.Context(), program(t), "channel", "watch", "door")
	watch.Env = s.variables()
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Wait() }()
	defer func() { _ = watch.Process.Kill() }()
	lines := bufio.NewReader(out)
	says := func(want string) {
		t.Helper()
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Fatalf("channel watch: %q %v, want %q", line, err, want)
		}
	}
	says("Now on door: 0 masters and 0 viewers.")
	master := s.enter(t, "master", arn, "")
	says("  door  master came  127.0.0.1:")
	anna := s.enter(t, "viewer", arn, "anna")
	says("  door  viewer anna came  127.0.0.1:")
	if got := millrace("list"); !regexp.MustCompile(`(?m)^door +since \S+Z +1 +0 +30 s\nyard +- +0 +0 +60 s$`).MatchString(got) {
		t.Errorf("channel list:\n%s", got)
	}
	if got := millrace("describe", "door"); !regexp.MustCompile(`(?s)Tags +place=north\nMaster +since .*Viewers +1\n  anna +since .*Waiting +0 messages`).MatchString(got) {
		t.Errorf("channel describe:\n%s", got)
	}
	_ = anna.Close()
	says("  door  viewer anna went (lost)")
	millrace("delete", "door")
	says("  door  master went (deleted)")
	_ = master.Close()
	if got := millrace("list"); strings.Contains(got, "door") {
		t.Errorf("channel list after the deletion:\n%s", got)
	}
}
