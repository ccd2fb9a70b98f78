package server

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/api/admin/allocations"
	"github.com/millrace/millrace/internal/api/admin/presence"
	"github.com/millrace/millrace/internal/api/sessionurl"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/iam"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/playback/clip"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
)

//go:generate go test -run ^TestAdminPage$ -update .

// adminRoutes are the operations of our own, in the order of the reference.
func (s *Server) adminRoutes() []admin.Route {
	return slices.Concat([]admin.Route{
		admin.JSON("DescribeServer", "Says which server this is.", serverInfo{}, s.describe),
		admin.OnStream("ListRejections", "Says which fragments and sessions of a stream were refused lately, why, and what helps; without a stream, which streams had refusals.", rejections{}, s.listRejections),
	}, admin.Sessions(s.sessions, s.config.Real), admin.Usage(admin.UsageOptions{
		Streams: s.catalog, Archive: s.archive, Sessions: s.sessions, Now: s.config.Now,
	}), admin.Limits(s.book, s.keys, s.keeper.Changed, s.weighLimit), admin.Holds(s.keeper), admin.Revocation(s.catalog), presence.Routes(presence.Options{Hub: s.hub, Now: s.config.Real, Closing: s.closing}),
		allocations.Routes(allocations.Options{Relay: s.turn, Relays: s.turn != nil, Channel: s.channels.ByID, Started: s.started, Now: s.config.Real}), admin.Accounts(accounts{s.keys, s.book}, s.catalog), admin.Emulator(s.emulator()))
}

// accounts are those of the store with what is set for them elsewhere.
type accounts struct {
	*iam.Store
	book *quota.Book
}

// DeleteAccount takes back the limits of an account as well: its number may be given again.
func (t accounts) DeleteAccount(ctx context.Context, id kvs.AccountID, streams iam.Streams) error {
	if err := t.Store.DeleteAccount(ctx, id, streams); err != nil {
		return err
	}
	return t.book.Reset(ctx, quota.Target{Account: id}, "")
}

// weighLimit says what a limit of stored bytes would remove now, of a stream or of those of
// an account that have no limit of their own.
func (s *Server) weighLimit(ctx context.Context, t quota.Target, bytes int64) (toll archive.Toll, err error) {
	if t.Stream != 0 {
		return s.archive.WeighLimit(ctx, t.Stream, bytes)
	}
	all, err := s.catalog.Kept(ctx)
	if err != nil {
		return toll, err
	}
	for id, k := range all {
		if k.Account != t.Account || s.limitedItself(t.Account, id) {
			continue
		}
		one, err := s.archive.WeighLimit(ctx, id, bytes)
		if err != nil {
			return toll, err
		}
		toll.Fragments, toll.Bytes, toll.Held = toll.Fragments+one.Fragments, toll.Bytes+one.Bytes, toll.Held+one.Held
	}
	return toll, nil
}

// limitedItself reports whether a stream has a limit of stored bytes of its own.
func (s *Server) limitedItself(account kvs.AccountID, id kvs.StreamID) bool {
	return slices.ContainsFunc(s.book.List(account, id), func(f quota.InForce) bool {
		return f.Limit.Name == quota.StreamBytes.Name && f.From == quota.FromStream
	})
}

// emulator is what a development server lets tests do.
func (s *Server) emulator() admin.EmulatorOptions {
	o := admin.EmulatorOptions{Moved: s.moved, Reset: s.reset}
	if c := s.config.Emulate.Clock; c != nil && s.config.Dev {
		o.Clock = c
	}
	return o
}

// serverInfo is the output of DescribeServer.
type serverInfo struct {
	Version string    `help:"Version of the program."`
	Region  string    `help:"Region of the server's ARNs."`
	Profile string    `help:"Profile of the limits: open or aws."`
	Started time.Time `help:"When the server was started."`
	Now     time.Time `help:"The server's clock."`
}

func (s *Server) describe(context.Context, *api.Call, *struct{}) (any, error) {
	return serverInfo{Version: version(), Region: s.config.Regions[0], Profile: string(s.book.Profile()),
		Started: s.started, Now: s.config.Now()}, nil
}

// version is the module version or the commit that the program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// openRejections takes up what was refused before the server was started.
func (s *Server) openRejections(ctx context.Context) error {
	s.rejected = rejection.NewBook(rejection.Options{Path: s.data.Path("rejections"), Logger: s.log})
	var streams map[kvs.StreamID]catalog.Kept
	err := s.rejected.Load(func(id kvs.StreamID) bool {
		if streams == nil { // none may have been refused anything
			streams, _ = s.catalog.Kept(ctx)
		}
		_, ok := streams[id]
		return ok
	})
	if err != nil { // no reason to stay down
		s.log.Warn("the report of rejections could not be read", "error", err)
	}
	return nil
}

// refused remembers calls of producers, and of those who want to see a stream, that were answered
// with an exception.
func (s *Server) refused(c *api.Call, status int, exception string, err error) {
	operation := c.Operation.Name
	switch {
	case operation == "PutMedia":
		operation = ""
	case !asksToSee[operation] && !(isPlay(c.Operation.Path) && ofMedia(err)):
		return
	}
	s.rejected.Add(c.Stream, rejection.Call{Time: s.config.Now(), Operation: operation, Request: c.ID, Client: c.Request.RemoteAddr,
		Status: status, Exception: exception, Err: err}.Refusal())
}

