package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/api/admin"
	"github.com/millrace/millrace/internal/clock"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/fault"
	"github.com/millrace/millrace/internal/server"
)

// emulateFlags are the extras of a development server, for tests that talk to it.
type emulateFlags struct {
	Clock     *string  `placeholder:"START[@SPEED]" help:"With --dev: the server's clock, such as 2030-01-01T00:00:00Z, +36h, @60 or 2030-01-01@10."`
	NoDemo    bool     `help:"With --dev: no demo stream."`
	Fault     []string `sep:"none" placeholder:"SPEC" help:"With --dev: what goes wrong, such as 'GetDataEndpoint:status=500,rate=0.5'; repeatable."`
	FaultFile string   `type:"existingfile" placeholder:"FILE" help:"With --dev: a file of faults, one a line."`
	FaultSeed uint64   `placeholder:"N" help:"With --dev: chooses the faults; the same calls meet the same again."`
	Reset     bool     `help:"With --dev: empty the directory of --data first, if only development servers had it."`
}

// given lists the flags that were given.
func (f *emulateFlags) given() (names []string) {
	for name, set := range map[string]bool{"--clock": f.Clock != nil, "--no-demo": f.NoDemo, "--reset": f.Reset,
		"--fault": len(f.Fault) > 0, "--fault-file": f.FaultFile != "", "--fault-seed": f.FaultSeed != 0} {
		if set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// apply gives the settings what the flags say.
func (f *emulateFlags) apply(c *config.Config, data *string) (err error) {
	if !c.Dev {
		if names := f.given(); len(names) > 0 {
			return fmt.Errorf("only with --dev: %s; a server that others rely on keeps its data and the real time", strings.Join(names, ", "))
		}
		return nil
	}
	c.Emulate.NoDemo = f.NoDemo
	if f.Clock != nil {
		if c.Emulate.Clock, err = clock.Parse(*f.Clock, nil); err != nil {
			return fmt.Errorf("--clock: %w", err)
		}
	}
	if c.Emulate.Faults, err = f.faults(); err != nil {
		return err
	}
	if f.Reset && data != nil {
		if err := server.Empty(*data); err != nil {
			return fmt.Errorf("--reset: %w", err)
		}
	}
	return nil
}

// faults reads the faults of the flags and of the file.
func (f *emulateFlags) faults() (*fault.Plan, error) {
	specs := slices.Clone(f.Fault)
	if f.FaultFile != "" {
		b, err := os.ReadFile(f.FaultFile)
		if err != nil {
			return nil, fmt.Errorf("--fault-file: %w", err)
		}
		specs = append(specs, fault.Lines(string(b))...)
	}
	return fault.Parse(specs, f.FaultSeed)
}

// clockCmd is "millrace clock".
type clockCmd struct {
	Show clockShowCmd `cmd:"" help:"Say what the clock of a development server shows."`
	Set  clockSetCmd  `cmd:"" help:"Move the clock of a development server, or change its speed."`
}

// Help shows examples.
func (clockCmd) Help() string {
	return `The clock of "millrace serve --dev" dates streams and fragments and says what has expired.
Signatures are checked by the real time, so that clients need no other clock.

Examples:
  millrace clock set +25h        (back: millrace clock set -25h)
      What is kept for a day has expired when the command ends.
  millrace clock set 2030-01-01T00:00:00Z@0
      It stands still.
  millrace clock set @60
      A minute each second, from now on.
  millrace clock show`
}

type clockShowCmd struct {
	connection
}

// Run prints the time.
func (c *clockShowCmd) Run(ctx context.Context, std stdio) error {
	return c.clock(ctx, std, "DescribeClock", nil)
}

type clockSetCmd struct {
	To string `arg:"" help:"Moment, distance from what the clock shows, speed, or a moment with a speed."`
	connection
}

// Run moves the clock.
func (c *clockSetCmd) Run(ctx context.Context, std stdio) error {
	return c.clock(ctx, std, "SetClock", admin.ClockInput{To: c.To})
}

func (c *connection) clock(ctx context.Context, std stdio, operation string, in any) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var out admin.ClockOutput
	if err := cl.Admin(ctx, operation, in, &out); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%s at speed %g\n", out.Now.UTC().Format(time.RFC3339Nano), out.Speed)
	return nil
}

// resetCmd is "millrace reset".
type resetCmd struct {
	connection
}

// Help shows an example.
func (resetCmd) Help() string {
	return `Deletes every stream and signaling channel of the account on a server that runs with --dev, takes
back the limits that were set for it, and begins the clock and the sequence of faults again, as at
its start. Other servers refuse it.

Examples:
  millrace reset`
}

// Run deletes the streams.
func (c *resetCmd) Run(ctx context.Context, std stdio) error {
	cl, err := c.open()
	if err != nil {
		return err
	}
	var out admin.ResetOutput
	if err := cl.Admin(ctx, "Reset", nil, &out); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "deleted %s\n", count(out.Streams, "stream"))
	return nil
}
