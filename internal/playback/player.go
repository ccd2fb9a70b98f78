// Package playback lays stored and arriving fragments out for consumers.
//
// A [Player] serves GetMedia ([Player.Follow]) and GetMediaForFragmentList
// ([Player.Pick]): chunks of Matroska, each a whole document with one fragment and the
// service's tags around it, in the exact shape of wire-media section 5.4. Follow reads
// from the archive and from the live buffer and changes between them without a gap
// and without sending anything twice.
//
// A Player may be used from many goroutines; one call serves one consumer.
//
// A [Board] lists the fragments of HLS and DASH sessions and of clips, by the rules of
// docs/design/playback.md: rows of the index become a [Timeline], and no media is read. A
// [Session] is what its token carries. The texts are those of the packages below.
package playback

import (
	"context"
	"io"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
)

// Archive is what a Player reads stored fragments from. Its methods hide fragments
// whose server timestamp is older than the horizon.
type Archive interface {
	Next(ctx context.Context, id kvs.StreamID, after kvs.FragmentNumber, horizon kvs.Millis) (archive.Stored, bool, error)
	Newest(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (archive.Stored, bool, error)
	At(ctx context.Context, id kvs.StreamID, c kvs.Clock, t, horizon kvs.Millis) (archive.Stored, bool, error)
	Get(ctx context.Context, id kvs.StreamID, n kvs.FragmentNumber, horizon kvs.Millis) (archive.Stored, bool, error)
	OpenRecord(ctx context.Context, s archive.Stored) (*archive.Reader, error)
}

// Stream is the stream a consumer reads, as the catalog knows it.
type Stream interface {
	Stream() kvs.Stream    // its settings now
	Gone() <-chan struct{} // closed when it is deleted
}

// Output is the consumer. A Write that takes too long must fail; Flush sends what was
// written so far.
type Output interface {
	io.Writer
	Flush() error
	// Chunk is called before each chunk, with its fragment; it may wait until one may be
	// sent.
	Chunk(f kvs.Fragment) error
}

// Keys says whether the wrapping key of a stream can be used: nil, or an error which is a
// *keyring.Error if the key is why. It is asked for each chunk and must remember its
// answers; in the server it is a *keyring.Ring.
type Keys interface {
	Ready(ctx context.Context, stream kvs.StreamID) error
}

// Options are what a Player is made of.
type Options struct {
	Archive Archive
	Keys    Keys // nil = no key is ever asked for
	Live    *live.Store
	// Idle is the time without media after which Follow ends, asked again and again;
	// nil and 0 = never.
	Idle func(kvs.Stream) time.Duration
	Now  func() time.Time // what retention is counted by; nil = time.Now
	Real func() time.Time // what waiting is counted by; nil = Now
}

// Player serves consumers.
type Player struct {
	o Options
}

// New makes a Player.
func New(o Options) *Player {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Real == nil {
		o.Real = o.Now
	}
	if o.Idle == nil {
		o.Idle = func(kvs.Stream) time.Duration { return 0 }
	}
	return &Player{o: o}
}

// unlock says whether the stream's wrapping key may be used: who reads needs it also for
// media that come from memory (identity sheet, section 7).
func (p *Player) unlock(ctx context.Context, id kvs.StreamID) error {
	if p.o.Keys == nil {
		return nil
	}
	return p.o.Keys.Ready(ctx, id)
}

// Since returns the server timestamp from which on a reader that goes on after a number gets
// media; 0 when that cannot be known. The number may be made up: that of a stored fragment
// proves itself, of any other the next one counts.
func (p *Player) Since(ctx context.Context, id kvs.StreamID, after kvs.FragmentNumber) kvs.Millis {
	if _, ok, err := p.o.Archive.Get(ctx, id, after, 0); err != nil {
		return 0
	} else if ok {
		return after.Server
	}
	next, ok, err := p.o.Archive.Next(ctx, id, after, 0)
	if err != nil || !ok {
		return 0
	}
	return next.Number.Server
}

// horizon is the oldest server timestamp the stream keeps now.
func (p *Player) horizon(s Stream) kvs.Millis {
	return s.Stream().Horizon(kvs.MillisOf(p.o.Now()))
}
