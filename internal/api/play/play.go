// Package play serves what is behind the URL of a playback session: the playlists of HLS,
// the manifest of DASH and their segments (wire-media sheet, section 7). Nothing is signed
// here: the token in the URL is the permission, and holds the session.
//
// Playlists are written from rows of the archive's index, segments are cut once for all
// viewers. Nothing of a session is kept, but for its request rates and, for a minute, the last
// list that it got: it is given once more, with its end, when the stream is deleted.
package play

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/quota"
)

// Board lists the fragments of sessions and finds single ones. It is a *playback.Board.
type Board interface {
	Timeline(ctx context.Context, s kvs.Stream, ses *playback.Session, now kvs.Millis) (*playback.Timeline, error)
	// Fragment finds one that a session of HLS may list.
	Fragment(ctx context.Context, s kvs.Stream, ses *playback.Session, n kvs.FragmentNumber) (playback.Entry, bool, error)
	// Find finds the one that DASH calls number.
	Find(ctx context.Context, s kvs.Stream, ses *playback.Session, number int64) (playback.Entry, bool, error)
	// FindSet finds one of a codec set.
	FindSet(ctx context.Context, s kvs.Stream, ses *playback.Session, set int64) (playback.Entry, bool, error)
}

// Media makes segments of listed fragments.
type Media interface {
	// Codecs returns the tracks of the fragment.
	Codecs(ctx context.Context, e *playback.Entry) ([]codec.Track, error)
	// Check fails unless the fragment has the tracks that the session began with.
	Check(ctx context.Context, e *playback.Entry, ses *playback.Session) error
	// Init returns the initialization segment of a track.
	Init(ctx context.Context, e *playback.Entry, track uint64) ([]byte, error)
	// Segment returns the media segment of a track, of all tracks for MPEG-TS. start is where
	// the fragment begins for players. viewer names the session, which holds so much at a time.
	Segment(ctx context.Context, e *playback.Entry, track uint64, kind playback.Container, start kvs.Millis, viewer uint64) (Segment, error)
}

// Segment is a media segment that is ready to be sent. It is a *cut.Segment.
type Segment interface {
	Reader() io.ReadSeeker
	ETag() string
	Close() // when it was sent
}

// Options are what the room is made of.
type Options struct {
	Board Board
	Media Media
	// Open returns the content of a token, or an error of kind Denied.
	Open func(token string) ([]byte, error)
	// Stream returns a stream from memory; NotFound when it was deleted.
	Stream func(ctx context.Context, id kvs.StreamID) (kvs.Stream, error)
	// Ready fails with kind Denied or Unavailable while the stream's key cannot be used. It is
	// asked for each request, since lists and segments come from memory mostly; it may
	// remember the answer for a minute.
	Ready  func(ctx context.Context, stream kvs.StreamID) error
	Limits *quota.Book
	Memory *api.Memory // what long lists take while they are made and sent; nil = no bound
	Now    func() time.Time
}

type room struct {
	Options
	meters meters
	last   lastLists
}

// Actions returns what is served here.
func Actions(o Options) []api.Action {
	r := &room{Options: o}
	return []api.Action{
		{Name: "GetHLSMasterPlaylist", Path: "/hls/v1/getHLSMasterPlaylist.m3u8", Serve: r.with(playback.HLS, quota.HLSMasterRate, r.master)},
		{Name: "GetHLSMediaPlaylist", Path: "/hls/v1/getHLSMediaPlaylist.m3u8", Serve: r.with(playback.HLS, quota.HLSMediaRate, r.mediaPlaylist)},
		{Name: "GetMP4InitFragment", Path: "/hls/v1/getMP4InitFragment.mp4", Serve: r.with(playback.HLS, quota.MP4InitRate, r.hlsInit)},
		{Name: "GetMP4MediaFragment", Path: "/hls/v1/getMP4MediaFragment.mp4", Serve: r.with(playback.HLS, quota.MP4MediaRate, r.hlsMedia)},
		{Name: "GetTSFragment", Path: "/hls/v1/getTSFragment.ts", Serve: r.with(playback.HLS, quota.TSRate, r.hlsTS)},
		{Name: "GetDASHManifest", Path: "/dash/v1/getDASHManifest.mpd", Serve: r.with(playback.DASH, quota.DASHManifestRate, r.manifest)},
		{Name: "GetMP4InitFragment", Path: "/dash/v1/getMP4InitFragment.mp4", Serve: r.with(playback.DASH, quota.MP4InitRate, r.dashInit)},
		{Name: "GetMP4MediaFragment", Path: "/dash/v1/getMP4MediaFragment.mp4", Serve: r.with(playback.DASH, quota.MP4MediaRate, r.dashMedia)},
	}
}

// visit is one request of a session that was found good.
type visit struct {
	*api.Call
	ses    playback.Session
	token  string
	now    kvs.Millis
	query  query
	header http.Header // of the answer
	held   api.Held    // by a list
}

// with opens the session of a request before do answers it.
func (r *room) with(kind playback.Protocol, rate quota.PerSecond, do func(ctx context.Context, v *visit) error) func(context.Context, *api.Call) error {
	return func(ctx context.Context, c *api.Call) error {
		v := &visit{Call: c, header: c.Writer.Header(), now: kvs.MillisOf(r.Now()), query: parseQuery(c.Request.URL.RawQuery), held: api.Held{Memory: r.Memory}}
		defer v.held.Close()
		err := r.enter(ctx, v, kind)
		if err == errGone {
			return r.again(v)
		}
		if err != nil {
			return err
		}
		if r.Limits.View(c.Stream.Account, c.Stream.ID).Rate(rate) > 0 {
			if err := c.Turn(r.meters.of(v.token, rate), rate); err != nil {
				return err
			}
		}
		if err := r.Ready(ctx, v.ses.Stream); err != nil {
			return err
		}
		return do(ctx, v)
	}
}
