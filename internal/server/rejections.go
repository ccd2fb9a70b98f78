package server

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/rejection"
)

// openRejections takes up what was refused before the server was started.
func (s *Server) openRejections(ctx context.Context) error {
	s.rejected = rejection.NewBook(rejection.Options{Path: s.data.path("rejections"), Logger: s.log})
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

// refused remembers PutMedia calls that were answered with an exception.
func (s *Server) refused(c *api.Call, status int, exception string, err error) {
	if c.Operation.Name != "PutMedia" {
		return
	}
	s.rejected.Add(c.Stream, rejection.Call{Time: s.config.Now(), Request: c.ID, Client: c.Request.RemoteAddr,
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
