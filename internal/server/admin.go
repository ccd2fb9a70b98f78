package server

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

//go:generate go test -run ^TestAdminPage$ -update .

// adminRoutes are the operations of our own, in the order of the reference.
func (s *Server) adminRoutes() []admin.Route {
	return slices.Concat([]admin.Route{
		admin.JSON("DescribeServer", "Says which server this is.", serverInfo{}, s.describe),
		admin.OnStream("ListRejections", "Says which fragments and sessions of a stream were refused lately, why, and what helps; without a stream, which streams had refusals.", rejections{}, s.listRejections),
	}, admin.Sessions(s.sessions, s.config.Real), admin.Usage(admin.UsageOptions{
		Streams: s.catalog, Archive: s.archive, Sessions: s.sessions, Now: s.config.Now,
	}), admin.Limits(s.book, s.keeper.Changed, s.weighLimit), admin.Holds(s.keeper), admin.Revocation(s.catalog), admin.Emulator(s.emulator()))
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
