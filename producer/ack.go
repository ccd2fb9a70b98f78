package producer

import (
	"fmt"

	"github.com/millrace/millrace/internal/client"
)

// AckType says what happened to a fragment (wire-media section 4).
type AckType string

// The types of acknowledgement.
const (
	Buffering AckType = client.Buffering // its first bytes arrived
	Received  AckType = client.Received  // it arrived whole
	Persisted AckType = client.Persisted // it is durable
	Idle      AckType = client.Idle      // nothing arrives; the session lives
	Failed    AckType = client.Failed    // it failed, or the session did
)

// Ack is one acknowledgement.
type Ack struct {
	Type      AckType
	Timecode  int64  // cluster timecode as sent, in timecode units; -1 when the ack has none
	Number    string // fragment number, "" when the ack has none
	ErrorID   int    // of a Failed ack (wire-media section 5.1)
	ErrorCode string // of a Failed ack, such as "INVALID_MKV_DATA"
	Raw       []byte // the line as received, without the line feed
}

// AckError is a Failed acknowledgement.
type AckError struct{ Ack }

// Error names code, number and fragment, and what may be done.
func (e *AckError) Error() string {
	text := fmt.Sprintf("the server answered %s (%d)", e.ErrorCode, e.ErrorID)
	if e.Timecode >= 0 {
		text += fmt.Sprintf(" to the fragment with cluster timecode %d", e.Timecode)
	}
	if hint := hints[e.ErrorID]; hint != "" {
		text += ": " + hint
	}
	return text
}

// hints says what the ack errors mean for who sent the media (wire-media section 5.1).
var hints = map[int]string{
	4000: "the media broke off inside a fragment",
	4001: "the fragment is too large; use more key frames or a lower bit rate",
	4002: "the fragment is too long; a key frame is needed every few seconds",
	4003: "the session was open for too long; begin another one",
	4004: "cluster timecodes must grow, and in the aws profile a fragment's frames must be later than those of the fragment before",
	4005: "too many tracks; three are allowed",
	4006: "the media is not Matroska as the server wants it",
	4007: "the producer time lies before 1970 or after 9999; check the start time",
	4008: "the stream was deleted or is not active",
	4009: "too many tags for one fragment, or too long ones",
	4010: "a frame belongs to a track that the header does not announce",
	4011: "each track needs a frame in each fragment; leave the silent track out, or set the stream tag millrace:lenient-tracks=1",
	4012: "the name of a metadata item begins with AWS, which is reserved",
	4013: "the fragment is too short; key frames come too often",
	5000: "an error inside the server; its log says more",
	5001: "the server could not store the fragment; send it again later",
}
