package ingest

import (
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// EventType is the kind of an acknowledgement.
type EventType string

// The acknowledgements of a fragment, in their order, and those outside it.
const (
	Buffering EventType = "BUFFERING" // the cluster's timecode was read
	Received  EventType = "RECEIVED"  // the whole fragment was read
	Persisted EventType = "PERSISTED" // the fragment is durable
	Failed    EventType = "ERROR"
	Idle      EventType = "IDLE" // the session is alive, no data is coming
)

// Ack is one acknowledgement.
type Ack struct {
	Type     EventType
	Timecode uint64 // the cluster's timecode as sent, in timecode units
	Number   kvs.FragmentNumber
	Code     Code // Failed only
	Whole    bool // Failed only: about the session, not about a fragment
	since    time.Time
	why      string // Failed only: for the session's summary
}

// AppendJSON appends the acknowledgement as the service writes it: one line, keys in
// this order, no spaces, newline at the end (wire-media section 4.1).
func (a Ack) AppendJSON(b []byte) []byte {
	b = append(b, `{"EventType":"`...)
	b = append(b, a.Type...)
	b = append(b, '"')
	if a.Type == Idle {
		return append(b, "}\n"...)
	}
	b = append(b, `,"FragmentTimecode":`...)
	if a.Whole {
		b = append(b, `-1,"FragmentNumber":"`...)
	} else {
		b = strconv.AppendUint(b, a.Timecode, 10)
		b = append(b, `,"FragmentNumber":"`...)
		b = a.Number.Append(b)
	}
	b = append(b, '"')
	if a.Type == Failed {
		b = append(b, `,"ErrorCode":"`...)
		b = append(b, a.Code.String()...)
		b = append(b, `","ErrorId":`...)
		b = strconv.AppendInt(b, int64(a.Code), 10)
	}
	return append(b, "}\n"...)
}
