// Package archive is the durable, time-indexed log of fragments.
//
// Fragments of all streams are appended to a few large files, the segments; a SQLite
// index beside them finds a fragment by number, server time or producer time. The
// bytes are drawn in docs/design/archive-format.md. A fragment counts as stored when
// its record is synced and its index row is committed; the index itself may lose its
// last rows in a power failure, and [Open] reads them again from the segments.
//
// One goroutine, started by [Archive.Run], writes: it takes everything that waits,
// writes it, syncs each touched segment once and commits all rows in one transaction
// (group commit), so the number of syncs does not grow with the number of streams.
// All methods may be called from any number of goroutines.
package archive

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Options say where the archive is and how it behaves. Only Dir is needed.
type Options struct {
	// Dir holds index.db and the folder segments. It is made if missing. The caller
	// makes sure that no other process uses it.
	Dir string

	// Retention returns how many hours a stream keeps fragments now. An error of kind
	// NotFound means that the stream was deleted and all it stored may go; any other
	// error leaves the stream alone until the next pass. nil: nothing ever expires.
	Retention func(ctx context.Context, id kvs.StreamID) (hours int, err error)

	// ExpireEvery is the time between two expiry passes of Run; 0 = one minute.
	ExpireEvery time.Duration

	// SegmentBytes is the size at which a segment is sealed and the next one begun;
	// 0 = 256 MiB. One batch may go beyond it.
	SegmentBytes int64

	Observer Observer         // nil = nobody looks
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = silent
}

// Observer is told what the archive does, for metrics. Its methods are called from the
// goroutine that did the work and must be quick.
type Observer interface {
	// Synced: one batch of fragments was made durable. bytes counts what was written;
	// took covers writing and syncing the segments, commit the index transaction.
	Synced(fragments int, bytes int64, took, commit time.Duration)
	// Failed: fragments of one batch could not be stored.
	Failed(fragments int)
	// Expired: an expiry pass removed rows and whole segments.
	Expired(fragments, segments int)
	// Damaged: a record was found whose checksum is wrong.
	Damaged()
}

// Stats are figures at one moment.
type Stats struct {
	Queued       int   // fragments that wait to be written
	QueuedBytes  int64 // their bytes
	Segments     int   // files, open ones included
	OpenSegments int
	Fragments    int64 // stored now
	Bytes        int64 // bytes of their bodies
}
