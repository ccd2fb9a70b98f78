// Package media serves PutMedia and GetMedia: long calls whose media flow while they
// last (media sheet, sections 2 and 5).
package media

import (
	"context"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/playback"
)

// Options are what the room is made of.
type Options struct {
	Catalog *catalog.Catalog
	Ingest  *ingest.Ingest
	Player  *playback.Player
	Share   api.Share // of GetMedia
	Metrics *metrics.Set
	// WriteTimeout is how long a consumer may take no byte before it is cut.
	WriteTimeout time.Duration
	// Here reports whether a media call may come to this Host.
	Here func(host string) bool
	// Closing is done when the server shuts down: sessions then end on their own.
	Closing context.Context
}

type room struct {
	Options
}

// Routes returns the operations served here.
func Routes(o Options) []api.Route {
	r := room{o}
	return []api.Route{
		{Operation: "PutMedia", Target: putTarget, Call: r.putMedia},
		api.Ranged(api.OnStream("GetMedia", r.getMedia), r.span),
	}
}

// checkHost refuses calls that came to another host than GetDataEndpoint names.
func (r room) checkHost(q *http.Request) error {
	if r.Here(q.Host) {
		return nil
	}
	return kvs.Errorf(kvs.WrongEndpoint, "This host serves no media; call GetDataEndpoint and use the endpoint it returns.")
}
