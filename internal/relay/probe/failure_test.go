package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/relay"
	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/stun"
)

// How long is waited for what never comes, alone or behind something that must come before.
const (
	moment = 200 * time.Millisecond
	longer = 2 * time.Second
)

// Ports where nobody listens are taken by sockets that are busy with others.
func TestNobodyListens(t *testing.T) {
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, uri := range []string{"turn:" + udp.LocalAddr().String(), "turns:" + udp.LocalAddr().String() + "?transport=udp"} {
		o := Options{Servers: []Server{{uri, "a", "b"}}}
		if r := one(t, o); r.State != Failed || r.Problem.Text != "nobody listens on UDP port "+portOf(udp)+" of 127.0.0.1" {
			t.Errorf("%s: %+v", uri, r.Problem)
		}
	}
	tcp, err := net.Dial("tcp", accepting(t, func(c net.Conn) { io.Copy(io.Discard, c) }))
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for _, uri := range []string{"turn:" + tcp.LocalAddr().String() + "?transport=tcp", "turns:" + tcp.LocalAddr().String()} {
		failsWith(t, Options{Servers: []Server{{uri, "a", "b"}}}, StepConnect, "nobody listens on TCP port "+portOf(tcp), "turn.listen")
	}
}

func portOf(c net.Conn) string {
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return port
}

