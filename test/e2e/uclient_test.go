package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// coturn is a server with a relay on loopback, for the programs of coturn.
type coturn struct {
	*server
	ice    wire.IceServer
	ports  map[string]string // of the relay, by host
	peer   string            // port of a turnutils_peer, that above is its own too
	config string            // path of the settings
}

// newCoturn starts a server with settings beside those of the relay.
func newCoturn(t *testing.T, lines ...string) *coturn {
	t.Helper()
	hosts := []string{"127.0.0.1"}
	if hasIPv6() {
		hosts = append(hosts, "::1")
	} else {
		t.Log("this machine has no IPv6: only IPv4 is tried")
	}
	var listen []string
	for _, h := range hosts {
		listen = append(listen, strconv.Quote(net.JoinHostPort(h, "0")))
	}
	config := filepath.Join(t.TempDir(), "millrace.yml")
	settings(t, config, append([]string{"turn:", "  listen: [" + strings.Join(listen, ", ") + "]",
		`  advertise: ["` + strings.Join(hosts, `", "`) + `"]`, `  allow_peers: [127.0.0.0/8, "::1/128"]`}, lines...)...)
	r := &coturn{server: serveWith(t, config), config: config, ports: map[string]string{}}
	all := r.iceServers(t, "coturn")
	for _, ice := range all {
		host, port := hostPort(t, ice)
		r.ports[host] = port
	}
	r.ice = all[0]
	return r
}

// exercise is one run of turnutils_uclient.
type exercise struct {
	name, flags      string
	host             string // where the relay is asked, "" = 127.0.0.1
	clients, packets int
	want             string // what it prints, "" = that every packet came back
	limit            int    // it is killed after so many seconds, 0 = 60
}

// uclient does an exercise from a source address of its own: the relay bounds what one
// source may do, and a machine full of clients is none.
func (r *coturn) uclient(t *testing.T, source int, e exercise) error {
	if e.host == "" {
		e.host = "127.0.0.1"
	}
	args := []string{"turnutils_uclient", "-u", *r.ice.Username, "-w", *r.ice.Password, "-p", r.ports[e.host],
		"-m", strconv.Itoa(e.clients), "-n", strconv.Itoa(e.packets), "-l", "171"}
	if e.host == "127.0.0.1" {
		args = append(args, "-L", fmt.Sprintf("127.0.1.%d", source+1))
	}
	args = append(args, strings.Fields(strings.ReplaceAll(e.flags, "PEER", r.peer))...)
	limit := cmp.Or(e.limit, 60)
	args = append([]string{strconv.Itoa(limit)}, append(args, e.host)...)
	before := datagramsLost(t)
	out, errs, err := try(t, nil, nil, "timeout", args...)
	if why := e.ownDoing(out, err, datagramsLost(t) > before); why != "" {
		t.Logf("%s: again, for %s", e.name, why)
		out, errs, err = try(t, nil, nil, "timeout", args...)
	}
	return e.check(out+errs, err)
}

const timedOut = 124 // how timeout(1) ends then

// ownDoing is for what turnutils_uclient fails by itself, once in a while.
//
// Over DTLS it waits for ever where datagrams were lost: recv_buffer (src/apps/uclient/uclient.c of
// coturn 4.6.1) says a request again while there is nothing to read, then no more. If what came is
// the end of a handshake that was said twice, SSL_read waits for data, thirty seconds at a time
// and a hundred times (DTLS_MAX_CONNECT_TIMEOUT in tls_connect, startuclient.c), and if the request
// or its answer was lost there are none. On loopback the system loses what finds no room in a
// buffer alone, and counts it: who waits although nothing was lost waits for us.
func (e exercise) ownDoing(out string, err error, lost bool) string {
	var exit *exec.ExitError
	dtls := strings.Contains(e.flags, "-S") && !strings.Contains(e.flags, "-t")
	switch {
	case e.want != "":
		return ""
	case strings.Contains(out, "channel bind: error 400"):
		return "a number for two peers" // without -y: picked at random, once in 16,384 times the same
	case dtls && lost && errors.As(err, &exit) && exit.ExitCode() == timedOut:
		return "a datagram that was lost"
	}
	return ""
}

// datagramsLost is how many this machine had no room for, IPv4 and IPv6.
func datagramsLost(t *testing.T) (n int) {
	t.Helper()
	four, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(four)) {
		fields := strings.Fields(line)
		if fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		n += number(fields, slices.Index(names, "RcvbufErrors")) + number(fields, slices.Index(names, "SndbufErrors"))
	}
	six, _ := os.ReadFile("/proc/net/snmp6") // there is none without IPv6
	for line := range strings.Lines(string(six)) {
		if fields := strings.Fields(line); fields[0] == "Udp6RcvbufErrors" || fields[0] == "Udp6SndbufErrors" {
			n += number(fields, 1)
		}
	}
	return n
}

// number is one of several fields, 0 if it is none.
func number(fields []string, i int) (n int) {
	if i >= 0 && i < len(fields) {
		n, _ = strconv.Atoi(fields[i])
	}
	return n
}

var exchanged = regexp.MustCompile(`tot_send_msgs=(\d+), tot_recv_msgs=(\d+)`)

// check says what was not as it should be.
func (e exercise) check(out string, err error) error {
	if e.want != "" {
		if !regexp.MustCompile(e.want).MatchString(out) {
			return fmt.Errorf("%s: no %q: %v\n%s", e.name, e.want, err, ending(out))
		}
		return nil
	}
	all := exchanged.FindAllStringSubmatch(out, -1)
	n := strconv.Itoa(e.clients * e.packets)
	if err != nil || len(all) == 0 || !slices.Equal(all[len(all)-1][1:], []string{n, n}) || !strings.Contains(out, "Total lost packets 0 (") {
		return fmt.Errorf("%s: of %s packets not all came back: %v\n%s", e.name, n, err, ending(out))
	}
	return nil
}

// ending is the end of what a program prints, without that it tries one TLS after the other.
func ending(out string) string {
	all := slices.DeleteFunc(strings.Split(out, "\n"), func(line string) bool {
		return strings.Contains(line, "tls_connect:") || strings.Contains(line, "errno=")
	})
	return strings.Join(all[max(0, len(all)-20):], "\n")
}

// exercises do them, so many at a time, with source addresses from the first on.
func (r *coturn) exercises(t *testing.T, first, atOnce int, all []exercise) {
	_ = parallel(atOnce, len(all), func(i int) error {
		if err := r.uclient(t, first+i, all[i]); err != nil {
			t.Error(err)
		}
		return nil
	})
}

// turnutilsPeer starts the program that sends back whatever comes, and returns its port.
func turnutilsPeer(t *testing.T) (port string) {
	t.Helper()
	low := freePair(t)
	args := []string{"-p", strconv.Itoa(low), "-L", "127.0.0.1"}
	if hasIPv6() {
		args = append(args, "-L", "::1")
	}
	background(t, nil, "", "turnutils_peer", args...)
	for _, p := range []int{low, low + 1} {
		conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		eventually(t, "turnutils_peer", func() error {
			if _, err := conn.Write([]byte("there?")); err != nil {
				return err
			}
			_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			_, err := conn.Read(make([]byte, 10))
			return err
		})
	}
	return strconv.Itoa(low)
}

// freePair is the first of two ports that were free a moment ago.
func freePair(t *testing.T) int {
	t.Helper()
	for range 100 {
		a, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port
		b, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		a.Close()
		if err == nil {
			b.Close()
			return port
		}
	}
	t.Fatal("no two ports are free")
	return 0
}
