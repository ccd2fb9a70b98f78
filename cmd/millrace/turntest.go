package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/relay/probe"
	"github.com/millrace/millrace/signaling"
)

type turnTestCmd struct {
	Target       []string      `arg:"" help:"Name or ARN of a signaling channel, or URIs such as turn:HOST:PORT?transport=udp."`
	Username     string        `placeholder:"NAME" help:"User name for URIs; a channel has its own."`
	PasswordFile string        `placeholder:"FILE" help:"File with the password for URIs, - is the standard input; else TURN_PASSWORD."`
	Packets      int           `default:"100" placeholder:"N" help:"How many packets go through the relay and back. Default ${default}."`
	Size         int           `default:"1000" placeholder:"BYTES" help:"Size of a packet, 64 to 1400. Default ${default}."`
	Gap          time.Duration `default:"10ms" help:"Time between two packets. Default ${default}."`
	For          time.Duration `placeholder:"DURATION" help:"Then send so long at a rate, such as 5s."`
	Rate         float64       `default:"2" placeholder:"MBIT/S" help:"The rate for --for, in Mbit/s. Default ${default}."`
	Timeout      time.Duration `default:"5s" help:"How long each step waits for an answer. Default ${default}."`
	NoDirect     bool          `help:"Send nothing to a relay address from this machine itself."`
	JSON         bool          `name:"json" help:"One JSON object for each URI and address instead of a table."`

	connection
}

// Help is the end of the help text.
func (*turnTestCmd) Help() string {
	return `Run it where the camera or the viewer is. Each URI is tried at each address of its name, one after
the other, with two relay addresses that send to each other, and with packets that this machine sends
to one of them, as a peer would that is not behind the relay. Exit code 0: all work, 1: some do not.

  RESOLVE   the name
  CONNECT   TCP and TLS, or DTLS, with the certificate verified as clients do (--ca)
  BINDING   a question and its answer, the best of three
  ALLOCATE  a relay address: two questions
  RTT, P99  from one relay address to the other and back: half of the packets took no longer than
            the first, 99 of 100 no longer than the second
  LOST      of these packets
  DIRECT    packets from this machine to a relay address: reached, or why not; denied = the relay
            does not serve this machine's address (allow_peers), which says nothing about others
  RATE      what came through of --rate

Examples:
  millrace turn test door
  millrace turn test door --for 5s --rate 4
  millrace turn test door --json | jq 'select(.State != "ok") | .Problem'
  millrace turn test stun:stun.example.com
  millrace turn test 'turn:turn.example.com:3478?transport=udp' --username anna --password-file secret`
}

// Run tries what there is.
func (c *turnTestCmd) Run(ctx context.Context, std stdio) error {
	if err := c.check(); err != nil {
		return err
	}
	o := probe.Options{Timeout: c.Timeout, Packets: c.Packets, Size: c.Size, Gap: c.Gap, For: c.For, Rate: int64(c.Rate * 1e6), NoDirect: c.NoDirect}
	var err error
	if o.Servers, err = c.servers(ctx, std); err != nil {
		return err
	}
	bundle := c.CA
	if bundle == "" {
		bundle = os.Getenv("AWS_CA_BUNDLE")
	}
	if o.Roots, err = client.Roots(bundle); err != nil {
		return err
	}
	shown := terminal(std.err)
	if shown {
		o.Progress = func(uri, step string) { fmt.Fprintf(std.err, "\r\x1b[K%s: %s", printable(uri), step) }
	}
	report := probe.Run(ctx, o)
	if shown {
		fmt.Fprint(std.err, "\r\x1b[K")
	}
	if c.JSON {
		err = writeObjects(std.out, report.Results)
	} else {
		err = turnTestTable(std.out, report)
	}
	if err != nil {
		return err
	}
	return c.verdict(std.out, report)
}

