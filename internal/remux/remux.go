// Package remux takes the frames of one stored fragment as MP4 files and players want
// them: samples with decode times and durations, NAL units with their lengths in front,
// G.711 as FLAC.
//
// A [Fragment] is read by one goroutine; it never keeps more than one body's worth of
// memory, and none for a frame. Times and durations follow docs/design/playback.md,
// "Times". Samples are told by the frame table alone; only payloads read media.
//
// AAC is taken as it was stored, which Matroska wants without ADTS headers. Frames without
// bytes, of which decoders make nothing, are no samples: the one before lasts longer.
package remux

import (
	"fmt"
	"io"
	"iter"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/internal/kvs"
)

// Source is where a fragment's bytes are, and what is known of them.
type Source struct {
	Table  []byte        // encoded by package frames; empty: the body is walked for its frames
	Header []byte        // what came before the first cluster; needed only when Table is empty
	Body   io.ReaderAt   // from the cluster's head on, such as an archive.Reader
	Size   int64         // bytes of it
	Length int64         // of the fragment, milliseconds
	Tracks []codec.Track // of the header
}

// Fragment is one stored fragment. Make it with [Open].
type Fragment struct {
	source Source
	walked []frames.Frame // of a fragment without a table
	body   *[]byte        // of the pool, once it was read
	at     int64          // where in the body it begins
}

// Open looks for the fragment's frames; it reads media only when there is no table.
// Close the fragment. Errors of media have the kind InvalidFrame, those of reading are
// the reader's.
func Open(s Source) (*Fragment, error) {
	f := &Fragment{source: s}
	if len(s.Table) > 0 {
		return f, nil
	}
	var err error
	if f.walked, err = walk(&s); err == nil {
		err = f.count()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close gives the fragment's memory back. Nothing may be asked of it afterwards.
func (f *Fragment) Close() {
	if f.body != nil {
		pool.Put(f.body)
		f.body = nil
	}
}

// Tracks returns the declared tracks, in the header's order. They must not be changed.
func (f *Fragment) Tracks() []codec.Track { return f.source.Tracks }

// Track returns the declared track of that number.
func (f *Fragment) Track(number uint64) (*codec.Track, bool) {
	for i := range f.source.Tracks {
		if t := &f.source.Tracks[i]; t.Number == number {
			return t, true
		}
	}
	return nil, false
}

// track is Track for those who want to play it.
func (f *Fragment) track(number uint64) (*codec.Track, error) {
	t, ok := f.Track(number)
	if !ok {
		return nil, codec.UnsupportedMedia(fmt.Sprintf("(track %d: none)", number))
	}
	return t, codec.Check([]codec.Track{*t})
}

// frames walks over the frames of a track that have bytes, in the order of the body.
func (f *Fragment) frames(t *codec.Track) iter.Seq2[frames.Frame, error] {
	return func(yield func(frames.Frame, error) bool) {
		for r, err := range f.all() {
			switch {
			case err != nil:
				yield(r, broken("the table of the fragment's frames cannot be read: %v", err))
				return
			case r.Track != t.Number || r.Converted == 0:
				continue
			case r.Converted > 2*r.Length || r.Converted != r.Length && !t.AnnexB || r.Decode < -maxTime || r.Decode > maxTime || r.Presentation < -maxTime || r.Presentation > maxTime:
				yield(r, broken("the frame at byte %d of the fragment has an impossible length or time", r.Offset))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// all walks over all frames of the fragment.
func (f *Fragment) all() iter.Seq2[frames.Frame, error] {
	if len(f.source.Table) > 0 {
		return frames.Decode(f.source.Table, f.source.Size)
	}
	return func(yield func(frames.Frame, error) bool) {
		for _, r := range f.walked {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// broken is the error of media that no player could show.
func broken(format string, args ...any) error {
	return kvs.Errorf(kvs.InvalidFrame, format, args...)
}
