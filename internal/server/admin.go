package server

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
)

//go:generate go test -run ^TestAdminPage$ -update .

// adminRoutes are the operations of our own, in the order of the reference.
func (s *Server) adminRoutes() []admin.Route {
	return slices.Concat([]admin.Route{
		admin.JSON("DescribeServer", "Says which server this is.", serverInfo{}, s.describe),
		admin.OnStream("ListRejections", "Says which fragments and sessions of a stream were refused lately, why, and what helps; without a stream, which streams had refusals.", rejections{}, s.listRejections),
	}, admin.Sessions(s.sessions, s.config.Real), admin.Usage(admin.UsageOptions{
		Streams: s.catalog, Archive: s.archive, Sessions: s.sessions, Now: s.config.Now,
	}), admin.Limits(s.book, s.keeper.Changed), admin.Holds(s.keeper), admin.Emulator(s.emulator()))
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
