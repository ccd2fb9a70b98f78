package server

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/demo"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/sessions"
)

// cameraRetention is how many hours the demo stream keeps what the camera films.
const cameraRetention = 24

// runCamera feeds the demo stream until ctx ends. It goes through the same ingest as
// every producer; when a session ends it begins another, also on a stream that was
// deleted and made again.
func (s *Server) runCamera(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.film(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("demo camera", "error", err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
	return nil
}

func (s *Server) film(ctx context.Context) error {
	stream, err := s.catalog.ByName(ctx, config.DevAccount, config.DevStream)
	if kvs.KindOf(err) == kvs.NotFound {
		stream, err = s.catalog.Create(ctx, catalog.NewStream{Account: config.DevAccount, Name: config.DevStream,
			MediaType: demo.MediaType, Retention: cameraRetention, Tier: kvs.Hot})
	}
	if err != nil {
		return err
	}
	entry, err := s.catalog.Open(ctx, stream.ID)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	var filming sync.WaitGroup
	filming.Go(func() { _ = w.CloseWithError(demo.Film(ctx, w)) })
	defer filming.Wait()
	defer cancel()
	defer func() { _ = r.Close() }()
	session := s.sessions.Open(sessions.About{Stream: entry.Stream(), Operation: "PutMedia", Client: "built in", UserAgent: "demo camera"})
	defer session.Close()
	return s.ingest.Run(ctx, ingest.Request{Stream: entry, Watcher: session}, pipe{r}, noAcks{}).End
}

// pipe is the camera's body.
type pipe struct{ *io.PipeReader }

// Interrupt makes Read return.
func (p pipe) Interrupt() { _ = p.Close() }

// noAcks drops the camera's acknowledgements: it keeps nothing to send again.
type noAcks struct{}

// WriteAck does nothing.
func (noAcks) WriteAck([]byte) error { return nil }
