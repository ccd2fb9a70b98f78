package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/relay"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/probe"
)

// relaying runs a relay and returns where, and what to log in with.
func relaying(t *testing.T) (at, user, password string) {
	t.Helper()
	secret, err := credential.NewSecret(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	local := netip.MustParseAddr("127.0.0.1")
	r, err := relay.New(relay.Options{Listeners: []relay.Listener{{Address: "127.0.0.1:0"}}, Addresses: []relay.Address{{Local: local}},
		Secrets: []credential.Secret{secret}, Allow: []netip.Prefix{netip.PrefixFrom(local, 8)}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	user, password, _ = r.Issue("123456789012", 7, "anna")
	return r.Listening()[0].Address, user, password
}

// URIs are tried without a server that signals; the password comes from a file, a pipe or a
// variable.
func TestTurnTestOfURIs(t *testing.T) {
	at, user, password := relaying(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	few := []string{"turn", "test", "--packets=5", "--gap=1ms", "--username", user, "turn:" + at}
	none := http.NotFoundHandler()
	code, out, errs := command(t, none, nil, append(few, "turn:"+at+"?transport=tcp", "stun:"+at, "--password-file", file)...)
	if code != exitOK || errs != "" || !strings.Contains(out, "0/5   reached") || !strings.Contains(out, "there is no NAT") || !strings.Contains(out, "3 of 3 work; fastest turn:") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if code, out, errs := command(t, none, strings.NewReader(password), append(few, "--password-file=-", "--json", "--for=10ms")...); code != exitOK || errs != "" ||
		strings.Count(out, "\n") != 1 || !strings.Contains(out, `"State":"ok"`) || !strings.Contains(out, `"GotBits"`) || strings.Contains(out, password) {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	t.Setenv("TURN_PASSWORD", "wrong")
	code, out, errs = command(t, none, nil, append(few, "stun:"+at)...)
	if code != exitFailed || !strings.HasPrefix(errs, "millrace: 1 of 2 work; fastest stun:") || !strings.Contains(out, "turn:"+at+" ("+at+")\n  the server does not take the user name and the password (401)\n  hint: ") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
}

// Command lines that cannot be meant are told apart from URIs that do not work.
func TestTurnTestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"door gate": "one channel", "door turn:a": "not both", "turn:a:b": "the port is a number", "door --username=a": "has its own", "turn:a --packets=0": "--packets is 1 to",
		"turn:a --size=10": "--size is 64 to 1400", "turn:a --gap=1us": "--gap", "turn:a --for=1h": "--for", "turn:a --rate=1000": "--rate is 0.01 to 100", "turn:a --timeout=1ms": "--timeout",
	} {
		code, _, errs := command(t, http.NotFoundHandler(), nil, append([]string{"turn", "test"}, strings.Fields(args)...)...)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %s", args, code, errs)
		}
	}
	for flag, want := range map[string]string{"--username=anna": "wants a password", "--password-file=-": "wants --username"} {
		t.Setenv("TURN_PASSWORD", "")
		code, _, errs := command(t, http.NotFoundHandler(), strings.NewReader("secret"), "turn", "test", "turn:a", flag)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: %d, %s", flag, code, errs)
		}
	}
	if code, _, errs := command(t, http.NotFoundHandler(), nil, "turn", "test", "turn:a", "--password-file=/nowhere"); code != exitFailed || !strings.Contains(errs, "/nowhere") {
		t.Errorf("%d, %s", code, errs)
	}
	long := strings.NewReader(strings.Repeat("a", maxPassword+1))
	if code, _, errs := command(t, http.NotFoundHandler(), long, "turn", "test", "turn:a", "--password-file=-"); code != exitFailed || !strings.Contains(errs, "too long") {
		t.Errorf("%d, %s", code, errs)
	}
}

// What people read, of results that no machine has at once.
func TestTurnTestTable(t *testing.T) {
	bad := &probe.Problem{Step: probe.StepHandshake, Text: "the certificate is \x1b[31mold", Advice: "renew it"}
	far := net.JoinHostPort("2001:db8::7", "3478")
	r := probe.Report{Results: []probe.Result{
		{URI: "turn:a", State: probe.OK, Address: "203.0.113.7:3478", Local: "10.0.0.5:4000", Mapped: "198.51.100.9:5000", NAT: true, ResolveSeconds: 1.5, BindingSeconds: 0.0123,
			AllocateSeconds: 0.5, Trip: &probe.Trip{Sent: 100, Returned: 98, P50Seconds: 0.0251, P99Seconds: 0.0009}, Direct: probe.OtherFamily, Rate: &probe.Rate{GotBits: 1.5e6}, Notes: []string{"2 of 100 packets did not come back"}},
		{URI: "turns:a", State: probe.Failed, Address: "203.0.113.7:3478", ConnectSeconds: 0.001, Problem: bad},
		{URI: "turns:a?transport=udp", State: probe.Failed, Address: "203.0.113.7:3478", Problem: bad},
		{URI: "turn:a", State: probe.Skipped, Address: far, Problem: &probe.Problem{Text: "this machine has no way there", Advice: "has it one?"}},
		{URI: "turn:b", State: probe.Failed, Problem: &probe.Problem{Text: "the name b has no address"}},
	}}
	var b bytes.Buffer
	if err := turnTestTable(&b, &r); err != nil {
		t.Fatal(err)
	}
	const want = `URI                    ADDRESS             STATE    RESOLVE  CONNECT  BINDING  ALLOCATE  RTT      P99      LOST   DIRECT        RATE
turn:a                 203.0.113.7:3478    ok       1.50 s   -        12.3 ms  500.0 ms  25.1 ms  0.90 ms  2/100  other family  1.50 Mbit/s
turns:a                203.0.113.7:3478    failed   -        1.00 ms  -        -         -        -        -      -             -
turns:a?transport=udp  203.0.113.7:3478    failed   -        -        -        -         -        -        -      -             -
turn:a                 [2001:db8::7]:3478  skipped  -        -        -        -         -        -        -      -             -
turn:b                 -                   failed   -        -        -        -         -        -        -      -             -

turn:a (203.0.113.7:3478)
  2 of 100 packets did not come back

turns:a (203.0.113.7:3478)
turns:a?transport=udp (203.0.113.7:3478)
  the certificate is ?[31mold
  hint: renew it

turn:a ([2001:db8::7]:3478)
  this machine has no way there

turn:b
  the name b has no address

Seen from outside as 198.51.100.9: there is a NAT between this machine (10.0.0.5) and the relay.
`
	if b.String() != want {
		t.Errorf("\n%s", b.String())
	}
	if err := (&turnTestCmd{}).verdict(&b, &r); err == nil || err.Error() != "1 of 4 work; fastest turn:a, 25.1 ms" {
		t.Error(err)
	}
	r.Interrupted = true
	if err := (&turnTestCmd{}).verdict(&b, &r); err == nil || !strings.HasPrefix(err.Error(), "interrupted; so far 1 of 4") {
		t.Error(err)
	}
}
