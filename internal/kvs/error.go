package kvs

import (
	"errors"
	"fmt"
)

// Kind says what went wrong in our own words. The doors translate a kind into the
// exception and HTTP status that the service model gives the operation.
type Kind uint8

// The kinds of error.
const (
	Internal Kind = iota // our fault; the message stays in the log
	InvalidArgument
	InvalidFormat // an ARN that is no ARN
	NotFound
	InUse
	VersionMismatch
	Denied
	TooManyRequests
	TooManyConnections
	TooManyStreams
	TooManyTags
	WrongEndpoint
	NoRetention
	UnsupportedMedia   // a track of a codec that playback does not know
	MissingPrivateData // a track without codec private data
	InvalidPrivateData // codec private data that nobody can use
	InvalidFrame       // media that are not what their header says
	NotImplemented
	Unavailable // try again: shutting down, or a store is out of reach

	Conflict        // it is used by others: DeleteConflict
	MalformedPolicy // a policy document that is none
	LimitExceeded   // of users, keys, versions and the like
	TooLarge        // session policies and tags that fit into no token
	Unmodifiable    // belongs to the system
	Validation      // a parameter that does not fit, in the words of IAM and STS
	Expired         // credentials that were good

	TooManyChannels
	InvalidClient  // a client id that cannot be one
	SessionExpired // of a client that was connected for too long
)

// Error is an error made once, where it is understood, with a message that says what
// was wrong and what would be right. It is rendered once, at the door.
type Error struct {
	Kind    Kind
	Message string
	Cause   error // for the log only
}

// Error returns the message.
func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error of the given kind.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the first Error in err's chain, Internal if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
