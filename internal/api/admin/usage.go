package admin

import (
	"cmp"
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/sessions"
)

// UsageInput is the input of ListUsage.
type UsageInput struct {
	AnyStream
	Max       int    `json:",omitempty" help:"At most this many streams on a page; 0 = 100, at most 1000."`
	NextToken string `json:",omitempty" help:"From the answer before; empty for the first page."`
}

// UsageOutput is the output of ListUsage.
type UsageOutput struct {
	Streams   []StreamUsage `help:"The streams in the order of their names, or the one that was named."`
	NextToken string        `help:"Asks for the next page; empty at the end."`
}

// StreamUsage is what one stream keeps and takes in.
type StreamUsage struct {
	StreamName         string        `help:"Name of the stream."`
	StreamARN          string        `help:"ARN of the stream."`
	RetentionHours     int           `help:"How long fragments are kept; 0 = they are not stored."`
	Bytes              int64         `help:"Bytes of the stored fragments, expired ones included until they are removed."`
	Fragments          int64         `help:"Number of stored fragments, likewise."`
	Oldest             *FragmentTime `help:"The first fragment that is kept; null when there is none."`
	Newest             *FragmentTime `help:"The last fragment that is stored; null when there is none."`
	BytesPerSecond     float64       `help:"Bytes of Matroska read from producers each second of the last minute."`
	FragmentsPerSecond float64       `help:"Fragments received whole each second of the last minute."`
}

// FragmentTime says when a fragment began.
type FragmentTime struct {
	FragmentNumber    string    `help:"Its number."`
	ServerTimestamp   time.Time `help:"When the server began to receive it."`
	ProducerTimestamp time.Time `help:"When it began on the producer's clock."`
}

// Keeper says what a stream keeps.
type Keeper interface {
	Usage(ctx context.Context, id kvs.StreamID, horizon kvs.Millis) (archive.Usage, error)
}

// Lister lists the streams of an account.
type Lister interface {
	List(ctx context.Context, account kvs.AccountID, q catalog.ListQuery) (streams []kvs.Stream, next string, err error)
}

// UsageOptions are what [Usage] is made of. All are needed.
type UsageOptions struct {
	Streams  Lister
	Archive  Keeper
	Sessions *sessions.Registry
	Now      func() time.Time
}

// Pages of ListUsage.
const (
	defaultUsage = 100
	maxUsage     = 1000
)

// Usage makes the route that says what streams keep and take in. What a call costs
// depends on the number of streams it shows, not on what they keep.
func Usage(o UsageOptions) []Route {
	return []Route{OnStream("ListUsage", "Says what streams keep: bytes, fragments, the oldest and the newest, and how much comes in now.", UsageOutput{}, o.list)}
}

func (o UsageOptions) list(ctx context.Context, c *api.Call, in *UsageInput) (any, error) {
	streams, next := []kvs.Stream{c.Stream}, ""
	if c.Stream.Name == "" {
		size := cmp.Or(min(max(in.Max, 0), maxUsage), defaultUsage)
		var err error
		if streams, next, err = o.Streams.List(ctx, c.Principal.Account, catalog.ListQuery{Max: size, Token: in.NextToken}); err != nil {
			return nil, err
		}
	}
	out := UsageOutput{Streams: make([]StreamUsage, 0, len(streams)), NextToken: next}
	for _, s := range streams {
		u, err := o.Archive.Usage(ctx, s.ID, s.Horizon(kvs.MillisOf(o.Now())))
		if err != nil {
			return nil, err
		}
		bytes, fragments := o.Sessions.Rate(s.ID)
		out.Streams = append(out.Streams, StreamUsage{
			StreamName: s.Name, StreamARN: s.ARN().String(), RetentionHours: s.Retention, Bytes: u.Bytes, Fragments: u.Fragments,
			Oldest: began(u.Oldest), Newest: began(u.Newest), BytesPerSecond: round(bytes), FragmentsPerSecond: round(fragments),
		})
	}
	return out, nil
}

func began(f *kvs.Fragment) *FragmentTime {
	if f == nil {
		return nil
	}
	return &FragmentTime{FragmentNumber: f.Number.String(), ServerTimestamp: f.Number.Server.Time(), ProducerTimestamp: f.Producer.Time()}
}
