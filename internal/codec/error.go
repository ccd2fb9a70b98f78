package codec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/kvs"
)

// Problem is why a track cannot be played.
type Problem uint8

// The problems of a track.
const (
	None        Problem = iota
	Unsupported         // another codec, or a form of it that nothing here can play
	Missing             // no private data
	Invalid             // private data that nobody can use
)

// Error says what is wrong with one track.
type Error struct {
	Track   uint64 // number
	ID      string // codec id
	Problem Problem
	Detail  string // what was found, in words
}

// Error tells track, codec id and problem.
func (e *Error) Error() string {
	what := [...]string{"nothing wrong", "unsupported media", "missing codec private data", "invalid codec private data"}
	return fmt.Sprintf("track %d (%s): %s: %s", e.Track, e.ID, what[e.Problem%4], e.Detail)
}

// fault is an error on its way to the track it belongs to.
type fault struct {
	problem Problem
	detail  string
}

func invalid(format string, args ...any) fault {
	return fault{Invalid, fmt.Sprintf(format, args...)}
}

// Check returns nil if all tracks can be played, else the answer to the caller: a
// [*kvs.Error] of the kind UnsupportedMedia, which names all tracks concerned, or of the
// kind MissingPrivateData or InvalidPrivateData of the first track concerned.
func Check(tracks []Track) error {
	var unsupported []string
	var first *Error
	for i := range tracks {
		e, ok := errors.AsType[*Error](tracks[i].Err)
		switch {
		case !ok:
		case e.Problem == Unsupported:
			unsupported = append(unsupported, fmt.Sprintf("(track %d: %s)", e.Track, e.ID))
		case first == nil:
			first = e
		}
	}
	switch {
	case len(unsupported) > 0:
		return UnsupportedMedia(strings.Join(unsupported, ", "))
	case first == nil:
		return nil
	case first.Problem == Missing:
		return kvs.Errorf(kvs.MissingPrivateData, "Missing codec private data in fragment for track %d. Its codec id is %s.", first.Track, first.ID)
	}
	return kvs.Errorf(kvs.InvalidPrivateData, "Invalid codec private data in fragment for track %d (%s): %s.", first.Track, first.ID, first.Detail)
}

// UnsupportedMedia is the answer about tracks that cannot be played, in the words of the
// service; tracks reads like "(track 1: V_VP8)".
func UnsupportedMedia(tracks string) error {
	return kvs.Errorf(kvs.UnsupportedMedia,
		"The type of the media is not supported or could not be determined from the media codec ids: %s", tracks)
}