// Servers that say nothing, or nothing that belongs here.
func TestStrangers(t *testing.T) {
	quiet := answering(t, func([]byte) []byte { return nil })
	chatty := answering(t, func([]byte) []byte { return []byte("good morning to all of you") })
	web := accepting(t, func(c net.Conn) { c.Read(make([]byte, 1)); io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	short := accepting(t, func(c net.Conn) { c.Read(make([]byte, 1)); io.WriteString(c, "no\n") })
	closing := accepting(t, func(c net.Conn) { io.ReadAtLeast(c, make([]byte, 4000), 20) })
	mute := accepting(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	for _, c := range []struct {
		uri, step, text, advice string
		wait                    time.Duration // 0 = it is over at once
	}{
		{"turn:" + quiet, StepBinding, "no answer over UDP from port", "where UDP is blocked", moment},
		{"turns:" + quiet + "?transport=udp", StepHandshake, "no answer over UDP from port", "where UDP is blocked", moment},
		{"turn:" + chatty, StepBinding, `does not speak STUN: it begins with "good morning to all of y"`, "something else", longer},
		{"turns:" + chatty + "?transport=udp", StepHandshake, `does not speak DTLS: it begins with "good`, "something else", longer},
		{"turn:" + web + "?transport=tcp", StepBinding, `it begins with "HTTP/1.1 400 Bad Request"`, "", 0},
		{"turn:" + short + "?transport=tcp", StepBinding, `it begins with "no."`, "", 0},
		{"turns:" + web, StepHandshake, "does not speak TLS", "should be turn:", 0},
		{"turn:" + closing + "?transport=tcp", StepBinding, "ended the connection instead of answering a Binding", "log", 0},
		{"turns:" + closing, StepHandshake, "ended the connection during the handshake", "certificate", 0},
		{"turn:" + mute + "?transport=tcp", StepBinding, "no answer over TCP", "firewall", longer},
		{"turns:" + mute, StepHandshake, "no answer over TCP", "firewall", longer},
	} {
		t.Run(c.uri[:5]+c.text, func(t *testing.T) {
			t.Parallel()
			failsWith(t, Options{Servers: []Server{{c.uri, "a", "b"}}, Timeout: c.wait}, c.step, c.text, c.advice)
		})
	}
}

// What clients would say about certificates.
func TestCertificates(t *testing.T) {
	r := start(t)
	port := r.port("127.0.0.1")
	resolve := func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{four}, nil }
	for _, transport := range []string{"udp", "tcp"} {
		o := r.options(r.login("turns:127.0.0.1:" + port + "?transport=" + transport))
		o.Roots = nil
		failsWith(t, o, StepHandshake, `the certificate for relay.test, 127.0.0.1, ::1 is of "an authority", which is not trusted here`, "--ca FILE")
		o = r.options(r.login("turns:other.test:" + port + "?transport=" + transport))
		o.Resolve = resolve
		failsWith(t, o, StepHandshake, "the certificate is not for other.test: it is for relay.test, 127.0.0.1, ::1", "turn.host")
	}
	old := &running{}
	r = start(t, func(o *relay.Options) { o.TLS, old.roots = certified(t, time.Unix(1.5e9, 0)) })
	for _, s := range r.uris("127.0.0.1", r.port("127.0.0.1"))[2:] {
		o := r.options(s)
		o.Roots = old.roots
		failsWith(t, o, StepHandshake, "is not valid now: it is from 2001-09-09T01:46:40Z to 2017-07-14T02:40:00Z", "renew")
	}
}

// Credentials that are missing, wrong or over.
func TestCredentials(t *testing.T) {
	r := start(t)
	uri := "turn:127.0.0.1:" + r.port("127.0.0.1")
	failsWith(t, r.options(Server{URI: uri}), StepAllocate, "wants a user name and a password", "--username")
	if got := failsWith(t, r.options(Server{uri, "somebody", "wrong"}), StepAllocate, "does not take", "(401)"); got.Problem.Code != 401 {
		t.Errorf("%+v", got.Problem)
	}
	issued := time.Now().Add(-time.Hour)
	r.user, r.pass = r.secret.Issue(issued, credential.Holder{Account: "123456789012", Channel: 7}, 5*time.Minute)
	failsWith(t, r.options(r.login(uri)), StepAllocate, "the credentials ended at "+issued.Add(5*time.Minute).UTC().Format(time.RFC3339)+" (401)", "get new ones")
}

// Answers that refuse, each with its own words.
func TestRefusals(t *testing.T) {
	for code, text := range map[int]string{
		300: "another server", 437: "same port", 440: "of that family", 442: "refuses the Allocate with 442",
		486: "as many allocations", 500: "refuses the Allocate with 500", 508: "no address left",
	} {
		got := failsWith(t, Options{Servers: []Server{{"turn:" + strange(t, challenged(code)), "a", "b"}}}, StepAllocate, text)
		if got.Problem.Code != code || got.Mapped != "192.0.2.1:7" || !got.NAT || got.Software != "strange [2J1.0" {
			t.Errorf("%+v %+v", got, got.Problem)
		}
	}
	at := strange(t, func(_ int, b *stun.Builder) { b.AddError(403) })
	failsWith(t, Options{Servers: []Server{{"turn:" + at, "a", "b"}}}, StepAllocate, "refuses the Allocate with 403")
}

// Relays that lend addresses to anybody, or fall silent.
func TestCarelessRelay(t *testing.T) {
	var asked int
	at := answering(t, func(b []byte) []byte {
		m, err := stun.Parse(b)
		if err != nil || m.Method() != stun.Binding && asked > 3 {
			return nil
		}
		asked++
		return stun.NewBuilder(nil, m.Method(), stun.Success, m.Transaction()).AddAddress(stun.XORMappedAddress, netip.AddrPortFrom(four, 7)).Bytes()
	})
	failsWith(t, Options{Servers: []Server{{"turn:" + at, "a", "b"}}}, StepAllocate, "without asking", "anybody")
	failsWith(t, Options{Servers: []Server{{"turn:" + at, "a", "b"}}, Timeout: longer}, StepAllocate, "no answer to an Allocate, although")
}

// The limits of our own relay.
func TestQuota(t *testing.T) {
	r := start(t, func(o *relay.Options) {
		o.Limits = func(kvs.AccountID, kvs.ChannelID) relay.Limits { return relay.Limits{Allocations: 1} }
	})
	for _, s := range r.uris("127.0.0.1", r.port("127.0.0.1")) {
		failsWith(t, r.options(s), StepAllocate, "as many allocations as there may be (486)", "relay.allocations")
	}
}

// An advertised address at which nobody reaches the relay: peers behind it meet, others do not.
func TestWrongAdvertised(t *testing.T) {
	r := start(t, func(o *relay.Options) { o.Addresses[0].Advertised = netip.MustParseAddr("127.0.0.9") })
	all := r.uris("127.0.0.1", r.port("127.0.0.1"))
	got := failsWith(t, r.options(all[0]), StepDirect, "nobody is at a relay address of 127.0.0.9,", "relay_ports", "advertise", "--no-direct")
	if got.Trip == nil || got.Trip.Returned != 20 || got.Direct != Refused {
		t.Errorf("%+v", got)
	}
	if got := one(t, r.options(all[1])); got.State != OK || got.Direct != Refused || len(got.Notes) != 1 {
		t.Errorf("%+v", got)
	}
	o := r.options(all[0])
	if o.NoDirect = true; one(t, o).State != OK {
		t.Error("what was not to be tried is a failure")
	}
}

// What is said of relay addresses that nothing comes to or from.
func TestDirectAdvice(t *testing.T) {
	for direct, want := range map[Direct]string{Silent: "nothing that this machine sends", OneWay: "not what the relay sends back", Refused: "nobody is at", Reached: "", Denied: "", Blocked: ""} {
		v := &visit{target: &Target{Transport: DTLS}, result: &Result{Direct: direct}, a: &session{}}
		p, _ := errors.AsType[*Problem](v.judgeDirect())
		if want == "" && p != nil || want != "" && (p == nil || p.Advice == "" || !contains(p.Text, want)) {
			t.Errorf("%s: %+v", direct, p)
		}
	}
}

// Names without an address, and URIs that are none.
func TestNoSuchName(t *testing.T) {
	o := Options{Servers: []Server{{URI: "stun:nowhere.test"}}}
	for err, text := range map[error]string{
		&net.DNSError{IsNotFound: true}: "the name nowhere.test has no address", errors.New("no server"): "cannot be resolved: no server",
	} {
		o.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, err }
		failsWith(t, o, StepResolve, text)
	}
	o.Resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	failsWith(t, o, StepResolve, "has no address")
	failsWith(t, Options{Servers: []Server{{URI: "http://x"}}}, StepURI, "is no URI of a relay")
}
