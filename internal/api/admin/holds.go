package admin

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/catalog"
	"github.com/millrace/millrace/internal/kvs"
)

// Warden carries out holds and erasures. It is a *keep.Keeper.
type Warden interface {
	AddHold(ctx context.Context, h catalog.Hold) (catalog.Hold, error)
	RemoveHold(ctx context.Context, id kvs.StreamID, hold int64, who string) error
	Holds(ctx context.Context, id kvs.StreamID) ([]catalog.Hold, error)
	AccountHolds(ctx context.Context, a kvs.AccountID, after int64, limit int) ([]catalog.StreamHold, error)
	Weigh(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange) (archive.Toll, error)
	Erase(ctx context.Context, id kvs.StreamID, c kvs.Clock, r kvs.TimeRange, who string) (catalog.Erasure, error)
	Erasures(ctx context.Context, a kvs.AccountID, id kvs.StreamID, after int64, limit int) ([]catalog.Erasure, error)
}

// Span is embedded by inputs that say which fragments are meant.
type Span struct {
	From  *time.Time `json:",omitempty" help:"Fragments of which some is at this time or later are meant; left out = from the first on."`
	To    *time.Time `json:",omitempty" help:"Fragments that begin at this time or earlier are meant; left out = without an end."`
	Clock string     `json:",omitempty" help:"Whose time From and To are: server, which is the default, or producer."`
}

// read returns what the members say.
func (s *Span) read() (c kvs.Clock, r kvs.TimeRange, err error) {
	r = kvs.TimeRange{End: kvs.MaxMillis}
	if s.From != nil {
		r.Start = kvs.MillisOf(*s.From)
	}
	if s.To != nil {
		r.End = kvs.MillisOf(*s.To)
	}
	switch s.Clock {
	case "", kvs.ServerClock.String():
		return kvs.ServerClock, r, nil
	case kvs.ProducerClock.String():
		return kvs.ProducerClock, r, nil
	}
	return 0, r, kvs.Errorf(kvs.InvalidArgument, "Clock is '%.100s'; it must be server or producer.", s.Clock)
}

// AddHoldInput is the input of AddHold.
type AddHoldInput struct {
	Stream
	Span
	Note string `json:",omitempty" help:"Why; at most 1,000 characters."`
}

// Hold is a hold as it is shown.
type Hold struct {
	Hold    int64     `help:"Its id."`
	Stream  string    `json:"StreamName" help:"Name of the stream."`
	From    time.Time `help:"Fragments of which some is at this time or later are kept."`
	To      time.Time `help:"Fragments that begin at this time or earlier are kept. The end of the year 9999: without an end."`
	Clock   string    `help:"Whose time that is: server or producer."`
	Note    string    `help:"Why it was set."`
	SetBy   string    `help:"Access key that set it."`
	Created time.Time `help:"When it was set."`

	NotStored bool `json:",omitempty" help:"The range goes on, but the stream has a retention of 0: fragments to come are not stored, so none of them is kept."`
}

// HoldsInput is the input of ListHolds.
type HoldsInput struct {
	AnyStream
	NextToken string `json:",omitempty" help:"From the answer before; empty for the first page."`
}

// HoldsOutput is the output of ListHolds and RemoveHold.
type HoldsOutput struct {
	Holds     []Hold `help:"The holds of the stream, or of the account, in the order in which they were set."`
	NextToken string `json:",omitempty" help:"Asks for the next page of the holds of the account; empty at the end."`
}

// RemoveHoldInput is the input of RemoveHold.
type RemoveHoldInput struct {
	Stream
	Hold int64 `help:"Id of the hold."`
}

