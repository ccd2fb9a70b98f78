// Package video serves the control plane of streams: create, describe, list, change,
// tag and delete them, and say where their media can be sent and read (control sheet).
package video

import (
	"context"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// Catalog is where streams are kept.
type Catalog interface {
	Create(ctx context.Context, n catalog.NewStream) (kvs.Stream, error)
	List(ctx context.Context, account kvs.AccountID, q catalog.ListQuery) ([]kvs.Stream, string, error)
	Update(ctx context.Context, id kvs.StreamID, version string, device, mediaType *string) error
	UpdateRetention(ctx context.Context, id kvs.StreamID, version string, deltaHours int) error
	UpdateTier(ctx context.Context, id kvs.StreamID, version string, tier kvs.StorageTier) error
	Delete(ctx context.Context, id kvs.StreamID, version string) error
	Tag(ctx context.Context, id kvs.StreamID, tags map[string]string) error
	Untag(ctx context.Context, id kvs.StreamID, keys []string) error
	ListTags(ctx context.Context, id kvs.StreamID, token string) (map[string]string, string, error)
}

// Options are what the room is made of.
type Options struct {
	Catalog  Catalog
	Endpoint Endpoint
	// Deleted is told of every stream that was deleted, after it is gone.
	Deleted func(kvs.StreamID)
	// Kept is told of every change of what streams keep, before the call is answered.
	Kept func(context.Context) error
}

// room holds the handlers.
type room struct {
	Options
}

// Routes returns the operations served here.
func Routes(o Options) []api.Route {
	r := room{o}
	return append(r.streamRoutes(), r.tagRoutes()...)
}

// absent is nil for an empty text, the wire's way to say that there is none.
func absent(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
