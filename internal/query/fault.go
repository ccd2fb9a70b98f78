package query

import (
	"errors"
	"net/http"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/sigv4"
)

// Fault is why a call failed, as callers see it.
type Fault struct {
	Status        int // of HTTP; from 500 on it was the server
	Code, Message string
}

// kinds are the codes of IAM and STS for each kind of error. Kinds that are not here are
// those of media: InvalidInput.
var kinds = map[kvs.Kind]Fault{
	kvs.InvalidArgument: {Status: http.StatusBadRequest, Code: "InvalidInput"},
	kvs.NotFound:        {Status: http.StatusNotFound, Code: "NoSuchEntity"},
	kvs.InUse:           {Status: http.StatusConflict, Code: "EntityAlreadyExists"},
	kvs.VersionMismatch: {Status: http.StatusConflict, Code: "ConcurrentModification"},
	kvs.Denied:          {Status: http.StatusForbidden, Code: "AccessDenied"},
	kvs.TooManyRequests: {Status: http.StatusBadRequest, Code: "Throttling"},
	kvs.NotImplemented:  {Status: http.StatusBadRequest, Code: "InvalidAction"},
	kvs.Unavailable:     {Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"},
	kvs.Conflict:        {Status: http.StatusConflict, Code: "DeleteConflict"},
	kvs.MalformedPolicy: {Status: http.StatusBadRequest, Code: "MalformedPolicyDocument"},
	kvs.LimitExceeded:   {Status: http.StatusConflict, Code: "LimitExceeded"},
	kvs.TooLarge:        {Status: http.StatusBadRequest, Code: "PackedPolicyTooLarge"},
	kvs.Unmodifiable:    {Status: http.StatusBadRequest, Code: "UnmodifiableEntity"},
	kvs.Validation:      {Status: http.StatusBadRequest, Code: "ValidationError"},
	kvs.Expired:         {Status: http.StatusForbidden, Code: "ExpiredToken"},
}

// signatures are the codes for refused signatures; others are SignatureDoesNotMatch.
var signatures = map[sigv4.Code]string{
	sigv4.MissingAuthenticationToken: "MissingAuthenticationToken",
	sigv4.IncompleteSignature:        "IncompleteSignature",
	sigv4.UnrecognizedClient:         "InvalidClientTokenId",
}

// FaultOf translates an error. own are codes that stand in for the usual ones of their
// kinds; nil = none.
func FaultOf(err error, own map[kvs.Kind]Fault) Fault {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		code, ok := signatures[e.Code]
		if !ok {
			code = "SignatureDoesNotMatch"
		}
		return Fault{e.Code.Status(), code, e.Message}
	}
	e, ok := errors.AsType[*kvs.Error](err)
	if !ok || e.Kind == kvs.Internal {
		return Fault{http.StatusInternalServerError, "InternalFailure", "Internal failure."}
	}
	f, ok := own[e.Kind]
	if !ok {
		f, ok = kinds[e.Kind]
	}
	if !ok {
		f = kinds[kvs.InvalidArgument]
	}
	f.Message = e.Message
	return f
}
