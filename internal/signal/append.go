package signal

import (
	"fmt"
	"unicode/utf8"
)

// noPayload is what messages of the server's own carry, base64 of "{}": some clients close
// the connection or crash when there is none.
const noPayload = "e30="

// payloadAt is where the payload of a delivery begins.
const payloadAt = len(`{"messagePayload":"`)

// AppendDelivery appends what the recipient of a message gets. sender is a viewer's client
// id, "" for what the master sent. The payload must be one that [Decode] returned.
func AppendDelivery(dst []byte, t Type, sender, payload string) []byte {
	dst = append(dst, `{"messagePayload":"`...)
	dst = append(dst, payload...)
	dst = append(dst, `","messageType":"`...)
	dst = append(dst, t.String()...)
	if sender != "" {
		dst = append(dst, `","senderClientId":"`...)
		dst = append(dst, sender...)
	}
	return append(dst, `"}`...)
}

// DeliverySize is how many bytes AppendDelivery appends.
func DeliverySize(t Type, sender, payload string) int {
	n := payloadAt + len(payload) + len(`","messageType":"`) + len(t.String()) + len(`"}`)
	if sender != "" {
		n += len(`","senderClientId":"`) + len(sender)
	}
	return n
}

// Append appends a message as a client sends it. Its recipient must be a valid id or "".
func Append(dst []byte, m Message) []byte {
	dst = append(dst, `{"action":"`...)
	dst = append(dst, m.Action.String()...)
	dst = append(dst, `","messagePayload":"`...)
	dst = append(dst, m.Payload...)
	if m.Recipient != "" {
		dst = append(dst, `","recipientClientId":"`...)
		dst = append(dst, m.Recipient...)
	}
	if m.CorrelationID != "" {
		dst = append(dst, `","correlationId":"`...)
		dst = append(dst, m.CorrelationID...)
	}
	return append(dst, `"}`...)
}

// MaxDescription is how many bytes the description of a status has at most as it is written:
// the C client copies it with its escapes.
const MaxDescription = 1024

// Status says why a message was refused.
type Status struct {
	CorrelationID string // that of the message
	ErrorType     string // such as InvalidArgumentException
	StatusCode    string // such as 400
	Description   string // cut where it would be longer than [MaxDescription]
}

// AppendStatus appends a STATUS_RESPONSE.
func AppendStatus(dst []byte, s Status) []byte {
	dst = append(dst, `{"messagePayload":"`+noPayload+`","messageType":"STATUS_RESPONSE","statusResponse":{"correlationId":`...)
	dst = appendString(dst, s.CorrelationID, MaxID)
	dst = append(dst, `,"errorType":`...)
	dst = appendString(dst, s.ErrorType, MaxID)
	dst = append(dst, `,"statusCode":`...)
	dst = appendString(dst, s.StatusCode, MaxID)
	dst = append(dst, `,"description":`...)
	dst = appendString(dst, s.Description, MaxDescription)
	return append(dst, `,"success":false}}`...)
}

// AppendControl appends a message of the server that has nothing to say but its type:
// GO_AWAY or RECONNECT_ICE_SERVER.
func AppendControl(dst []byte, t Type) []byte {
	return append(append(append(dst, `{"messagePayload":"`+noPayload+`","messageType":"`...), t.String()...), `"}`...)
}

// appendString appends a JSON string, as much of it as most bytes between the quotes can say.
func appendString(dst []byte, s string, most int) []byte {
	dst = append(dst, '"')
	start := len(dst)
	for _, r := range s {
		before := len(dst)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
		if len(dst)-start > most {
			dst = dst[:before]
			break
		}
	}
	return append(dst, '"')
}
