package server

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/play"
	"github.com/millrace/millrace/internal/api/sessionurl"
	"github.com/millrace/millrace/internal/api/video"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/keyfile"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/playback/cut"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/seal"
)

// sessionPurpose is what tokens of playback sessions are sealed for. They stand in URLs,
// once in each line of a playlist.
var sessionPurpose = seal.Purpose{Name: "playback session", Max: 200}

// openSeal opens the keys that session tokens are sealed under.
func (s *Server) openSeal(ctx context.Context) error {
	rows, err := s.openRows(ctx, db.Options{Path: s.data.Path("seal.db"), Durable: true, Migrations: seal.Migrations()})
	if err != nil {
		return err
	}
	wrapping, err := keyfile.Read(s.data.Path(KeyFile))
	if err != nil {
		return err
	}
	s.seal, err = seal.Open(ctx, seal.Options{DB: rows, Wrapping: wrapping, Now: s.config.Now, Logger: s.log})
	return err
}

// openPlayback opens what playback sessions are made from.
func (s *Server) openPlayback() {
	s.board = playback.NewBoard(playback.BoardOptions{
		Archive: s.archive, Now: s.config.Now,
		LivePause: s.livePause,
	})
	s.cutter = cut.New(cut.Options{Source: s.archive, Cache: int64(s.config.Playback.Cache), Memory: s.players,
		Share: ConsumerMemory(s.config) / 16}) // an eighth of the players' half
}

// forgetMedia drops the segments of a stream from memory.
func (s *Server) forgetMedia(id kvs.StreamID) {
	if s.cutter != nil { // erasures that a crash interrupted come before it
		s.cutter.Forget(id)
	}
}

// erasing is the archive for those who erase: what leaves it leaves memory as well.
type erasing struct {
	*archive.Archive
	forget func(kvs.StreamID)
}

func (a erasing) Erase(ctx context.Context, id kvs.StreamID, e archive.Erasure) (archive.Toll, error) {
	// Also after an error, which may come in the middle. Who cuts one of them later does not
	// find it in the index any more.
	defer a.forget(id)
	return a.Archive.Erase(ctx, id, e)
}

// livePause is the limit of that name for a stream. Streams with sessions are in memory.
func (s *Server) livePause(id kvs.StreamID) time.Duration {
	e, err := s.catalog.Open(context.Background(), id)
	if err != nil { // it goes at this moment
		return 0
	}
	return s.book.Duration(quota.PlaybackLive, e.Stream())
}

// sessionRoutes are the operations that return session URLs.
func (s *Server) sessionRoutes(e video.Endpoint) []api.Route {
	return sessionurl.Routes(sessionurl.Options{
		Board: s.board, Codecs: s.cutter.Codecs, Ready: s.readable, Limits: s.book, Now: s.config.Now,
		Seal: func(session []byte) (string, error) { return s.seal.Seal(sessionPurpose, session) },
		Base: func(r *http.Request) string { return s.playURL(e.For(r)) },
	})
}

// readable fails while the key of a stream cannot be used: nobody sees its media then,
// also those that are in memory (identity sheet, section 7).
func (s *Server) readable(ctx context.Context, stream kvs.StreamID) error {
	return keyring.Refusal(s.ring.Ready(ctx, stream))
}

// playActions are what is behind session URLs.
func (s *Server) playActions() []api.Action {
	return play.Actions(play.Options{
		Board: s.board, Media: segments{s.cutter}, Open: s.unseal, Ready: s.readable, Limits: s.book, Memory: s.players, Now: s.config.Now,
		Stream: func(ctx context.Context, id kvs.StreamID) (kvs.Stream, error) {
			e, err := s.catalog.Open(ctx, id)
			if err != nil {
				return kvs.Stream{}, err
			}
			return e.Stream(), nil
		},
	})
}

// unseal opens a session token.
func (s *Server) unseal(token string) ([]byte, error) {
	b, err := s.seal.Open(sessionPurpose, token)
	switch {
	case errors.Is(err, seal.ErrExpired):
		return nil, play.Expired()
	case err != nil:
		return nil, play.Invalid()
	}
	return b, nil
}

// segments shows the cutter to the door of players.
type segments struct{ *cut.Cutter }

func (s segments) Codecs(ctx context.Context, e *playback.Entry) ([]codec.Track, error) {
	return s.Cutter.Codecs(ctx, e.Stored)
}

func (s segments) Check(ctx context.Context, e *playback.Entry, ses *playback.Session) error {
	return s.Cutter.Check(ctx, e.Stored, ses)
}

func (s segments) Init(ctx context.Context, e *playback.Entry, track uint64) ([]byte, error) {
	return s.Cutter.Init(ctx, e.Stored, track)
}

func (s segments) Segment(ctx context.Context, e *playback.Entry, track uint64, kind playback.Container, start kvs.Millis, viewer uint64) (play.Segment, error) {
	one, err := s.Cutter.Lend(ctx, e.Stored, track, kind, start, cut.Viewer(viewer))
	if err != nil { // not a nil *cut.Segment in an interface
		return nil, err
	}
	return one, nil
}

// isPlay reports whether a path is one of those behind a session URL.
func isPlay(path string) bool {
	return strings.HasPrefix(path, "/hls/v1/") || strings.HasPrefix(path, "/dash/v1/")
}

// playHandler serves what the play listener does.
func (s *Server) playHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() == "/healthz" {
			healthz(w, r)
			return
		}
		s.play.ServeHTTP(w, r)
	})
}

// playURL turns the data endpoint that a caller is told into the one that session URLs
// have: with a play listener, its scheme and port.
func (s *Server) playURL(endpoint string) string {
	l := s.bound["play"]
	u, err := url.Parse(endpoint)
	if l == nil || err != nil {
		return endpoint
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return endpoint
	}
	u.Scheme, u.Host = "https", net.JoinHostPort(u.Hostname(), port)
	if port == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":443")
	}
	return u.String()
}
