package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/authority"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// names lists, for each kind of error, the exceptions that say it, best first. The
// first one that the operation's model declares is used.
var names = map[kvs.Kind][]string{
	kvs.InvalidArgument:    {"InvalidArgumentException"},
	kvs.InvalidFormat:      {"InvalidResourceFormatException", "InvalidArgumentException"},
	kvs.NotFound:           {"ResourceNotFoundException"},
	kvs.InUse:              {"ResourceInUseException"},
	kvs.VersionMismatch:    {"VersionMismatchException"},
	kvs.Denied:             {"NotAuthorizedException", "AccessDeniedException"},
	kvs.TooManyRequests:    {"ClientLimitExceededException"},
	kvs.TooManyConnections: {"ConnectionLimitExceededException", "ClientLimitExceededException"},
	kvs.TooManyStreams:     {"AccountStreamLimitExceededException"},
	kvs.TooManyChannels:    {"AccountChannelLimitExceededException"},
	kvs.TooManyTags:        {"TagsPerResourceExceededLimitException", "InvalidArgumentException"},
	kvs.WrongEndpoint:      {"InvalidEndpointException", "InvalidArgumentException"},
	kvs.NoRetention:        {"NoDataRetentionException", "InvalidArgumentException"},
	kvs.UnsupportedMedia:   {"UnsupportedStreamMediaTypeException", "InvalidArgumentException"},
	kvs.MissingPrivateData: {"MissingCodecPrivateDataException", "InvalidArgumentException"},
	kvs.InvalidPrivateData: {"InvalidCodecPrivateDataException", "InvalidArgumentException"},
	kvs.InvalidFrame:       {"InvalidMediaFrameException", "InvalidArgumentException"},
	kvs.NotImplemented:     {"UnknownOperationException"}, // only our own operations declare it

	// Kinds of IAM and STS, which have exceptions of their own.
	kvs.Conflict:        {"ResourceInUseException", "InvalidArgumentException"},
	kvs.MalformedPolicy: {"InvalidArgumentException"},
	kvs.LimitExceeded:   {"ClientLimitExceededException", "InvalidArgumentException"},
	kvs.TooLarge:        {"InvalidArgumentException"},
	kvs.Unmodifiable:    {"InvalidArgumentException"},
	kvs.Validation:      {"InvalidArgumentException"},

	// Kinds of signaling.
	kvs.InvalidClient:  {"InvalidClientException", "InvalidArgumentException"},
	kvs.SessionExpired: {"SessionExpiredException", "InvalidArgumentException"},
}

// unmodelled are the answers of kinds that no model declares.
var unmodelled = map[kvs.Kind]rendering{
	kvs.NotImplemented: {http.StatusNotImplemented, "NotImplementedException", "", "Message"},
	kvs.Unavailable:    {http.StatusServiceUnavailable, "ServiceUnavailableException", "", "Message"},
	kvs.Denied:         {http.StatusForbidden, "AccessDeniedException", "", "Message"},
	kvs.Expired:        {http.StatusForbidden, "ExpiredTokenException", "", "message"}, // of the signing layer
}

// rendering is an error as the wire shows it.
type rendering struct {
	status  int
	name    string // x-amzn-ErrorType
	message string
	key     string // member that holds the message
}

// methodError says that an action is not called by this method (RFC 9110 section 15.5.6).
type methodError struct{ action, method string }

func (e *methodError) Error() string {
	return fmt.Sprintf("%s is called by GET or HEAD, not by %.16s.", e.action, e.method)
}

// render translates an error for the given operation.
func render(op *wire.Operation, err error) rendering {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		// The signing layer writes "message", the service itself "Message"
		// (wire-media section 9.2).
		return rendering{e.Code.Status(), e.Code.Exception(), e.Message, "message"}
	}
	if e, ok := errors.AsType[*chosenError](err); ok {
		return e.render(op)
	}
	if e, ok := errors.AsType[*methodError](err); ok {
		return rendering{http.StatusMethodNotAllowed, "MethodNotAllowedException", e.Error(), "Message"}
	}
	e, ok := errors.AsType[*kvs.Error](err)
	if !ok || e.Kind == kvs.Internal {
		return rendering{http.StatusInternalServerError, "InternalFailure", "Internal failure.", "Message"}
	}
	for _, name := range names[e.Kind] {
		if x, ok := op.Exception(name); ok {
			status := x.Status
			if e.Kind == kvs.Denied {
				status = http.StatusForbidden // decisions sheet, row 1
			}
			return rendering{status, name, e.Message, x.MessageKey}
		}
	}
	if r, ok := unmodelled[e.Kind]; ok {
		r.message = e.Message
		return r
	}
	name := "InvalidArgumentException"
	if all := names[e.Kind]; len(all) > 0 {
		name = all[0]
	}
	return rendering{http.StatusBadRequest, name, e.Message, "Message"}
}

// fail answers with an error, unless an answer was begun already.
func (c *Call) fail(err error) {
	c.failure = err
	if c.streamed {
		return
	}
	if c.query.service != nil {
		c.failQuery(err)
		return
	}
	r := render(c.Operation, err)
	h := c.Writer.Header()
	h["x-amzn-ErrorType"] = []string{r.name}
	h["x-amz-ErrorType"] = []string{r.name}
	showDecision(h, err)
	if r.status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", retryAfter)
	}
	body, _ := json.Marshal(map[string]string{r.key: r.message})
	if c.Operation.Input == nil {
		// The media body is not read: the connection cannot be used again. The server
		// reads on a little, so that a client that is still sending gets the answer; one
		// that sends nothing must not hold the connection.
		h.Set("Connection", "close")
		defer func() { _ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(drainTime)) }()
	} else if c.body == nil {
		// What is left of the body is read before the next request: in bounded time.
		_ = http.NewResponseController(c.Writer).SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	c.write(r.status, body)
}

// decisionHeader carries the sealed decision behind a denial; what opens it is
// sts:DecodeAuthorizationMessage.
const decisionHeader = "x-millrace-authorization-message"

// showDecision adds what is known of a denial.
func showDecision(h http.Header, err error) {
	if d, ok := errors.AsType[*authority.Denial](err); ok && d.Sealed != "" {
		h.Set(decisionHeader, d.Sealed)
	}
}

// retryAfter is after how many seconds a caller should come again who was told that
// something is unavailable.
const retryAfter = "5"

// drainTime is how long a client whose media was refused may go on sending.
const drainTime = 500 * time.Millisecond

// unknownOperation answers a path that no model has, as the real service does
// (wire-media section 9.2).
func (c *Call) unknownOperation() {
	c.write(http.StatusOK, []byte(`{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}`))
}
