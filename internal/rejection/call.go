package rejection

import (
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// advice is what helps a call that was refused, by the kind of its error.
type advice struct{ name, fix string }

var advices = map[kvs.Kind]advice{
	kvs.InvalidArgument: {"bad-header", "Correct the header that the message names. kvssink and producer-c send them all; a client of your own needs x-amzn-stream-name, x-amzn-fragment-timecode-type and, when that is RELATIVE, x-amzn-producer-start-timestamp."},
	kvs.InvalidFormat:   {"bad-arn", "Send the stream's ARN as DescribeStream gives it, or its name in x-amzn-stream-name."},
	kvs.Denied:          {"denied", "Use an access key that may call kinesisvideo:PutMedia on this stream."},
	kvs.TooManyRequests: {"too-many-requests", "Open one session and keep it: a producer that reconnects several times a second has another fault, which the entries beside this one may show. `millrace limit list` shows the rates, `millrace limit set` raises them."},
	kvs.TooManyConnections: {"too-many-connections",
		"Close sessions that are no longer used, or raise the limit with `millrace limit set`."},
	kvs.WrongEndpoint: {"wrong-endpoint", "Ask GetDataEndpoint with APIName PUT_MEDIA again and use what it returns. If clients cannot reach that host, set `endpoint` in millrace.yml."},
	kvs.Unavailable:   {"unavailable", "The server is stopping or cannot reach its disk; its log says why. The producer should try again."},
	kvs.Internal:      {"internal", "This is the server's fault, not the producer's: its log says why, under the same request id."},
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

// Record makes the record of the call.
func (c Call) Record() Record {
	kind := kvs.KindOf(c.Err)
	a, ok := advices[kind]
	if !ok {
		a = advices[kvs.InvalidArgument]
	}
	why := c.Err.Error()
	if kind == kvs.Internal { // its text is for the log
		why = "Internal failure."
	}
	return Record{
		Time: c.Time.UTC().Truncate(time.Millisecond), Scope: Request, Code: c.Status, Error: c.Exception, Case: a.name,
		Why: why, Fix: a.fix, Told: true, Request: c.Request, Client: c.Client, Timecode: -1, Offset: -1, Began: -1,
	}
}
