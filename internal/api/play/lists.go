package play

import (
	"context"
	"slices"

	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/playback/dash"
	"github.com/millrace/millrace/internal/playback/hls"
	"github.com/millrace/millrace/internal/quota"
)

const (
	hlsType  = "application/vnd.apple.mpegurl"
	dashType = "application/dash+xml"
)

// master answers with the playlist of playlists.
func (r *room) master(ctx context.Context, v *visit) error {
	t, err := r.timeline(ctx, v)
	if err != nil {
		return err
	}
	tracks, err := r.tracks(ctx, v, t)
	if err != nil {
		return err
	}
	return v.sendText(hlsType, hls.AppendMaster(nil, &v.ses, t, tracks, v.carry()))
}

// tracks returns the tracks of the newest fragment, as far as the session has them.
func (r *room) tracks(ctx context.Context, v *visit, t *playback.Timeline) ([]codec.Track, error) {
	all, err := r.Media.Codecs(ctx, &t.Entries[len(t.Entries)-1])
	if err != nil {
		return nil, err
	}
	known := make([]codec.Track, 0, len(v.ses.Tracks))
	for i := range all {
		if all[i].Err == nil && slices.ContainsFunc(v.ses.Tracks, func(s playback.SessionTrack) bool { return s.Number == all[i].Number }) {
			known = append(known, all[i])
		}
	}
	if len(known) == 0 {
		return nil, codec.Check(all)
	}
	return known, nil
}

// mediaPlaylist answers with the segments of one track.
func (r *room) mediaPlaylist(ctx context.Context, v *visit) error {
	track := uint64(0)
	if v.ses.Container != playback.TS {
		var err error
		if track, err = v.track(); err != nil {
			return err
		}
	}
	t, err := r.list(ctx, v)
	if err != nil {
		return err
	}
	r.last.keep(v, kept{t: t, track: track})
	return v.sendText(hlsType, hls.AppendMedia(nil, &v.ses, t, v.token, track))
}

// list returns the list of the session and takes what it costs.
func (r *room) list(ctx context.Context, v *visit) (*playback.Timeline, error) {
	if err := v.Points(v.ses.Max); err != nil {
		return nil, err
	}
	t, err := r.timeline(ctx, v)
	if err != nil {
		return nil, err
	}
	most := r.Limits.View(v.Stream.Account, v.Stream.ID).Int(quota.PlaybackCodecSets)
	if last := &t.Entries[len(t.Entries)-1]; most > 0 && last.Set > int64(most) {
		return nil, kvs.Errorf(kvs.UnsupportedMedia, "The codec private data changed %d times in this streaming session; at most %d changes are allowed. Ask for a new session.", last.Set, most)
	}
	return t, nil
}

// timeline returns the list of the session, after the memory was taken that it needs.
func (r *room) timeline(ctx context.Context, v *visit) (*playback.Timeline, error) {
	v.held.Stream = v.ses.Stream
	if err := v.held.Set(ctx, listWeight(int64(v.ses.Max)*(entrySize+lineSize))); err != nil {
		return nil, err
	}
	return r.Board.Timeline(ctx, v.Stream, &v.ses, v.now)
}

// lineSize is what a fragment takes in the text of a list at most.
const lineSize = 800

// listWeight is what a list of n bytes takes of the memory: short ones go with the
// buffers of their connection and are not counted.
func listWeight(n int64) int64 {
	if n < 128<<10 {
		return 0
	}
	return n
}

// manifest answers with the manifest.
func (r *room) manifest(ctx context.Context, v *visit) error {
	t, err := r.list(ctx, v)
	if err != nil {
		return err
	}
	t, e, err := r.own(ctx, v, t)
	if err != nil {
		return err
	}
	tracks, err := r.Media.Codecs(ctx, e)
	if err != nil {
		return err
	}
	r.last.keep(v, kept{t: t, tracks: tracks})
	return v.sendText(dashType, dash.AppendManifest(nil, &v.ses, t, tracks, v.token, v.now))
}

// own returns the list as far as its fragments have the tracks that the session began with, and
// one of these. A manifest cannot say that tracks change, and fragments with others are refused
// (playback sheet, section 4.1): players would stand in front of them, where a list that ends is
// played to its end. Neighbours mostly have the same tracks, so that few are looked at.
func (r *room) own(ctx context.Context, v *visit, t *playback.Timeline) (*playback.Timeline, *playback.Entry, error) {
	var known *playback.Entry
	var unread error
	for i, tries := 0, 0; i < len(t.Entries) && (known != nil || tries < 8); i++ {
		e := &t.Entries[i]
		if known != nil && e.Set == known.Set {
			continue
		}
		err := r.Media.Check(ctx, e, &v.ses)
		switch {
		case err == nil:
			known = e
		case kvs.KindOf(err) != kvs.UnsupportedMedia: // gone or damaged; the next one has the same tracks mostly
			unread, tries = err, tries+1
		case i == 0:
			return nil, nil, err
		default:
			return t.Until(i), known, unless(known, err)
		}
	}
	return t, known, unless(known, unread)
}

// unless returns the error when there is no entry.
func unless(known *playback.Entry, err error) error {
	if known != nil {
		return nil
	}
	return err
}