// Holds makes the routes of holds and erasures.
func Holds(w Warden) []Route {
	h := holds{w}
	return []Route{
		OnStream("AddHold", "Keeps the fragments of a stream that lie in a range of time, or partly, until the hold is removed: whatever the retention, the limits, and whoever asks for their erasure. While a stream has a hold it cannot be deleted. "+onlyGuardians, Hold{}, h.add),
		OnStream("ListHolds", "Lists the holds of a stream, all of them at once, or those of all streams of the account.", HoldsOutput{}, h.list),
		OnStream("RemoveHold", "Removes a hold and returns those that are left. What only it kept is removed within a minute or so. "+onlyGuardians, HoldsOutput{}, h.remove),
		OnStream("EraseFragments", "Removes the stored fragments of a stream that lie in a range of time, or partly, for good, and leaves a record of it. Nothing is removed, and the answer is ResourceInUseException, when a hold covers one of them. Fragments that arrive later are not meant. "+onlyGuardians, EraseOutput{}, h.erase),
		OnStream("ListErasures", "Lists the records of erasures of the account, also those of streams that are deleted; or those of one stream.", ErasuresOutput{}, h.erasures),
	}
}

type holds struct{ Warden }

func showHold(h catalog.StreamHold) Hold {
	return Hold{Hold: h.ID, Stream: h.Name, NotStored: notStored(h), From: h.Range.Start.Time(), To: h.Range.End.Time(), Clock: h.Clock.String(), Note: h.Note, SetBy: h.Who, Created: h.When.Time()}
}

func (w holds) add(ctx context.Context, c *api.Call, in *AddHoldInput) (any, error) {
	clock, r, err := in.read()
	if err != nil {
		return nil, err
	}
	h, err := w.AddHold(ctx, catalog.Hold{Stream: c.Stream.ID, Clock: clock, Range: r, Note: in.Note, Who: c.Principal.AccessKey})
	if err != nil {
		return nil, err
	}
	c.Note(slog.Int64("hold", h.ID))
	return showHold(ofStream(c, h)), nil
}

// ofStream is a hold of the stream that the call names.
func ofStream(c *api.Call, h catalog.Hold) catalog.StreamHold {
	return catalog.StreamHold{Hold: h, Name: c.Stream.Name, Retention: c.Stream.Retention}
}

// list serves pages for an account only: the holds of a stream are limited.
func (w holds) list(ctx context.Context, c *api.Call, in *HoldsInput) (any, error) {
	if c.Stream.ID != 0 {
		return w.all(ctx, c)
	}
	after, err := pageAfter(in.NextToken, "ListHolds")
	if err != nil {
		return nil, err
	}
	all, err := w.AccountHolds(ctx, c.Principal.Account, after, page)
	if err != nil {
		return nil, err
	}
	out := HoldsOutput{Holds: make([]Hold, 0, len(all))}
	for _, h := range all {
		out.Holds = append(out.Holds, showHold(h))
	}
	if len(all) == page {
		out.NextToken = strconv.FormatInt(all[len(all)-1].ID, 10)
	}
	return out, nil
}

// notStored reports whether a hold means fragments to come that will not be stored.
func notStored(h catalog.StreamHold) bool {
	return h.Retention == 0 && h.Range.End > kvs.MillisOf(time.Now())
}

func (w holds) all(ctx context.Context, c *api.Call) (any, error) {
	all, err := w.Holds(ctx, c.Stream.ID)
	out := HoldsOutput{Holds: make([]Hold, 0, len(all))}
	for _, h := range all {
		out.Holds = append(out.Holds, showHold(ofStream(c, h)))
	}
	return out, err
}

func (w holds) remove(ctx context.Context, c *api.Call, in *RemoveHoldInput) (any, error) {
	c.Note(slog.Int64("hold", in.Hold))
	if err := w.RemoveHold(ctx, c.Stream.ID, in.Hold, c.Principal.AccessKey); err != nil {
		return nil, err
	}
	return w.all(ctx, c)
}

// EraseInput is the input of EraseFragments.
type EraseInput struct {
	Stream
	Span
	DryRun bool `json:",omitempty" help:"Remove nothing, only say what would be."`
}

