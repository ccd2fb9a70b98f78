package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/producer"
)

// putCmd is "millrace put".
type putCmd struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`
	File   string `arg:"" type:"existingfile" help:"Matroska (.mkv, .webm); - reads the standard input."`

	Create    bool   `help:"Create the stream if it does not exist."`
	Retention int64  `default:"24" placeholder:"HOURS" help:"With --create: how long fragments are kept, 0 for not at all. Default ${default}."`
	Realtime  bool   `help:"Send at the speed at which it was recorded."`
	StartTime moment `placeholder:"TIME" help:"When recording began: RFC 3339 or epoch seconds. Default: now, unless the timestamps in the file count from 1970 already."`
	Acks      bool   `help:"Print each acknowledgement as it was received."`
	Raw       bool   `help:"Send the bytes as they are, whatever they are."`

	connection

	patience time.Duration // how long a session may go on after a signal, 0 = lastWait
}

// lastWait is how long after a signal the server may take what was sent and acknowledge it.
const lastWait = 10 * time.Second

// Help is the end of the help text.
func (*putCmd) Help() string {
	return `Matroska goes out unchanged when each cluster begins with a video key frame and lasts 1
to 20 seconds. Otherwise new clusters are cut at key frames; frames are never changed.

The exit code is 0 only when every fragment is PERSISTED, that is, durable (RECEIVED when
the stream's retention is 0).

A signal ends the input. What was sent before is waited for, 10 seconds at most.

Examples:
  millrace put holiday holiday.mkv --create
  millrace put garden recording.mkv --start-time 2026-01-02T15:04:05Z --acks
  ffmpeg -i rtsp://camera/stream -c copy -f matroska - | millrace put garden - --create`
}

// Why the input ended before its end.
var (
	errInterrupted = errors.New("interrupted")
	errOver        = errors.New("the server ended the session before the media ended")
	errNothing     = errors.New("the input has no cluster: nothing was sent")
)

// errHeldBack ends a session that a signal found held back.
var errHeldBack = errors.New("interrupted, and the server did not take and acknowledge the rest in time")