// rejectionsInput is the input of ListRejections.
type rejectionsInput struct {
	admin.AnyStream
	Since time.Time `json:",omitzero" help:"Leave out what did not happen again since then."`
}

// rejections is the output of ListRejections.
type rejections struct {
	Rejections []rejection.Entry  `help:"Of the stream, the latest first. The same ones are folded into one; the 50 latest different ones are kept."`
	Streams    []rejection.Recent `help:"Without a stream: those of the account that had refusals, the latest first."`
	Newest     *newestFragment    `json:"NewestFragment,omitempty" help:"The newest fragment that the stream took, if there is one."`
	Sessions   int                `help:"PutMedia sessions that are open on the stream now."`
	Players    []player           `json:",omitempty" help:"What plays the tracks of the newest fragment that is stored."`
}

// newestFragment shows that media comes.
type newestFragment struct {
	Number string    `json:"FragmentNumber" help:"Of the fragment."`
	Server time.Time `json:"ServerTimestamp" help:"When its first byte came."`
}

func (s *Server) listRejections(ctx context.Context, c *api.Call, in *rejectionsInput) (any, error) {
	out := rejections{Rejections: []rejection.Entry{}, Streams: []rejection.Recent{}}
	if c.Stream.ID == 0 {
		out.Streams = append(out.Streams, s.rejected.Recent(c.Principal.Account, in.Since)...)
		return out, nil
	}
	out.Rejections = append(out.Rejections, s.rejected.List(c.Stream.ID, in.Since)...)
	out.Sessions = s.ingest.Open(c.Stream.ID)
	var err error
	if out.Players, err = s.playable(ctx, c.Stream.ID); err != nil {
		return out, err
	}
	n, err := s.newestNumber(ctx, c.Stream.ID)
	if err == nil && n.N > 0 {
		out.Newest = &newestFragment{Number: n.String(), Server: n.Server.Time()}
	}
	return out, err
}

// newestNumber is the number of the newest fragment that was taken whole, stored or
// live; its zero value says there is none.
func (s *Server) newestNumber(ctx context.Context, id kvs.StreamID) (n kvs.FragmentNumber, err error) {
	f, ok, err := s.archive.Newest(ctx, id, 0)
	if err != nil {
		return n, err
	}
	if ok {
		n = f.Number
	}
	st := s.live.Acquire(id)
	defer st.Release()
	for _, f := range st.All() {
		if state, _ := f.State(); state == live.Complete && n.Less(f.Info().Number) {
			n = f.Info().Number
		}
	}
	return n, nil
}

// asksToSee are the operations of those who want to see a stream.
var asksToSee = map[string]bool{"GetHLSStreamingSessionURL": true, "GetDASHStreamingSessionURL": true, "GetClip": true}

// ofMedia reports whether an error says that media cannot be played. Others of players, such as
// fragments that have expired, are of no use to who runs the stream.
func ofMedia(err error) bool {
	switch kvs.KindOf(err) {
	case kvs.UnsupportedMedia, kvs.MissingPrivateData, kvs.InvalidPrivateData, kvs.InvalidFrame:
		return true
	}
	return false
}

// player says whether one way of seeing a stream plays its newest fragment.
type player struct {
	As  string `help:"The way: HLS, HLS with MPEG-TS, DASH or GetClip."`
	Why string `json:",omitempty" help:"Why it does not play; it plays if this is missing."`
}

// playable says what plays the tracks of the newest fragment that is stored; nothing when none is.
func (s *Server) playable(ctx context.Context, id kvs.StreamID) ([]player, error) {
	f, ok, err := s.archive.Newest(ctx, id, 0)
	if err != nil || !ok {
		return nil, err
	}
	var tracks []codec.Track
	if err = s.readable(ctx, id); err == nil {
		tracks, err = s.cutter.Codecs(ctx, f)
	}
	profile := s.book.Profile()
	var all []player
	for _, way := range []struct {
		name  string
		check func() error
	}{
		{"HLS", func() error { return sessionurl.Check(playback.HLS, playback.FMP4, tracks, profile) }},
		{"HLS with MPEG-TS", func() error { return sessionurl.Check(playback.HLS, playback.TS, tracks, profile) }},
		{"DASH", func() error { return sessionurl.Check(playback.DASH, playback.FMP4, tracks, profile) }},
		{"GetClip", func() error { return clip.Check(tracks, profile == quota.AWS) }},
	} {
		why := err
		if why == nil {
			why = way.check()
		}
		all = append(all, player{As: way.name, Why: told(why)})
	}
	return all, nil
}

// told is what callers hear of an error.
func told(err error) string {
	e, ok := errors.AsType[*kvs.Error](err)
	switch {
	case err == nil:
		return ""
	case !ok || e.Kind == kvs.Internal:
		return "The fragment cannot be read: see the log."
	}
	return strings.TrimSpace(e.Message)
}
