package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/wire"
)

// Error is what the server answered instead of doing what it was asked.
type Error struct {
	Operation string
	Exception string // modelled name, "" when the answer names none
	Message   string // "" when the answer has none
	Status    int    // HTTP status
	RequestID string
	Date      time.Time // when the server answered, by its clock, in whole seconds; zero when the answer has none
}

// Error names operation, exception, status and message.
func (e *Error) Error() string {
	name := e.Exception
	if name == "" {
		name = http.StatusText(e.Status)
	}
	text := fmt.Sprintf("%s: %s (status %d)", e.Operation, name, e.Status)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// maxRefusal bounds what is read of an error's body.
const maxRefusal = 64 << 10

// refusal makes the error of an answer other than 200.
func refusal(op *wire.Operation, resp *http.Response) *Error {
	// What cannot be read is missing in the message; the status says enough.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	e := &Error{Operation: op.Name, Status: resp.StatusCode, RequestID: resp.Header.Get("x-amzn-RequestId")}
	e.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	e.Exception = exceptionName(resp.Header.Get("x-amzn-ErrorType"))
	var fields struct {
		Type    string `json:"__type"`
		Message string // either case, as the service's layers differ (wire-media section 9.2)
	}
	if json.Unmarshal(body, &fields) == nil {
		e.Message = fields.Message
	} else {
		e.Message = strings.TrimSpace(string(body))
	}
	if e.Exception == "" {
		e.Exception = exceptionName(fields.Type)
	}
	return e
}

// exceptionName takes the name out of "namespace#Name:http://documentation/".
func exceptionName(text string) string {
	if i := strings.IndexByte(text, '#'); i >= 0 {
		text = text[i+1:]
	}
	text, _, _ = strings.Cut(text, ":")
	return strings.TrimSpace(text)
}

// unknownOperation finds the one error that has status 200: a path that the server
// does not know (wire-media section 9.2).
func unknownOperation(op *wire.Operation, resp *http.Response, body []byte) *Error {
	if !bytes.Contains(body, []byte("#UnknownOperationException")) {
		return nil
	}
	var fields struct {
		Output struct {
			Type string `json:"__type"`
		}
	}
	if json.Unmarshal(body, &fields) != nil || fields.Output.Type == "" {
		return nil
	}
	date, _ := http.ParseTime(resp.Header.Get("Date"))
	return &Error{Operation: op.Name, Exception: exceptionName(fields.Output.Type), Status: resp.StatusCode, Date: date,
		Message:   "the server has no operation at " + op.Path,
		RequestID: resp.Header.Get("x-amzn-RequestId")}
}
