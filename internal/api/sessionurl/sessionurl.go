// Package sessionurl serves GetHLSStreamingSessionURL and GetDASHStreamingSessionURL: it
// checks what a caller wants to see (playback sheet, section 3), begins the session and
// returns the URL that carries it. Package api/play serves what is behind that URL.
package sessionurl

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// Board begins sessions. It is a *playback.Board.
type Board interface {
	Begin(ctx context.Context, s kvs.Stream, want playback.Session) (playback.Session, archive.Stored, error)
}

// Options are what the room is made of.
type Options struct {
	Board Board
	// Codecs returns the tracks of a stored fragment, with what is wrong with each.
	Codecs func(ctx context.Context, f archive.Stored) ([]codec.Track, error)
	// Ready fails with kind Denied or Unavailable while the stream's key cannot be used. It is
	// asked before anything is told of the media; it may remember the answer for a minute.
	Ready func(ctx context.Context, stream kvs.StreamID) error
	// Seal makes the token that holds a session.
	Seal   func(session []byte) (string, error)
	Limits *quota.Book
	// Base is the URL in front of /hls/v1/ for the caller of r, without a slash at its end.
	Base func(r *http.Request) string
	Now  func() time.Time
}

type room struct{ Options }

// Routes returns the operations served here.
func Routes(o Options) []api.Route {
	r := room{o}
	return []api.Route{
		api.Ranged(api.OnStream("GetHLSStreamingSessionURL", r.hls), r.hlsSpan),
		api.Ranged(api.OnStream("GetDASHStreamingSessionURL", r.dash), r.dashSpan),
	}
}

func (r room) hls(ctx context.Context, c *api.Call, in *wire.GetHLSStreamingSessionURLInput) (any, error) {
	s, err := r.wantHLS(c.Stream, in)
	if err != nil {
		return nil, err
	}
	token, err := r.begin(ctx, c, s)
	if err != nil {
		return nil, err
	}
	return &wire.GetHLSStreamingSessionURLOutput{
		HLSStreamingSessionURL: new(r.Base(c.Request) + "/hls/v1/getHLSMasterPlaylist.m3u8?SessionToken=" + token)}, nil
}

func (r room) dash(ctx context.Context, c *api.Call, in *wire.GetDASHStreamingSessionURLInput) (any, error) {
	s, err := r.wantDASH(c.Stream, in)
	if err != nil {
		return nil, err
	}
	token, err := r.begin(ctx, c, s)
	if err != nil {
		return nil, err
	}
	return &wire.GetDASHStreamingSessionURLOutput{
		DASHStreamingSessionURL: new(r.Base(c.Request) + "/dash/v1/getDASHManifest.mpd?SessionToken=" + token)}, nil
}

// begin finds the first fragment, checks its tracks and returns the session's token.
func (r room) begin(ctx context.Context, c *api.Call, want playback.Session) (token string, err error) {
	s, first, err := r.Board.Begin(ctx, c.Stream, want)
	if err != nil {
		return "", err
	}
	if s.Mode == playback.Live { // a pause may have ended since the caller was asked about
		if err := c.AskAgain(ctx); err != nil {
			return "", err
		}
	}
	if err := r.Ready(ctx, c.Stream.ID); err != nil {
		return "", err
	}
	tracks, err := r.Codecs(ctx, first)
	if err != nil {
		return "", err
	}
	if err := checkTracks(&s, tracks, r.Limits.Profile()); err != nil {
		return "", err
	}
	for i := range tracks {
		s.Tracks = append(s.Tracks, sessionTrack(&s, &tracks[i]))
	}
	c.Note(slog.String("mode", modeName(s.Mode)), slog.Time("expires", s.Expires.Time()))
	return r.Seal(s.AppendBinary(nil))
}

// sessionTrack is what the session remembers of a track. Only DASH may not change the
// private data.
func sessionTrack(s *playback.Session, t *codec.Track) playback.SessionTrack {
	out := playback.SessionTrack{Number: t.Number, Kind: t.Kind}
	if s.Kind == playback.DASH {
		out.Fingerprint = t.Fingerprint
	}
	return out
}
