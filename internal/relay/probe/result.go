package probe

import "fmt"

// The steps in which a server is tried, in this order.
const (
	StepURI       = "uri"       // read the URI
	StepResolve   = "resolve"   // find the addresses of its name
	StepConnect   = "connect"   // TCP; over UDP there is nothing to do
	StepHandshake = "handshake" // TLS or DTLS
	StepBinding   = "binding"   // ask how this machine is seen
	StepAllocate  = "allocate"  // get two relay addresses
	StepRelay     = "relay"     // packets from one of them to the other and back
	StepDirect    = "direct"    // packets from this machine to one of them and back
	StepRate      = "rate"      // many packets for some time
)

// State says how it went.
type State string

// The states.
const (
	OK      State = "ok"
	Failed  State = "failed"
	Skipped State = "skipped" // this machine has no address of the family, and the name has others
)

// Report is what was found out.
type Report struct {
	Results     []Result
	Interrupted bool // not all was tried
}

// Result is about one address of one URI. Times are in seconds; 0 = not measured.
type Result struct {
	URI       string
	Transport Transport `json:",omitzero"`
	State     State
	Problem   *Problem `json:",omitempty"` // why it failed
	Notes     []string `json:",omitempty"` // what is odd without being a failure

	Address  string `json:",omitempty"` // of the server, with port
	Local    string `json:",omitempty"` // this machine's, with port
	Mapped   string `json:",omitempty"` // how the server sees it
	NAT      bool   // the two differ
	Relay    string `json:",omitempty"` // a relay address
	Software string `json:",omitempty"` // what the server says that it is

	ResolveSeconds   float64 `json:",omitzero"` // of a name
	ConnectSeconds   float64 `json:",omitzero"` // of TCP
	HandshakeSeconds float64 `json:",omitzero"` // of TLS or DTLS
	BindingSeconds   float64 `json:",omitzero"` // there and back, the best of three
	AllocateSeconds  float64 `json:",omitzero"` // two questions: the first is for what to log in with

	Trip   *Trip  `json:",omitempty"`
	Direct Direct `json:",omitzero"`
	Rate   *Rate  `json:",omitempty"`

	unroutable bool // this machine has no way to the address's family
}

// Trip is how packets fared from one relay address to the other and back.
type Trip struct {
	Sent, Arrived, Returned int
	P50Seconds, P99Seconds  float64 // there and back; 0 = none returned
}

// Rate is what passed from one relay address to the other in some time.
type Rate struct {
	Seconds            float64
	Sent, Arrived      int     // packets
	AskedBits, GotBits float64 // of payload, a second
}

// Direct is how packets fared that this machine sent to a relay address, as a peer does.
type Direct string

// What may become of them.
const (
	Reached     Direct = "reached"      // and answers came back
	OneWay      Direct = "one way"      // they arrived; answers did not come back
	Silent      Direct = "silent"       // none arrived
	Refused     Direct = "refused"      // this machine was told that nothing is there
	Blocked     Direct = "blocked"      // this machine's own firewall let none out
	Denied      Direct = "denied"       // the relay does not deal with an address like this machine's
	OtherFamily Direct = "other family" // IPv4 here and IPv6 there, or the reverse; not tried
)

// Problem is why something does not work.
type Problem struct {
	Step   string
	Code   int    `json:",omitzero"` // of an answer that refuses
	Text   string // what is wrong
	Advice string `json:",omitempty"` // what to do
}

// Error is the text of the problem.
func (p *Problem) Error() string { return p.Text }

func (r *Result) fail(p *Problem) { r.State, r.Problem = Failed, p }

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Count returns how many addresses were tried and how many of them work; skipped ones are in
// neither.
func (r *Report) Count() (working, tried int) {
	for i := range r.Results {
		switch r.Results[i].State {
		case OK:
			working++
			tried++
		case Failed:
			tried++
		}
	}
	return working, tried
}

// Fastest returns what works with the shortest time there and back, and that time in seconds:
// through the relay, where one was tried, else of a Binding. It is nil if nothing works.
func (r *Report) Fastest() (best *Result, seconds float64) {
	relays := false
	for i := range r.Results {
		c := &r.Results[i]
		if c.State != OK {
			continue
		}
		time, isRelay := c.BindingSeconds, c.Trip != nil
		if isRelay {
			time = c.Trip.P50Seconds
		}
		if best == nil || isRelay && !relays || isRelay == relays && time < seconds {
			best, seconds, relays = c, time, isRelay
		}
	}
	return best, seconds
}
