package archive

import (
	"net"

	"github.com/millrace/millrace/internal/kvs"
)

// Record is a fragment to be stored.
type Record struct {
	Fragment  kvs.Fragment
	Retention int   // hours the stream keeps it as of now; decides which segment it shares
	Timecode  int64 // cluster timecode as the producer wrote it

	// Header is what came before the first cluster: EBML header, Segment, Info, Tracks.
	// It is stored once per segment, however many fragments share it.
	Header []byte
	// Body is the fragment's bytes in pieces. Neither Header nor the pieces may change
	// until done was called; the slice of pieces itself is not kept.
	Body net.Buffers
}
