// Package video serves the control plane: create, describe, list, change, tag and delete
// streams and signaling channels, say where media can be sent and read, and which channel
// stores to which stream (control sheet).
package video

import (
	"context"
	"slices"
	"sync"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/catalog/channels"
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

	Channels *channels.Channels
	Streams  Streams
	Hub      Hub // nil = nobody is connected to a channel
}

// room holds the handlers.
type room struct {
	Options
	announcing sync.Mutex // keeps the hub's news of channels in order
}

// Routes returns the operations served here.
func Routes(o Options) []api.Route {
	r := &room{Options: o}
	if r.Hub == nil {
		r.Hub = nobody{}
	}
	return slices.Concat(r.streamRoutes(), r.channelRoutes(), r.tagRoutes())
}

// absent is nil for an empty text, the wire's way to say that there is none.
func absent(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