// check finds flags that cannot be.
func (c *turnTestCmd) check() error {
	wrong := func(text string) error { return &usageError{"turn test", text} }
	switch {
	case c.Packets < 1 || c.Packets > probe.MaxPackets:
		return wrong(fmt.Sprintf("--packets is 1 to %d", probe.MaxPackets))
	case c.Size < probe.MinSize || c.Size > probe.MaxSize:
		return wrong(fmt.Sprintf("--size is %d to %d", probe.MinSize, probe.MaxSize))
	case c.Gap < time.Millisecond || c.Gap > time.Second:
		return wrong("--gap is 1ms to 1s")
	case c.For < 0 || c.For > 10*time.Minute:
		return wrong("--for is at most 10m")
	case c.Rate < 0.01 || c.Rate > probe.MaxRate/1e6:
		return wrong(fmt.Sprintf("--rate is 0.01 to %d Mbit/s", probe.MaxRate/1_000_000))
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return wrong("--timeout is 100ms to 1m")
	}
	uris := 0
	for _, t := range c.Target {
		if probe.IsURI(t) {
			uris++
			if _, err := probe.Parse(t); err != nil {
				return wrong(err.Error())
			}
		}
	}
	switch {
	case uris == 0 && len(c.Target) > 1:
		return wrong("give one channel, or URIs that begin with stun:, stuns:, turn: or turns:")
	case uris > 0 && uris < len(c.Target):
		return wrong("give a channel or URIs, not both")
	case uris == 0 && (c.Username != "" || c.PasswordFile != ""):
		return wrong("a channel has its own user name and password")
	}
	return nil
}

// servers are those to try, with what to log in with: a name and a password, or neither.
func (c *turnTestCmd) servers(ctx context.Context, std stdio) (all []probe.Server, err error) {
	if !probe.IsURI(c.Target[0]) {
		return c.ofChannel(ctx, std)
	}
	password, err := c.password(std)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Username != "" && password == "":
		return nil, &usageError{"turn test", "--username wants a password: --password-file or TURN_PASSWORD"}
	case c.Username == "" && c.PasswordFile != "":
		return nil, &usageError{"turn test", "--password-file wants --username"}
	}
	for _, uri := range c.Target {
		all = append(all, probe.Server{URI: uri, Username: c.Username, Password: password})
	}
	return all, nil
}

// maxPassword is longer than any password of a relay.
const maxPassword = 4096

// password reads it from where others do not see it.
func (c *turnTestCmd) password(std stdio) (string, error) {
	if c.PasswordFile == "" {
		return os.Getenv("TURN_PASSWORD"), nil
	}
	in := std.in
	if c.PasswordFile != "-" {
		f, err := os.Open(c.PasswordFile)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxPassword+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", c.PasswordFile, err)
	case len(b) > maxPassword:
		return "", fmt.Errorf("%s is too long for a password", c.PasswordFile)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// ofChannel asks for the relays of the channel, as a viewer does.
func (c *turnTestCmd) ofChannel(ctx context.Context, std stdio) (all []probe.Server, err error) {
	cl, err := c.open()
	if err != nil {
		return nil, err
	}
	m := member{Channel: c.Target[0]}
	peer, err := signaling.NewViewer(m.options(cl, m.log(std.err)))
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, max(c.Timeout, 30*time.Second))
	defer cancel()
	servers, err := peer.ICEServers(limited)
	if err != nil {
		return nil, advise(err, "millrace channel list names the channels there are; capitals count")
	}
	for _, s := range servers {
		for _, uri := range s.URLs {
			all = append(all, probe.Server{URI: uri, Username: s.Username, Password: s.Password})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the server names no relay for %s: its settings turn.listen or signaling.ice_servers do (docs/guide/network.md)", m.Channel)
	}
	return all, nil
}

// verdict is the last line; that something does not work is an error.
func (c *turnTestCmd) verdict(w io.Writer, r *probe.Report) error {
	working, tried := r.Count()
	text := fmt.Sprintf("%d of %d %s", working, tried, choose(tried == 1, "works", "work"))
	if best, seconds := r.Fastest(); best != nil {
		text += fmt.Sprintf("; fastest %s, %s", printable(best.URI), millis(seconds))
	}
	switch {
	case r.Interrupted:
		return errors.New("interrupted; so far " + text)
	case working < tried || tried == 0:
		return errors.New(text)
	case c.JSON:
		return nil
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
