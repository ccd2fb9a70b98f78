// Package clip makes one progressive MP4 file of stored fragments: GetClip. [Open] reads
// the frame tables of the fragments and no media; then the file's length is known, and any
// part of it can be written. Media are read fragment by fragment while they are sent.
//
// Fragments follow each other without gaps, as on the timeline of a DASH session
// (docs/design/playback.md, "Times"). Of each, mdat has the pictures, then the sound. A track
// that changes its codec's private data gets another sample description; one that changes its
// codec goes on as another track.
//
// A Clip may be written by any number of goroutines at once; each holds the media of two
// fragments at most.
package clip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sort"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/mp4"
)

// Archive is where media are read from.
type Archive interface {
	OpenRecord(ctx context.Context, s archive.Stored) (*archive.Reader, error)
}

// Options say what a clip is made of.
type Options struct {
	Archive   Archive
	Fragments []archive.Stored // in their order; they are not changed
	Skip      int64            // milliseconds of the first fragment that players leave out
	MaxBytes  int64            // the clip ends before the fragment that would make it longer; 0 = none does
	Strict    bool             // refuse tracks that the service refuses: its track tables, in the words of playback.md
}

// Clip is a file that has not been written yet.
type Clip struct {
	archive Archive
	head    *mp4.Head
	parts   []part
	media   int64 // bytes behind the head
	tag     string
	damaged []kvs.FragmentNumber
}

// part is what one fragment has of the media.
type part struct {
	stored *archive.Stored
	at     int64 // of its first byte, behind the head
	size   int64
	tracks []uint64      // numbers, in the order of the file
	codecs []codec.Track // of its header, shared with others
}

// Open lays out the clip. Fragments that are gone by then, or whose records are damaged, are
// left out. Errors have the kinds NotFound when nothing is left, Internal when damage is why, UnsupportedMedia, MissingPrivateData,
// InvalidPrivateData and InvalidFrame; InvalidArgument when there are too many frames or a track pauses for half a day; Denied and Unavailable when the key of the stream
// cannot be used.
func Open(ctx context.Context, o Options) (*Clip, error) {
	p := newPlan(&o)
	for i := range o.Fragments {
		full, err := p.fragment(ctx, &o.Fragments[i])
		if archive.Damaged(err) { // a day of film is worth more than one picture less in it
			p.leaveOut(&o.Fragments[i], err)
			continue
		}
		if err != nil {
			return nil, keyring.Refusal(err)
		}
		if full {
			break
		}
	}
	if len(p.parts) == 0 {
		return nil, p.nothing()
	}
	c := &Clip{archive: o.Archive, head: p.movie.Head(), parts: p.parts, media: p.movie.Payload(), damaged: p.damaged}
	c.tag = c.sum(o.Skip)
	return c, nil
}

// sum tells this file from every other one.
func (c *Clip) sum(skip int64) string {
	h := sha256.New()
	_, _ = c.head.WriteTo(h) // never fails
	var b bytes.Buffer
	for i := range c.parts {
		b.WriteString(c.parts[i].stored.Number.String())
	}
	b.WriteString(kvs.Millis(skip).Seconds())
	_, _ = b.WriteTo(h)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Size is the length of the file in bytes.
func (c *Clip) Size() int64 { return c.head.Size() + c.media }

// Tag is the same for the same bytes, and for no others: an ETag without its quotes.
func (c *Clip) Tag() string { return c.tag }

// Fragments is how many fragments are in the clip.
func (c *Clip) Fragments() int { return len(c.parts) }

// Damaged are the fragments that were left out because their records are damaged.
func (c *Clip) Damaged() []kvs.FragmentNumber { return c.damaged }

// find returns the part that has a byte of the media.
func (c *Clip) find(at int64) int {
	return sort.Search(len(c.parts), func(i int) bool { return c.parts[i].at+c.parts[i].size > at })
}
