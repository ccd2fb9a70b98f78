package ingest

import "fmt"

// Code is the id of an ERROR acknowledgement (errors sheet, section 5.1).
type Code int

// The error codes.
const (
	StreamReadError       Code = 4000
	MaxFragmentSize       Code = 4001
	MaxFragmentDuration   Code = 4002
	MaxConnectionDuration Code = 4003
	TimecodeNotGreater    Code = 4004
	TooManyTracks         Code = 4005
	InvalidMKV            Code = 4006
	InvalidProducerTime   Code = 4007
	StreamNotActive       Code = 4008
	MetadataLimit         Code = 4009
	TrackMismatch         Code = 4010
	FramesMissing         Code = 4011
	InvalidMetadata       Code = 4012
	MinFragmentDuration   Code = 4013 // our number; the guide names no id
	KeyAccessDenied       Code = 4500
	KeyDisabled           Code = 4501
	KeyValidation         Code = 4502
	KeyUnavailable        Code = 4503
	KeyInvalidUsage       Code = 4504
	KeyInvalidState       Code = 4505
	KeyNotFound           Code = 4506
	InternalError         Code = 5000
	ArchivalError         Code = 5001
)

var codeNames = map[Code]string{
	StreamReadError:       "STREAM_READ_ERROR",
	MaxFragmentSize:       "MAX_FRAGMENT_SIZE_REACHED",
	MaxFragmentDuration:   "MAX_FRAGMENT_DURATION_REACHED",
	MaxConnectionDuration: "MAX_CONNECTION_DURATION_REACHED",
	TimecodeNotGreater:    "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
	TooManyTracks:         "MORE_THAN_ALLOWED_TRACKS_FOUND",
	InvalidMKV:            "INVALID_MKV_DATA",
	InvalidProducerTime:   "INVALID_PRODUCER_TIMESTAMP",
	StreamNotActive:       "STREAM_NOT_ACTIVE",
	MetadataLimit:         "FRAGMENT_METADATA_LIMIT_REACHED",
	TrackMismatch:         "TRACK_NUMBER_MISMATCH",
	FramesMissing:         "FRAMES_MISSING_FOR_TRACK",
	InvalidMetadata:       "INVALID_FRAGMENT_METADATA",
	MinFragmentDuration:   "MIN_FRAGMENT_DURATION_REACHED",
	KeyAccessDenied:       "KMS_KEY_ACCESS_DENIED",
	KeyDisabled:           "KMS_KEY_DISABLED",
	KeyValidation:         "KMS_KEY_VALIDATION_ERROR",
	KeyUnavailable:        "KMS_KEY_UNAVAILABLE",
	KeyInvalidUsage:       "KMS_KEY_INVALID_USAGE",
	KeyInvalidState:       "KMS_KEY_INVALID_STATE",
	KeyNotFound:           "KMS_KEY_NOT_FOUND",
	InternalError:         "INTERNAL_ERROR",
	ArchivalError:         "ARCHIVAL_ERROR",
}

// String returns the ErrorCode of the acknowledgement.
func (c Code) String() string { return codeNames[c] }

// Fault is why a fragment or a whole session failed.
type Fault struct {
	Code   Code
	Case   *Case  // which way of failing it was
	Reason string // what was wrong and what would be right
	Cause  error  // for the log
	At     Place

	silent bool // the producer is told only if it costs a fragment
}

// Place is where in the body of a session something was found.
type Place struct {
	Offset int64  // in bytes from the body's first; meaningful when Known
	Known  bool   // Offset was set
	Track  uint64 // track number, 0 = about no single track
}

// Error returns code, name and reason.
func (f *Fault) Error() string {
	return fmt.Sprintf("%d %s: %s", int(f.Code), f.Code, f.Reason)
}

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Cause }

func fault(c *Case, format string, args ...any) *Fault {
	return &Fault{Code: c.Code, Case: c, Reason: fmt.Sprintf(format, args...)}
}

// quietly says that the producer is told only if it costs a fragment.
func (f *Fault) quietly() *Fault {
	f.silent = true
	return f
}

// because adds the error behind it, for the log.
func (f *Fault) because(err error) *Fault {
	f.Cause = err
	return f
}

// place notes where it was found, unless that is known better already.
func (f *Fault) place(offset int64) {
	if !f.At.Known {
		f.At.Offset, f.At.Known = offset, true
	}
}

// at is place for a fault that is just made.
func (f *Fault) at(offset int64) *Fault {
	f.place(offset)
	return f
}

// of says which track it is about.
func (f *Fault) of(track uint64) *Fault {
	f.At.Track = track
	return f
}