// EraseOutput is the output of EraseFragments.
type EraseOutput struct {
	Fragments int64    `help:"How many fragments were removed, or would be."`
	Bytes     int64    `help:"Bytes of their records."`
	Held      int64    `help:"How many of them are on hold; with one the call is refused unless it is a dry run."`
	Erasure   *Erasure `json:",omitempty" help:"The record; absent in a dry run."`
}

// Erasure is the record of an erasure.
type Erasure struct {
	Erasure    int64     `help:"Its id."`
	StreamName string    `help:"Name of the stream."`
	From       time.Time `help:"Fragments of which some was at this time or later were removed."`
	To         time.Time `help:"Fragments that began at this time or earlier were removed."`
	Clock      string    `help:"Whose time that is: server or producer."`
	AskedBy    string    `help:"Access key that asked for it."`
	Created    time.Time `help:"When."`
	Fragments  int64     `help:"How many fragments were removed."`
	Bytes      int64     `help:"Bytes of their records."`
	Done       bool      `help:"False: it was interrupted, and goes on by itself."`
}

func showErasure(e catalog.Erasure) Erasure {
	return Erasure{Erasure: e.ID, StreamName: e.Name, From: e.Range.Start.Time(), To: e.Range.End.Time(), Clock: e.Clock.String(),
		AskedBy: e.Who, Created: e.When.Time(), Fragments: e.Fragments, Bytes: e.Bytes, Done: e.Done}
}

func (w holds) erase(ctx context.Context, c *api.Call, in *EraseInput) (any, error) {
	clock, r, err := in.read()
	if err != nil {
		return nil, err
	}
	if r.Start > r.End {
		return nil, kvs.Errorf(kvs.InvalidArgument, "To is earlier than From.")
	}
	if in.DryRun {
		toll, err := w.Weigh(ctx, c.Stream.ID, clock, r)
		return EraseOutput{Fragments: toll.Fragments, Bytes: toll.Bytes, Held: toll.Held}, err
	}
	e, err := w.Erase(ctx, c.Stream.ID, clock, r, c.Principal.AccessKey)
	if err != nil {
		return nil, err
	}
	c.Note(slog.Int64("erasure", e.ID), slog.Int64("fragments", e.Fragments))
	shown := showErasure(e)
	return EraseOutput{Fragments: e.Fragments, Bytes: e.Bytes, Erasure: &shown}, nil
}

// ErasuresInput is the input of ListErasures.
type ErasuresInput struct {
	AnyStream
	NextToken string `json:",omitempty" help:"From the answer before; empty for the first page."`
}

// ErasuresOutput is the output of ListErasures.
type ErasuresOutput struct {
	Erasures  []Erasure `help:"The records in the order in which they were made."`
	NextToken string    `help:"Asks for the next page; empty at the end."`
}

// page is how many holds, or records of erasures, are on a page.
const page = 1000

// pageAfter is the id behind which a page begins.
func pageAfter(token, operation string) (after int64, err error) {
	if token == "" {
		return 0, nil
	}
	if after, err = strconv.ParseInt(token, 10, 64); err != nil {
		return 0, kvs.Errorf(kvs.InvalidArgument, "NextToken is not one that %s gave.", operation)
	}
	return after, nil
}

func (w holds) erasures(ctx context.Context, c *api.Call, in *ErasuresInput) (any, error) {
	after, err := pageAfter(in.NextToken, "ListErasures")
	if err != nil {
		return nil, err
	}
	all, err := w.Erasures(ctx, c.Principal.Account, c.Stream.ID, after, page)
	if err != nil {
		return nil, err
	}
	out := ErasuresOutput{Erasures: make([]Erasure, 0, len(all))}
	for _, e := range all {
		out.Erasures = append(out.Erasures, showErasure(e))
	}
	if len(all) == page {
		out.NextToken = strconv.FormatInt(all[len(all)-1].ID, 10)
	}
	return out, nil
}
