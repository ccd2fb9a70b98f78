package media

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// getMedia streams chunks until the consumer leaves or nothing comes any more.
func (r room) getMedia(ctx context.Context, c *api.Call, in *wire.GetMediaInput) (any, error) {
	if err := r.checkHost(c.Request); err != nil {
		return nil, err
	}
	sel, err := selector(in.StartSelector)
	if err != nil {
		return nil, err
	}
	place, err := r.Share.Take(c)
	if err != nil {
		return nil, err
	}
	defer place.Close()
	entry, err := r.Catalog.Open(ctx, c.Stream.ID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := api.Session(ctx, r.Closing)
	defer cancel()
	ctx, stop := c.Watch(ctx)
	defer stop()
	r.Metrics.GetSessions.WithLabelValues("GetMedia").Inc()
	defer r.Metrics.GetSessions.WithLabelValues("GetMedia").Dec()
	out := api.NewOutput(ctx, c, place, "video/webm", r.WriteTimeout, r.Metrics.GetBytes.WithLabelValues("GetMedia"))
	defer out.End()
	if err := out.Flush(); err != nil {
		return nil, err
	}
	chunks, err := r.Player.Follow(ctx, entry, sel, out)
	c.Note(slog.Int("fragments", chunks), slog.Int64("bytes", out.Bytes()))
	return nil, err
}

// selector reads a start selector; each type needs its own member (media sheet,
// section 5).
func selector(s *wire.StartSelector) (kvs.Selector, error) {
	switch *s.StartSelectorType {
	case wire.StartSelectorTypeEarliest:
		return kvs.Selector{Type: kvs.StartEarliest}, nil
	case wire.StartSelectorTypeFragmentNumber:
		return after(s.AfterFragmentNumber, "AfterFragmentNumber", "FRAGMENT_NUMBER")
	case wire.StartSelectorTypeContinuationToken:
		return after(s.ContinuationToken, "ContinuationToken", "CONTINUATION_TOKEN")
	case wire.StartSelectorTypeServerTimestamp:
		return at(s.StartTimestamp, kvs.ServerClock)
	case wire.StartSelectorTypeProducerTimestamp:
		return at(s.StartTimestamp, kvs.ProducerClock)
	}
	return kvs.Selector{Type: kvs.StartNow}, nil
}

// span is the range of time that a call asks for: from its start on, without an end.
func (r room) span(c *api.Call, in *wire.GetMediaInput) (api.Span, bool) {
	s, err := selector(in.StartSelector)
	span := api.Span{Open: true, Clock: s.Clock}
	switch s.Type {
	case kvs.StartNow:
		span.Start = kvs.MillisOf(c.Start)
	case kvs.StartAfter:
		span.Start = r.Player.Since(c.Request.Context(), c.Stream.ID, s.Number)
	case kvs.StartAt:
		span.Start = s.Time
	}
	return span, err == nil
}

func after(text *string, member, kind string) (kvs.Selector, error) {
	if text == nil {
		return kvs.Selector{}, kvs.Errorf(kvs.InvalidArgument, "%s is needed when StartSelectorType is %s.", member, kind)
	}
	n, ok := kvs.ParseFragmentNumber(*text)
	if !ok {
		return kvs.Selector{}, kvs.Errorf(kvs.InvalidArgument, "%s '%.128s' is not a fragment number: 1 to 128 digits.", member, *text)
	}
	return kvs.Selector{Type: kvs.StartAfter, Number: n}, nil
}

func at(t *kvs.Millis, c kvs.Clock) (kvs.Selector, error) {
	if t == nil {
		return kvs.Selector{}, kvs.Errorf(kvs.InvalidArgument, "StartTimestamp is needed when StartSelectorType names a timestamp.")
	}
	return kvs.Selector{Type: kvs.StartAt, Clock: c, Time: *t}, nil
}