// Run sends the media.
func (c *putCmd) Run(ctx context.Context, std stdio) error {
	if c.Retention < 0 || c.Retention > 87600 {
		return &usageError{"put", "--retention is 0 to 87600 hours"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	target := target{client: cl, stream: c.Stream, create: c.Create, retention: c.Retention}
	retention, absent, err := target.ready(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	source, err := openSource(ctx, std, c.File, c.Raw)
	if err != nil {
		return err
	}
	defer source.Close()
	media, start, found, err := c.prepare(ctx, source)
	switch {
	case err != nil:
		return err
	case absent && !found && ctx.Err() != nil:
		return errInterrupted
	case absent && !found && !c.Raw:
		return errNothing
	case absent:
		// A signal that ended the input does not keep what came before from being sent.
		longer, done := outlive(ctx, c.lastWait())
		defer done()
		if retention, err = target.created(longer); err != nil {
			return err
		}
	}
	return c.send(ctx, end, std, media, producer.Config{
		Endpoint: cl.Endpoint, Region: cl.Region, Credentials: cl.Credentials, HTTP: cl.HTTP, UserAgent: cl.UserAgent,
		Stream: c.Stream, Start: start, AcceptReceived: retention == 0,
	})
}

// prepare reads the beginning of the media and finds out what its timestamps count from;
// the zero time is 1970. With found false there is no cluster.
func (c *putCmd) prepare(ctx context.Context, s *source) (media io.Reader, start time.Time, found bool, err error) {
	if !c.Raw {
		if err := s.recognise(c.File, c.Stream); err != nil {
			return nil, start, false, err
		}
	}
	first, media, err := producer.Peek(s.media())
	if err != nil && !errors.Is(err, errInterrupted) {
		return nil, start, false, reading(err)
	}
	switch {
	case c.StartTime.set && first.Absolute():
		return nil, start, false, &usageError{"put", "the timestamps of the media count from 1970 already; leave --start-time out"}
	case c.StartTime.set:
		start = c.StartTime.at.Time()
	case !first.Absolute():
		start = s.began()
	}
	if c.Realtime {
		media = producer.NewPacer(ctx, media)
	}
	return media, start, first.Found, nil
}

// send sends the media and waits for the last acknowledgement. The session outlives ctx:
// a signal ends the input, and what was sent before is waited for, but not for ever: the
// server may hold back a session for as long as it likes. When the session ends first, end
// stops a source that may have nothing to say for a while.
func (c *putCmd) send(ctx context.Context, end context.CancelCauseFunc, std stdio, media io.Reader, config producer.Config) error {
	if c.Acks {
		config.OnAck = func(a producer.Ack) { fmt.Fprintf(std.out, "%s\n", a.Raw) }
	}
	longer, done := outlive(ctx, c.lastWait())
	defer done()
	session, err := producer.Open(longer, config)
	if err != nil {
		return heldBack(longer, err)
	}
	go func() {
		<-session.Ended()
		end(errOver)
	}()
	meter := startMeter(std.err, session)
	input := &countingReader{from: media, n: &meter.bytes}
	_, copied := io.Copy(session, input)
	if input.err != nil && context.Cause(ctx) == errOver {
		input.err = errOver
	}
	meter.note("waiting for the last acknowledgements")
	closed := heldBack(longer, session.Close())
	meter.stop()
	return c.outcome(std, session.Progress(), input.err, copied, closed)
}

func (c *putCmd) lastWait() time.Duration { return cmp.Or(c.patience, lastWait) }

// outlive makes a context that ends with errHeldBack when ctx ended patience ago.
func outlive(ctx context.Context, patience time.Duration) (longer context.Context, done context.CancelFunc) {
	longer, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(patience, func() { end(errHeldBack) })
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); end(nil) }
}

// heldBack is errHeldBack where the end of that context made err.
func heldBack(longer context.Context, err error) error {
	if _, refused := errors.AsType[*producer.AckError](err); err != nil && !refused && context.Cause(longer) == errHeldBack {
		return errHeldBack
	}
	return err
}

// sessionOver is MAX_CONNECTION_DURATION_REACHED, which ends a session that is too old, and one
// whose caller may not send any more.
const sessionOver = 4003

// outcome says how it went: first what the server did not take, then why the input ended.
func (c *putCmd) outcome(std stdio, p producer.Progress, input, copied, closed error) error {
	// The pacer ends with the context's own error.
	interrupted := errors.Is(input, errInterrupted) || errors.Is(input, context.Canceled)
	durable := count(p.Done, "fragment")
	switch refused, is := errors.AsType[*producer.AckError](closed); {
	case is && refused.ErrorID >= 5000:
		durable += "\n  hint: the media is not at fault; the server's log says why, where the server runs: journalctl -u millrace"
	case is && refused.ErrorID == sessionOver:
		durable += fmt.Sprintf("\n  hint: millrace why %s says whether it was the limit of time, or the key or its rights were taken away", c.Stream)
	case is:
		durable += fmt.Sprintf("\n  hint: millrace why %s says where and what helps; millrace lint FILE says it before sending", c.Stream)
	}
	switch {
	case errors.Is(closed, errHeldBack):
		return fmt.Errorf("%w; durable: %s of %d that were begun", closed, durable, p.Sent)
	case closed != nil && interrupted:
		return fmt.Errorf("interrupted: %w; durable: %s", closed, durable)
	case closed != nil:
		return fmt.Errorf("%w; durable: %s", closed, durable)
	case interrupted && c.File != "-":
		return fmt.Errorf("interrupted; durable: %s", durable)
	case errors.Is(input, errOver):
		return fmt.Errorf("%w; durable: %s", errOver, durable)
	case input != nil && !interrupted:
		return fmt.Errorf("%w; durable before that: %s", reading(input), durable)
	case input == nil && copied != nil:
		return fmt.Errorf("%w; durable: %s", copied, durable)
	case p.Sent == 0:
		return errNothing
	}
	state := producer.Persisted
	if p.Persisted < p.Sent {
		state = producer.Received
	}
	fmt.Fprintf(std.err, "%s %s\n", count(p.Done, "fragment"), state)
	return nil
}
