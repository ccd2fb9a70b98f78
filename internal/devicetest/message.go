package devicetest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxMessage is the longest message that the C SDK takes, with its envelope, in bytes.
const maxMessage = 18750

// envelope is a message from the server, read as by the iOS program: both members that it takes
// for granted are pointers, so that a missing one is seen.
type envelope struct {
	Type    *string `json:"messageType"`
	Payload *string `json:"messagePayload"`
	Sender  *string `json:"senderClientId"`
	Status  *struct {
		Correlation *string `json:"correlationId"`
		Error       *string `json:"errorType"`
		Code        *string `json:"statusCode"` // a number ends the message for the C SDK
	} `json:"statusResponse"`
}

// Message says what a device would not understand in a message from the server.
func Message(message []byte) error {
	if len(message) > maxMessage {
		return fmt.Errorf("a message of %d bytes; the C SDK takes %d", len(message), maxMessage)
	}
	all, err := tokens(message)
	if err != nil {
		return err
	}
	var m envelope
	if err := json.Unmarshal(message, &m); err != nil {
		return err
	}
	if m.Type == nil || m.Payload == nil {
		return errors.New("messageType or messagePayload is missing, which iOS, Android, and Python take for granted")
	}
	return errors.Join(cased(message), prefixes(message), payload(*m.Payload), ofType(m), room(all))
}

// room checks what the C SDK copies as it is written, escapes and all.
func room(all []token) error {
	for i, t := range all[:len(all)-1] {
		if t.raw == "description" && len(all[i+1].raw) > 1024 {
			return fmt.Errorf("a description of %d bytes as it is written; 1024 fit", len(all[i+1].raw))
		}
	}
	return nil
}

// cased finds members that are written otherwise than devices look for them.
func cased(message []byte) error {
	names, err := members(message)
	for _, n := range names {
		if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, n) }); i >= 0 && n != known[i] {
			err = errors.Join(err, fmt.Errorf("the member %s should be %s", n, known[i]))
		}
	}
	return err
}

// payload checks that every decoder takes a payload: the standard alphabet, padded, on one line,
// and never empty, which the C SDK would read as "up to the end of the message".
func payload(p string) error {
	b, err := base64.StdEncoding.Strict().DecodeString(p)
	if err != nil || strings.ContainsAny(p, "\r\n") {
		return fmt.Errorf("the payload is not standard base64 on one line: %w", err)
	}
	if len(b) == 0 {
		return errors.New("the payload is empty")
	}
	return nil
}

// ofType checks a message by its type.
func ofType(m envelope) error {
	switch *m.Type {
	case "SDP_OFFER", "SDP_ANSWER", "ICE_CANDIDATE":
		if m.Sender != nil && *m.Sender == "" {
			return errors.New("an empty senderClientId: it is there or it is not")
		}
		return nil
	case "GO_AWAY", "RECONNECT_ICE_SERVER":
		return nil
	case "STATUS_RESPONSE":
		return status(m)
	}
	return fmt.Errorf("unknown type of message %q", *m.Type)
}

// status checks a STATUS_RESPONSE against the room of the C SDK; small devices compare statusCode
// without asking whether it is there.
func status(m envelope) error {
	s := m.Status
	if s == nil || s.Correlation == nil || s.Error == nil || s.Code == nil {
		return errors.New("a STATUS_RESPONSE that is not complete")
	}
	if _, err := strconv.ParseUint(*s.Code, 10, 32); err != nil || len(*s.Code) > 8 {
		return fmt.Errorf("statusCode is %q", *s.Code)
	}
	if len(*s.Correlation) > 256 || len(*s.Error) > 256 {
		return errors.New("a STATUS_RESPONSE with a text that is too long")
	}
	return nil
}
