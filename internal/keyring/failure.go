package keyring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Failure is why a wrapping key cannot be used. Its number is the one that producers
// read in acknowledgements and consumers in tags (errors sheet, sections 5.1 and 6).
type Failure int

// The failures.
const (
	AccessDenied Failure = 4500 + iota // the caller may not use the key
	Disabled                           // the key was switched off
	Validation                         // the key failed validation
	Unavailable                        // the provider does not answer; try again
	InvalidUsage                       // the key is not made for this
	InvalidState                       // the key's state does not allow this
	NotFound                           // nobody knows the key
)

var failureTexts = map[Failure]string{
	AccessDenied: "access to the wrapping key is denied",
	Disabled:     "the wrapping key is disabled",
	Validation:   "the wrapping key failed validation",
	Unavailable:  "the wrapping key is unavailable",
	InvalidUsage: "the wrapping key is not made for this use",
	InvalidState: "the wrapping key is in a state that does not allow its use",
	NotFound:     "the wrapping key is not known",
}

var failureNames = map[Failure]string{
	AccessDenied: "access_denied", Disabled: "disabled", Validation: "validation", Unavailable: "unavailable",
	InvalidUsage: "invalid_usage", InvalidState: "invalid_state", NotFound: "not_found",
}

// Name is the failure as programs read it, such as "access_denied".
func (f Failure) Name() string { return failureNames[f] }

// String says the failure in words.
func (f Failure) String() string { return failureTexts[f] }

// Error is a wrapping key that could not be used.
type Error struct {
	Failure Failure
	KeyID   string // as given to CreateStream; "" = the service's own
	Cause   error  // for the log; may be nil
}

// Error returns failure, key and cause.
func (e *Error) Error() string {
	text := e.Failure.String()
	if e.KeyID != "" {
		text += fmt.Sprintf(" (KmsKeyId %q)", e.KeyID)
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Refusal gives an error of a wrapping key the kind that readers of stored media get in
// answer: Unavailable if it may help to ask again, else Denied. It tells the failure, not its
// cause. All other errors, and nil, stay what they are.
func Refusal(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	kind := kvs.Denied
	if e.Failure == Unavailable {
		kind = kvs.Unavailable
	}
	return &kvs.Error{Kind: kind, Message: "The stream cannot be read: " + e.Failure.String() + ".", Cause: err}
}

// errLate is what happened when a provider did not answer in time.
var errLate = errors.New("the key provider did not answer in time")

// refused makes an Error of what a provider returned, and counts it. What is not said
// otherwise may help when it is tried again.
func (r *Ring) refused(keyID string, err error) error {
	out := &Error{Failure: Unavailable, KeyID: keyID, Cause: err}
	if e, ok := errors.AsType[*Error](err); ok {
		out.Failure, out.Cause = e.Failure, e.Cause
	}
	if errors.Is(err, context.Canceled) {
		return err // the ring was closed
	}
	r.observer.Refused(out.Failure)
	r.complain(out)
	return out
}

// complainEvery is the least time between two lines about wrapping keys.
const complainEvery = 10 * time.Second

// complaint keeps a key provider that is gone from filling the log.
type complaint struct {
	mu     sync.Mutex
	last   time.Time
	failed int // since then
}

// complain logs what a provider said: those who are refused are told the failure only.
func (r *Ring) complain(e *Error) {
	c := &r.complaint
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed++
	if now := time.Now(); c.last.IsZero() || now.Sub(c.last) >= complainEvery {
		r.log.Warn("a wrapping key cannot be used", "times", c.failed, "error", e)
		c.last, c.failed = now, 0
	}
}
