package archive

import (
	"github.com/millrace/millrace/internal/kvs"
)

// Stored is a fragment in the archive: what is known about it and where its record is.
type Stored struct {
	kvs.Fragment
	Timecode int64 // cluster timecode as the producer wrote it

	segment  int64
	position int64
	length   int64
	header   int64
}

// Query selects fragments of a stream by start time.
type Query struct {
	Clock   kvs.Clock
	Range   kvs.TimeRange // both ends inclusive, on the fragment's start
	Max     int           // at most this many, at least 1
	After   Position      // go on behind this one; the zero value starts the list
	Horizon kvs.Millis    // fragments with an older server timestamp are expired
}

// Position is a place in a list that stays valid while fragments are added and expire.
type Position struct {
	Time kvs.Millis // start on the query's clock
	N    int64      // counter part of the fragment number; 0 = before the first
}
