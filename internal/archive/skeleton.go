package archive

import (
	"context"
	"errors"
	"io"

	"github.com/millrace/millrace/internal/kvs"
)

var errSkeleton = errors.New("not built yet")

// Archive is an open archive. Make it with [Open].
type Archive struct{}

// Open opens or makes the archive in o.Dir and brings its index up to date with the segments.
func Open(ctx context.Context, o Options) (*Archive, error) { return nil, errSkeleton }

// Run writes and expires until ctx ends and every accepted fragment is answered.
func (a *Archive) Run(ctx context.Context) error { return errSkeleton }

// Close closes the index and the files; call it after Run has returned.
func (a *Archive) Close() error { return errSkeleton }

// Append queues r and returns; it waits while the queue is full.
func (a *Archive) Append(r Record, done func(error)) { done(errSkeleton) }

// Next returns the fragment with the smallest number greater than after.
func (a *Archive) Next(ctx context.Context, id kvs.StreamID, after kvs.FragmentNumber, horizon kvs.Millis) (Stored, bool, error) {
	return Stored{}, false, errSkeleton
}

// Oldest returns the fragment with the smallest number.
func (a *Archive) Oldest(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (Stored, bool, error) {
	return Stored{}, false, errSkeleton
}

// Newest returns the fragment with the greatest number.
func (a *Archive) Newest(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (Stored, bool, error) {
	return Stored{}, false, errSkeleton
}

// At returns the fragment that contains t, else the first that starts after it.
func (a *Archive) At(ctx context.Context, id kvs.StreamID, c kvs.Clock, t, horizon kvs.Millis) (Stored, bool, error) {
	return Stored{}, false, errSkeleton
}

// Get returns the fragment with exactly this number.
func (a *Archive) Get(ctx context.Context, id kvs.StreamID, number kvs.FragmentNumber, horizon kvs.Millis) (Stored, bool, error) {
	return Stored{}, false, errSkeleton
}

// List returns fragments by start time and where to go on.
func (a *Archive) List(ctx context.Context, id kvs.StreamID, q Query) (fragments []kvs.Fragment, next Position, more bool, err error) {
	return nil, Position{}, false, errSkeleton
}

// OpenRecord opens the bytes of a stored fragment.
func (a *Archive) OpenRecord(ctx context.Context, s Stored) (*Reader, error) { return nil, errSkeleton }

// DeleteStream removes everything a stream stored.
func (a *Archive) DeleteStream(ctx context.Context, id kvs.StreamID) error { return errSkeleton }

// Expire removes what is older than its stream's retention.
func (a *Archive) Expire(ctx context.Context) error { return errSkeleton }

// Stats returns figures of this moment.
func (a *Archive) Stats(ctx context.Context) (Stats, error) { return Stats{}, errSkeleton }

// Reader reads one stored fragment. Every byte it returns was checked.
type Reader struct{}

// Header returns the bytes before the fragment's cluster.
func (r *Reader) Header() []byte { return nil }

// Size returns the length of the body in bytes.
func (r *Reader) Size() int64 { return 0 }

// ReadAt implements io.ReaderAt on the body.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) { return 0, errSkeleton }

// WriteTo writes the whole body to w.
func (r *Reader) WriteTo(w io.Writer) (int64, error) { return 0, errSkeleton }

// Close gives the file back. The reader must not be used afterwards.
func (r *Reader) Close() error { return nil }
