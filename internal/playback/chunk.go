package playback

import (
	"errors"
	"strconv"

	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

// The tags of a chunk (wire-media section 5.3).
const (
	tagNumber    = "AWS_KINESISVIDEO_FRAGMENT_NUMBER"
	tagServer    = "AWS_KINESISVIDEO_SERVER_TIMESTAMP"
	tagProducer  = "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP"
	tagBehind    = "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW"
	tagToken     = "AWS_KINESISVIDEO_CONTINUATION_TOKEN"
	tagErrorCode = "AWS_KINESISVIDEO_ERROR_CODE"
	tagErrorID   = "AWS_KINESISVIDEO_ERROR_ID"
	tagPickCode  = "AWS_KINESISVIDEO_EXCEPTION_ERROR_CODE"
	tagPickText  = "AWS_KINESISVIDEO_EXCEPTION_MESSAGE"
)

// errorID is the id of an in-band error (errors sheet, section 6).
type errorID int

// The in-band errors. Those of a wrapping key, 4500 to 4506, are its failure's number.
const (
	fragmentNotFound errorID = 4000
	internalError    errorID = 5000
)

// keyTexts are the meanings in the errors sheet, section 6.
var keyTexts = map[keyring.Failure]string{
	keyring.AccessDenied: "Access to the stream's KMS key is denied.",
	keyring.Disabled:     "The stream's KMS key is disabled.",
	keyring.Validation:   "The stream's KMS key failed validation.",
	keyring.Unavailable:  "The stream's KMS key is unavailable.",
	keyring.InvalidUsage: "The stream's KMS key was used in an invalid way.",
	keyring.InvalidState: "The stream's KMS key is in an invalid state.",
	keyring.NotFound:     "The stream's KMS key was not found.",
}

// explain says what a reader is told of a failure to read; text is for those without a
// number of their own.
func explain(err error, text string) (errorID, string) {
	if e, ok := errors.AsType[*keyring.Error](err); ok {
		return errorID(e.Failure), keyTexts[e.Failure]
	}
	return internalError, text
}

// appendTags appends one Tags element with one Tag of the given names and values.
func appendTags(b []byte, pairs ...string) []byte {
	tag := mkv.Tag{Simple: make([]mkv.SimpleTag, 0, len(pairs)/2)}
	for i := 0; i+1 < len(pairs); i += 2 {
		tag.Simple = append(tag.Simple, mkv.SimpleTag{Name: pairs[i], Value: pairs[i+1]})
	}
	return mkv.AppendTags(b, []mkv.Tag{tag})
}

// appendHead appends the tags in front of the cluster.
func appendHead(b []byte, f kvs.Fragment) []byte {
	return appendTags(b, tagNumber, f.Number.String(), tagServer, f.Number.Server.Seconds(), tagProducer, f.Producer.Seconds())
}

// appendTail appends the tags that end a chunk of GetMedia. behind is the distance of
// the chunk from the newest, in milliseconds.
func appendTail(b []byte, f kvs.Fragment, behind int64) []byte {
	return appendTags(b, tagBehind, strconv.FormatInt(max(0, behind), 10), tagToken, f.Number.String())
}

// appendError appends a document that says why GetMedia stopped, at which fragment, or
// behind which one if no fragment is to blame. Readers tell it from a fragment by the
// missing server timestamp.
func appendError(b []byte, at kvs.FragmentNumber, id errorID, text string) []byte {
	return appendTags(appendDocument(b), tagNumber, at.String(), tagErrorID, strconv.Itoa(int(id)), tagErrorCode, text)
}

// appendPickError appends a document that says why a listed fragment is missing. The
// number stands as the caller wrote it.
func appendPickError(b []byte, number string, id errorID, text string) []byte {
	return appendTags(appendDocument(b), tagNumber, number, tagPickCode, strconv.Itoa(int(id)), tagPickText, text)
}

// appendDocument begins a document without tracks.
func appendDocument(b []byte) []byte {
	b = mkv.AppendEBML(b, mkv.Header{DocType: "matroska", DocTypeVersion: 2, DocTypeReadVersion: 2})
	return mkv.AppendSegmentUnknown(b)
}
