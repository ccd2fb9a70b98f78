package cut

import (
	"bytes"
	"context"
	"fmt"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mp4"
	"github.com/millrace/millrace/internal/playback"
)

// headerRoom bounds the memory of headers that were read.
const headerRoom = 4 << 20

// Codecs returns the tracks that the fragment's header declares. They are shared and must
// not be changed. One that cannot be played has its Err set.
func (c *Cutter) Codecs(ctx context.Context, s archive.Stored) ([]codec.Track, error) {
	return c.tracks(ctx, &s, nil)
}

// tracks is Codecs with the open record, if it is.
func (c *Cutter) tracks(ctx context.Context, s *archive.Stored, r *archive.Reader) ([]codec.Track, error) {
	// Fragments of a segment share the record of their header.
	k := key{stream: s.Stream, segment: s.Segment(), position: s.Header()}
	return c.headers.get(ctx, k, func(ctx context.Context) (_ []codec.Track, size int64, err error) {
		if r == nil {
			if r, err = c.record(ctx, s); err != nil {
				return nil, 0, err
			}
			defer func() { _ = r.Close() }() // it was only read
		}
		b, err := header(r)
		if err != nil {
			return nil, 0, err
		}
		tracks, err := codec.Tracks(b)
		return tracks, int64(len(b)) + 512*int64(1+len(tracks)), err
	})
}

func header(r *archive.Reader) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.WriteHeader(&b, 0)
	return b.Bytes(), err
}

// Init returns the initialization segment of a track as the fragment's header declares it.
// Errors are those of [Cutter.Segment].
func (c *Cutter) Init(ctx context.Context, s archive.Stored, track uint64) ([]byte, error) {
	tracks, err := c.tracks(ctx, &s, nil)
	if err != nil {
		return nil, err
	}
	for i := range tracks {
		if t := &tracks[i]; t.Number == track {
			if err := codec.Check(tracks[i : i+1]); err != nil {
				return nil, err
			}
			return mp4.Init(t)
		}
	}
	return nil, codec.UnsupportedMedia(trackGone(track))
}

// Check returns an error of the kind UnsupportedMedia unless the fragment has the tracks
// that the session began with, and no others: of the same codecs, and for DASH with the same private
// data.
func (c *Cutter) Check(ctx context.Context, s archive.Stored, ses *playback.Session) error {
	tracks, err := c.tracks(ctx, &s, nil)
	if err != nil {
		return err
	}
	if len(tracks) != len(ses.Tracks) {
		return codec.UnsupportedMedia(fmt.Sprintf("(%d tracks, the session has %d)", len(tracks), len(ses.Tracks)))
	}
	for _, want := range ses.Tracks {
		if err := same(tracks, &want, ses.Kind == playback.DASH); err != nil {
			return err
		}
	}
	return nil
}

// same checks one track of a session.
func same(tracks []codec.Track, want *playback.SessionTrack, private bool) error {
	for i := range tracks {
		t := &tracks[i]
		switch {
		case t.Number != want.Number:
			continue
		case t.Kind != want.Kind:
			return codec.UnsupportedMedia(fmt.Sprintf("(track %d: %s, the session has %v)", t.Number, t.ID, want.Kind))
		case private && t.Fingerprint != want.Fingerprint:
			return codec.UnsupportedMedia(fmt.Sprintf("(track %d: %s, with other private data than the session has)", t.Number, t.ID))
		}
		return nil
	}
	return codec.UnsupportedMedia(trackGone(want.Number))
}

func trackGone(number uint64) string { return fmt.Sprintf("(track %d: none)", number) }
