// Package clips serves GetClip: one MP4 file of what a range of time has (playback sheet,
// section 7).
package clips

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/metrics"
	"github.com/millrace/millrace/internal/playback"
	"github.com/millrace/millrace/internal/playback/clip"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
)

// Options are what the room is made of.
type Options struct {
	Board   *playback.Board // what clips are chosen from
	Archive clip.Archive    // what they are made of
	Limits  *quota.Book
	Memory  *api.Memory // what clips take while they are laid out and sent; nil = no bound
	Metrics *metrics.Set
	// WriteTimeout is how long a consumer may take no byte before it is cut.
	WriteTimeout time.Duration
	// Closing is done when the server shuts down: answers then end.
	Closing context.Context
	Now     func() time.Time
}

type room struct{ Options }

const operation = "GetClip"

// Routes returns the operation served here.
func Routes(o Options) []api.Route {
	return []api.Route{api.Ranged(api.OnStream(operation, room{o}.clip), span)}
}

// span is the range of time that a call asks for.
func span(_ *api.Call, in *wire.GetClipInput) (s api.Span, ok bool) {
	f := in.ClipFragmentSelector
	if f == nil || f.TimestampRange == nil || f.TimestampRange.StartTimestamp == nil || f.TimestampRange.EndTimestamp == nil {
		return s, false
	}
	s.Start, s.End = *f.TimestampRange.StartTimestamp, *f.TimestampRange.EndTimestamp
	if wire.Value(f.FragmentSelectorType) == wire.ClipFragmentSelectorTypeProducerTimestamp {
		s.Clock = kvs.ProducerClock
	}
	return s, true
}

// clip answers with one MP4 file of the fragments in a range (playback sheet, section 7).
// Its length is known before it begins, so that any part of it can be asked for.
func (r room) clip(ctx context.Context, c *api.Call, in *wire.GetClipInput) (any, error) {
	limits := r.Limits.View(c.Stream.Account, c.Stream.ID)
	want, err := r.selection(c, in.ClipFragmentSelector, limits)
	if err != nil {
		return nil, err
	}
	held := api.Held{Memory: r.Memory}
	defer held.Close()
	if err := held.Set(ctx, rowsWeight(&want)); err != nil {
		return nil, err
	}
	rows, skip, err := r.Board.Select(ctx, c.Stream, want)
	if err != nil {
		return nil, err
	}
	if err := held.Set(ctx, clip.Weight(rows, limits.Bytes(quota.ClipBytes))); err != nil {
		return nil, err
	}
	if err := c.Points(len(rows)); err != nil {
		return nil, err
	}
	ctx, cancel := api.Session(ctx, r.Closing)
	defer cancel()
	file, err := clip.Open(ctx, clip.Options{Archive: r.Archive, Fragments: rows, Skip: skip,
		MaxBytes: limits.Bytes(quota.ClipBytes), Strict: r.Limits.Profile() == quota.AWS})
	if err != nil {
		return nil, err
	}
	if lost := file.Damaged(); len(lost) > 0 {
		c.Note(slog.Int("damaged_fragments", len(lost)), slog.String("first_damaged", lost[0].String()))
	}
	if err := held.Set(ctx, file.Weight()); err != nil {
		return nil, err
	}
	return nil, r.send(ctx, c, file)
}

// rowsWeight is the memory of the rows of a selection before anybody knows how many there
// are: one for each second, or fewer if that is the limit.
func rowsWeight(want *playback.Selection) int64 {
	n := min(int64(want.Range.End.Sub(want.Range.Start)/time.Second), playback.MaxSelected)
	if want.Max > 0 {
		n = min(n, int64(want.Max))
	}
	return clip.RowWeight * n
}

func stamp(m kvs.Millis) string { return m.Time().Format("2006-01-02T15:04:05.000Z") }

// selection reads what the clip shall show. ExactStart is our own: a query parameter.
func (r room) selection(c *api.Call, s *wire.ClipFragmentSelector, limits *quota.View) (playback.Selection, error) {
	want := playback.Selection{Max: limits.Int(quota.ClipFragments),
		Range: kvs.TimeRange{Start: *s.TimestampRange.StartTimestamp, End: *s.TimestampRange.EndTimestamp}}
	if *s.FragmentSelectorType == wire.ClipFragmentSelectorTypeProducerTimestamp {
		want.Clock = kvs.ProducerClock
	}
	most := limits.Duration(quota.PlaybackRange)
	switch {
	case want.Range.End <= want.Range.Start:
		return want, kvs.Errorf(kvs.InvalidArgument, "EndTimestamp %s must be later than StartTimestamp %s.", stamp(want.Range.End), stamp(want.Range.Start))
	case want.Clock == kvs.ServerClock && want.Range.End > kvs.MillisOf(r.Now()):
		return want, kvs.Errorf(kvs.InvalidArgument, "EndTimestamp must be in the past with FragmentSelectorType SERVER_TIMESTAMP.")
	case most > 0 && want.Range.End.Sub(want.Range.Start) > most:
		return want, kvs.Errorf(kvs.InvalidArgument, "EndTimestamp must be at most %v after StartTimestamp.", most)
	}
	if text := c.Request.URL.Query().Get("ExactStart"); text != "" {
		var err error
		if want.Exact, err = strconv.ParseBool(text); err != nil {
			return want, kvs.Errorf(kvs.InvalidArgument, "ExactStart is true or false, not '%.32s'.", text)
		}
	}
	return want, nil
}

// send writes the file, or the part of it that was asked for. When it cannot go on it
// ends early: the caller knows by the length that was promised.
func (r room) send(ctx context.Context, c *api.Call, file *clip.Clip) error {
	h := c.Writer.Header()
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+file.Tag()+`"`)
	p, err := partOf(c.Request.Header, file.Size(), h.Get("ETag"))
	if err != nil {
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(file.Size(), 10))
		h.Set("Content-Type", "video/mp4")
		c.Answered(http.StatusRequestedRangeNotSatisfiable)
		c.Writer.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil
	}
	if p.partial {
		h.Set("Content-Range", p.contentRange(file.Size()))
		c.Answered(http.StatusPartialContent)
	}
	h.Set("Content-Length", strconv.FormatInt(p.size, 10))
	r.Metrics.GetSessions.WithLabelValues(operation).Inc()
	defer r.Metrics.GetSessions.WithLabelValues(operation).Dec()
	out := api.NewOutput(ctx, c, nil, "video/mp4", r.WriteTimeout, r.Metrics.GetBytes.WithLabelValues(operation))
	defer out.End()
	err = file.WriteRange(ctx, &paced{out: out, since: time.Now(), grace: r.WriteTimeout}, p.from, p.size, out.Chunk)
	c.Note(slog.Int("fragments", file.Fragments()), slog.Int64("bytes", out.Bytes()))
	return err
}
