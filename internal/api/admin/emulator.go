package admin

import (
	"context"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/kvs"
)

// Clock is the clock of a development server.
type Clock interface {
	Now() time.Time
	Speed() float64
	Set(text string) error
}

// EmulatorOptions are what tests do with a development server.
type EmulatorOptions struct {
	Clock Clock                           // nil = this is no development server
	Moved func(ctx context.Context) error // called after the clock was set
	Reset func(ctx context.Context, a kvs.AccountID) (streams int, err error)
}

// ClockInput is the input of SetClock.
type ClockInput struct {
	To string `help:"Moment, speed, or both: 2030-01-01T00:00:00Z, +36h, @60, 2030-01-01@10. What is left out stays."`
}

// ClockOutput is the output of SetClock and DescribeClock.
type ClockOutput struct {
	Now   time.Time `help:"What the server's clock shows."`
	Speed float64   `help:"How many of its seconds pass in a real one; 0 = it stands still."`
}

// ResetOutput is the output of Reset.
type ResetOutput struct {
	Streams int `help:"How many streams were deleted."`
}

// Emulator makes the routes that only a development server serves: others refuse them.
func Emulator(o EmulatorOptions) []Route {
	shown := func() ClockOutput { return ClockOutput{Now: o.Clock.Now(), Speed: o.Clock.Speed()} }
	return []Route{
		onDev(o, JSON("DescribeClock", "Says what the clock of a development server shows.", ClockOutput{},
			func(context.Context, *api.Call, *struct{}) (any, error) { return shown(), nil })),
		onDev(o, JSON("SetClock", "Moves the clock of a development server, or changes its speed. What is expired by it is removed before the answer comes.", ClockOutput{},
			func(ctx context.Context, _ *api.Call, in *ClockInput) (any, error) {
				if err := o.Clock.Set(in.To); err != nil {
					return nil, &kvs.Error{Kind: kvs.InvalidArgument, Message: err.Error()}
				}
				return shown(), o.Moved(ctx)
			})),
		onDev(o, JSON("Reset", "Deletes all streams and signaling channels of the account on a development server, takes back the limits that were set for it, and begins the clock and the sequence of faults again.", ResetOutput{},
			func(ctx context.Context, c *api.Call, _ *struct{}) (any, error) {
				n, err := o.Reset(ctx, c.Principal.Account)
				return ResetOutput{Streams: n}, err
			})),
	}
}

// onDev refuses the route on a server that is none for development.
func onDev(o EmulatorOptions, r Route) Route {
	if o.Clock == nil {
		name := r.Name
		r.Call = func(context.Context, *api.Call, []byte) (any, error) {
			return nil, kvs.Errorf(kvs.Denied, "%s works on a development server only, one that was started with --dev: it would change what others rely on.", name)
		}
	}
	return r
}
