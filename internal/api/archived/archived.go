// Package archived serves what is stored: ListFragments and GetMediaForFragmentList
// (media sheet, sections 6 and 7).
package archived

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/wire"
)

// Lister finds fragments by time.
type Lister interface {
	List(ctx context.Context, id kvs.StreamID, q archive.Query) (fragments []kvs.Fragment, next archive.Position, more bool, err error)
}

// Options are what the room is made of.
type Options struct {
	Catalog *catalog.Catalog
	Archive Lister
	Player  *playback.Player
	Share   api.Share // of GetMediaForFragmentList
	Metrics *metrics.Set
	// TokenKey seals page tokens; it should outlive the process.
	TokenKey []byte
	// WriteTimeout is how long a consumer may take no byte before it is cut.
	WriteTimeout time.Duration
	// Closing is done when the server shuts down: sessions then end on their own.
	Closing context.Context
	Now     func() time.Time
}

type room struct {
	Options
	tokens tokens
}

// Routes returns the operations served here.
func Routes(o Options) []api.Route {
	r := room{o, tokens{o.TokenKey}}
	return []api.Route{
		api.Ranged(api.OnStream("ListFragments", r.list), r.listSpan),
		api.Ranged(api.OnStream("GetMediaForFragmentList", r.pick), pickSpan),
	}
}

// defaultPage is the page size of ListFragments.
const defaultPage = 100

func (r room) list(ctx context.Context, c *api.Call, in *wire.ListFragmentsInput) (any, error) {
	q, err := r.query(c.Stream.ID, in)
	if err != nil {
		return nil, err
	}
	q.Horizon = c.Stream.Horizon(kvs.MillisOf(r.Now()))
	q.Max = defaultPage
	if in.MaxResults != nil {
		q.Max = int(*in.MaxResults)
	}
	if err := c.Points(q.Max); err != nil {
		return nil, err
	}
	found, next, more, err := r.Archive.List(ctx, c.Stream.ID, q)
	if err != nil {
		return nil, err
	}
	out := &wire.ListFragmentsOutput{Fragments: make([]wire.Fragment, len(found))}
	for i := range found {
		out.Fragments[i] = show(&found[i])
	}
	if more {
		q.After = next
		out.NextToken = new(r.tokens.seal(c.Stream.ID, q))
	}
	return out, nil
}

// query reads the selector, or the token that carries one.
func (r room) query(id kvs.StreamID, in *wire.ListFragmentsInput) (archive.Query, error) {
	if in.NextToken != nil {
		q, ok := r.tokens.open(id, *in.NextToken)
		if !ok {
			return q, kvs.Errorf(kvs.InvalidArgument, "NextToken is not one that ListFragments returned for this stream.")
		}
		return q, nil
	}
	if in.FragmentSelector == nil {
		return archive.Query{}, kvs.Errorf(kvs.InvalidArgument, "FragmentSelector is needed unless NextToken is given.")
	}
	s := in.FragmentSelector
	q := archive.Query{Range: kvs.TimeRange{Start: *s.TimestampRange.StartTimestamp, End: *s.TimestampRange.EndTimestamp}}
	if *s.FragmentSelectorType == wire.FragmentSelectorTypeProducerTimestamp {
		q.Clock = kvs.ProducerClock
	}
	if q.Range.End < q.Range.Start {
		return q, kvs.Errorf(kvs.InvalidArgument, "EndTimestamp must not be before StartTimestamp.")
	}
	return q, nil
}

// listSpan is the range of time that a call asks for; a token has one of its own, whatever
// stands beside it.
func (r room) listSpan(c *api.Call, in *wire.ListFragmentsInput) (api.Span, bool) {
	q, err := r.query(c.Stream.ID, in)
	return api.Span{Start: q.Range.Start, End: q.Range.End, Clock: q.Clock}, err == nil
}

// pickSpan is the range from the oldest fragment that is asked for to the newest. Their
// server timestamps are in their numbers, and only whole numbers lead to fragments.
func pickSpan(_ *api.Call, in *wire.GetMediaForFragmentListInput) (s api.Span, ok bool) {
	for i, text := range in.Fragments {
		n, ok := kvs.ParseFragmentNumber(text)
		if !ok {
			return s, false
		}
		if i == 0 {
			s.Start = n.Server
		}
		s.Start, s.End = min(s.Start, n.Server), max(s.End, n.Server)
	}
	return s, len(in.Fragments) > 0
}

func show(f *kvs.Fragment) wire.Fragment {
	return wire.Fragment{
		FragmentNumber: new(f.Number.String()), FragmentSizeInBytes: &f.Size, FragmentLengthInMilliseconds: &f.Duration,
		ProducerTimestamp: &f.Producer, ServerTimestamp: &f.Number.Server,
	}
}

// pick streams the listed fragments.
func (r room) pick(ctx context.Context, c *api.Call, in *wire.GetMediaForFragmentListInput) (any, error) {
	place, err := r.Share.Take(c)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	if err := c.Points(len(in.Fragments)); err != nil {
		return nil, err
	}
	entry, err := r.Catalog.Open(ctx, c.Stream.ID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := api.Session(ctx, r.Closing)
	defer cancel()
	ctx, stop := c.Watch(ctx)
	defer stop()
	const operation = "GetMediaForFragmentList"
	r.Metrics.GetSessions.WithLabelValues(operation).Inc()
	defer r.Metrics.GetSessions.WithLabelValues(operation).Dec()
	out := api.NewOutput(ctx, c, place, "video/webm", r.WriteTimeout, r.Metrics.GetBytes.WithLabelValues(operation))
	defer out.End()
	sent, err := r.Player.Pick(ctx, entry, in.Fragments, out)
	c.Note(slog.Int("fragments", sent), slog.Int64("bytes", out.Bytes()))
	return nil, err
}
