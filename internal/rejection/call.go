package rejection

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Advice is what helps a call that was refused before its body was read.
type Advice struct {
	Kind kvs.Kind // of the error
	Name string   // stable, for programs
	When string   // what must have happened
	Fix  string   // what the people who run the producer can do
}

var advices = []Advice{
	{kvs.InvalidArgument, "bad-header", "A header of PutMedia is missing or has a value that it may not have.",
		"Correct the header that the message names. kvssink and producer-c send them all; a client of your own needs x-amzn-stream-name, x-amzn-fragment-timecode-type and, when that is RELATIVE, x-amzn-producer-start-timestamp."},
	{kvs.Denied, "denied", "The access key may not call PutMedia on the stream.",
		"Use an access key that may call kinesisvideo:PutMedia on this stream."},
	{kvs.TooManyRequests, "too-many-requests", "PutMedia is called more often than it may be.",
		"Open one session and keep it: a producer that reconnects several times a second has another fault, which the entries beside this one may show. `millrace limit list` shows the rates, `millrace limit set` raises them."},
	{kvs.TooManyConnections, "too-many-connections", "The stream has as many sessions as it may have.",
		"Close sessions that are no longer used, or raise the limit with `millrace limit set`."},
	{kvs.WrongEndpoint, "wrong-endpoint", "The call came to a host that GetDataEndpoint does not name.",
		"Ask GetDataEndpoint with APIName PUT_MEDIA again and use what it returns. If clients cannot reach that host, set `endpoint` in millrace.yml."},
	{kvs.Unavailable, "unavailable", "The server is stopping, or cannot reach its disk.",
		"The server's log says why. The producer should try again."},
	{kvs.Internal, "internal", "The server could not do its part.",
		"This is the server's fault, not the producer's: its log says why, under the same request id."},
}

// Advices lists what calls may be refused for.
func Advices() []Advice { return append([]Advice(nil), advices...) }

// adviceFor finds the advice for an error; what has no line of its own is the caller's
// fault.
func adviceFor(k kvs.Kind) Advice {
	for _, a := range advices {
		if a.Kind == k {
			return a
		}
	}
	return advices[0]
}

// Call is what there is to say of a call that was refused before its body was read.
type Call struct {
	Time      time.Time
	Request   string // id
	Client    string // address
	Status    int
	Exception string
	Err       error
}

// Refusal makes the refusal of the call.
func (c Call) Refusal() Refusal {
	kind := kvs.KindOf(c.Err)
	a := adviceFor(kind)
	why := c.Err.Error()
	if kind == kvs.Internal { // its text is for the log
		why = "Internal failure."
	}
	return Refusal{
		Time: c.Time.UTC().Truncate(time.Millisecond), Scope: Request, Code: c.Status, Error: c.Exception, Case: a.Name,
		Why: why, Fix: a.Fix, Told: true, Request: c.Request, Client: c.Client, Timecode: -1, Offset: -1, Began: -1,
	}
}
