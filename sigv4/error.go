package sigv4

import (
	"fmt"
	"net/http"
	"time"
)

// Code says why a request was refused.
type Code uint8

// The reasons.
const (
	MissingAuthenticationToken Code = iota + 1 // the request is not signed at all
	IncompleteSignature                        // a part of the signature is missing or malformed
	UnrecognizedClient                         // nobody has this access key or session token
	InvalidSignature                           // the signature is not that of this request
	Expired                                    // signed too long ago
	NotYetCurrent                              // signed in the future
	WrongRegion                                // the scope names a region that is not served here
	WrongService                               // the scope names another service
)

// Exception is the name that belongs into the x-amzn-ErrorType header.
func (c Code) Exception() string {
	switch c {
	case MissingAuthenticationToken:
		return "MissingAuthenticationTokenException"
	case IncompleteSignature:
		return "IncompleteSignatureException"
	case UnrecognizedClient:
		return "UnrecognizedClientException"
	default:
		return "InvalidSignatureException"
	}
}

// Status is the HTTP status of the answer: 403 for every reason. The signing layer of
// the real service answers so, and producers renew their credentials on nothing else
// (wire-media sections 4.5 and 9.2).
func (c Code) Status() int { return http.StatusForbidden }

// Error is a refusal. Message is the text for the caller (wire-media section 9.2); it
// never holds a secret or the signature that would have been right.
type Error struct {
	Code    Code
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func refuse(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// UnknownKey is the refusal for an access key id that nobody has, for a key that was
// disabled, and for a session token that is none of ours.
func UnknownKey() *Error {
	return &Error{UnrecognizedClient, "The security token included in the request is invalid."}
}

func mismatch() *Error {
	return &Error{InvalidSignature, "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
}

// expired says that signed lies more than life before now.
func expired(signed, now time.Time, life time.Duration) *Error {
	return refuse(Expired, "Signature expired: %s is now earlier than %s (%s - %s)",
		stamp(signed), stamp(now.Add(-life)), stamp(now), period(life))
}

// early says that signed lies more than window after now.
func early(signed, now time.Time, window time.Duration) *Error {
	return refuse(NotYetCurrent, "Signature not yet current: %s is still later than %s (%s + %s)",
		stamp(signed), stamp(now.Add(window)), stamp(now), period(window))
}

func stamp(t time.Time) string { return t.UTC().Format(stampForm) }

// period writes d as the messages do: "5 min.".
func period(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}
