package client

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The types of acknowledgement (wire-media section 4).
const (
	Buffering = "BUFFERING" // the first bytes of the fragment arrived
	Received  = "RECEIVED"  // the whole fragment arrived
	Persisted = "PERSISTED" // the fragment is durable
	Idle      = "IDLE"      // nothing arrives, the session lives
	Failed    = "ERROR"     // the fragment or the session failed
)

// Ack is one acknowledgement of PutMedia.
type Ack struct {
	Type      string
	Timecode  int64  // cluster timecode as sent, in timecode units; -1 when the ack has none
	Number    string // fragment number, "" when the ack has none
	ErrorID   int    // of a Failed ack
	ErrorCode string // of a Failed ack
	Raw       []byte // the line as received, without the line feed
}

// ParseAck reads one line of the acknowledgement stream. Keys may come in any order
// and with others beside them, numbers may be quoted. The Ack keeps line as Raw.
func ParseAck(line []byte) (Ack, error) {
	var fields struct {
		EventType        string
		FragmentTimecode scalar
		FragmentNumber   scalar
		ErrorID          scalar `json:"ErrorId"`
		ErrorCode        scalar
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return Ack{}, fmt.Errorf("acknowledgement %.100q: %w", line, err)
	}
	if fields.EventType == "" {
		return Ack{}, fmt.Errorf("acknowledgement %.100q has no EventType", line)
	}
	a := Ack{Type: fields.EventType, Timecode: -1, Number: string(fields.FragmentNumber),
		ErrorCode: string(fields.ErrorCode), Raw: line}
	var err error
	if fields.FragmentTimecode != "" {
		a.Timecode, err = strconv.ParseInt(string(fields.FragmentTimecode), 10, 64)
	}
	if err == nil && fields.ErrorID != "" {
		a.ErrorID, err = strconv.Atoi(string(fields.ErrorID))
	}
	if err != nil {
		return Ack{}, fmt.Errorf("acknowledgement %.100q: %w", line, err)
	}
	return a, nil
}

// scalar is the text of a JSON string or number, "" for null.
type scalar string

// UnmarshalJSON accepts a string, a number or null.
func (s *scalar) UnmarshalJSON(raw []byte) error {
	switch c := raw[0]; {
	case c == 'n':
		*s = ""
	case c == '"':
		return json.Unmarshal(raw, (*string)(s))
	case c == '-' || c >= '0' && c <= '9':
		*s = scalar(raw)
	default:
		return errors.New("want a string or a number")
	}
	return nil
}

// maxAck bounds one line. Producers cannot read more than 1,024 bytes, so servers
// send less (wire-media section 4.3).
const maxAck = 4096

// ackReader splits the acknowledgement stream into lines.
type ackReader struct{ r *bufio.Reader }

func newAckReader(r io.Reader) ackReader { return ackReader{bufio.NewReaderSize(r, maxAck)} }

// next returns the next ack; empty lines are passed over. A last line without a line
// feed counts when the stream ends cleanly.
func (a ackReader) next() (Ack, error) {
	for {
		line, err := a.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return Ack{}, fmt.Errorf("acknowledgement %.100q: longer than %d bytes", line, maxAck)
		case err != nil && !errors.Is(err, io.EOF):
			return Ack{}, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return ParseAck(bytes.Clone(line))
		}
		if err != nil {
			return Ack{}, io.EOF
		}
	}
}
