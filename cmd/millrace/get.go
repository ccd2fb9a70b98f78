package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/consumer"
)

// getCmd is "millrace get".
type getCmd struct {
	Stream string `arg:"" help:"Name or ARN of the stream."`

	Start     string        `default:"NOW" placeholder:"START" words:"NOW,EARLIEST" help:"NOW, EARLIEST, a time (RFC 3339 or epoch seconds) or a fragment number, behind which to begin. Default ${default}."`
	Clock     string        `enum:"producer,server" default:"producer" help:"Whose time --start and --for mean: ${enum}."`
	Output    string        `short:"o" default:"-" placeholder:"FILE" help:"Where the media goes; - is the standard output."`
	Chunks    bool          `help:"Write the chunks as they are received, each a document with the service's tags, instead of one document."`
	For       time.Duration `placeholder:"DURATION" help:"Stop before the first fragment that begins this much later than the first one received, such as 90s or 1h."`
	Fragments int           `placeholder:"N" help:"Stop after this many fragments."`
	Once      bool          `help:"Stop at the end of what is stored now: behind the first fragment that the server began to receive after the command began, or when the server ends its answer because nothing new comes."`

	connection
}

// Help is the end of the help text.
func (*getCmd) Help() string {
	return `The output is one Matroska document: the header, then the clusters, byte for byte, as they
arrive. When the producer's header changes or its timecodes go back, a new document begins
in the same output. While nobody sends it says so once and waits. Ctrl-C ends it. A fragment
that the server cannot read ends it with exit code 1, and a line that says how to go on.

--for counts the time of the media, not that of your clock, and waits for media that is
not there yet; with --once it stops at the end of what is stored, too. With --start NOW it
ends five seconds after its time at the latest, whatever comes.

Examples:
  millrace get demo | ffplay -
  millrace get demo --start EARLIEST --once -o demo.mkv
  millrace get garden --start 2026-01-02T15:04:05Z --for 10m --once -o garden.mkv`
}

// errEnough is why reading ended when as much was read as was asked for.
var errEnough = errors.New("enough")

// Run reads the media.
func (c *getCmd) Run(ctx context.Context, std stdio) error {
	start, err := c.start()
	if err != nil {
		return &usageError{"get", err.Error()}
	}
	if c.Fragments < 0 || c.For < 0 {
		return &usageError{"get", "--fragments and --for cannot be negative"}
	}
	if c.Output == "-" && terminal(std.out) {
		return &usageError{"get", "the media would go to the terminal; give it a file with -o, or a pipe"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	began := time.Now()
	if c.For > 0 && strings.EqualFold(c.Start, "NOW") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.For+nowPatience, errEnough)
		defer cancel()
	}
	out := &output{name: c.Output, w: std.out}
	config := consumer.Config{Endpoint: cl.Endpoint, Region: cl.Region, Credentials: cl.Credentials, HTTP: cl.HTTP,
		UserAgent: cl.UserAgent, Stream: c.Stream, Start: start, Once: c.Once,
		OnEnd: out.waiting(std.err)}
	if c.Chunks {
		config.Received = out
	}
	follower, err := consumer.Follow(ctx, config)
	if err != nil {
		return c.ended(ctx, err)
	}
	defer follower.Close()
	err = c.ended(ctx, c.copy(std, follower, out, c.reach(began)))
	if n := out.fragments; n > 0 && terminal(std.err) || n == 0 && err == nil {
		fmt.Fprintf(std.err, "%s\n", count(n, "fragment"))
	}
	return errors.Join(err, out.Close())
}

// start reads --start.
func (c *getCmd) start() (consumer.Start, error) {
	switch word := strings.ToUpper(c.Start); {
	case word == "NOW":
		return consumer.Now(), nil
	case word == "EARLIEST":
		return consumer.Earliest(), nil
	case isNumber(c.Start):
		return consumer.After(c.Start), nil
	}
	at, err := parseMoment(c.Start)
	if err != nil {
		return consumer.Start{}, fmt.Errorf("--start: %w, NOW, EARLIEST or a fragment number", err)
	}
	if c.Clock == "server" {
		return consumer.AtServerTime(at.Time()), nil
	}
	return consumer.AtProducerTime(at.Time()), nil
}

// isNumber says whether a text is a fragment number and no time: those have at most 15
// digits.
func isNumber(text string) bool {
	return len(text) > 15 && strings.Trim(text, "0123456789") == ""
}

// nowPatience is how much longer than --for media is waited for that should come now.
const nowPatience = 5 * time.Second

// reach says how far --for and --once let the reading go.
type reach struct {
	span   time.Duration // of the media; 0 = no end
	server bool          // whose clock measures the span
	until  time.Time     // when --once was called, by the server's clock; zero = no end

	first time.Time // when the first fragment began
}

func (c *getCmd) reach(began time.Time) *reach {
	r := &reach{span: c.For, server: c.Clock == "server"}
	if c.Once {
		r.until = began
	}
	return r
}

// beyond says whether a fragment lies behind the time of --for.
func (r *reach) beyond(f *consumer.Fragment) bool {
	at := f.ProducerTime
	if r.server {
		at = f.ServerTime
	}
	if r.first.IsZero() {
		r.first = at
	}
	return r.span > 0 && at.Sub(r.first) >= r.span
}

// last says whether a fragment is the one that ends --once: it was not stored when the
// command began.
func (r *reach) last(f *consumer.Fragment) bool {
	return !r.until.IsZero() && !f.ServerTime.Before(r.until)
}

// copy writes fragments until there is a reason to end.
func (c *getCmd) copy(std stdio, f *consumer.Follower, out *output, reach *reach) error {
	merger := consumer.NewMerger(out)
	for c.Fragments == 0 || out.fragments < c.Fragments {
		fragment, err := f.Next()
		if failed, ok := errors.AsType[*consumer.FragmentError](err); ok && failed.ID == keyUnavailable && !c.Once {
			fmt.Fprintln(std.err, failed) // it comes back
			continue
		}
		if err != nil {
			return err
		}
		if fragment.Timecode < 0 && !fragment.Complete {
			continue // announced, and then it could not be read: an error says so
		}
		if reach.beyond(fragment) {
			return errEnough
		}
		if err := c.write(std, merger, fragment, f); errors.Is(err, io.ErrUnexpectedEOF) && fragment.Number != "" {
			return &brokenError{fragment.Number}
		} else if err != nil {
			return err
		}
		out.fragments++
		if reach.last(fragment) {
			return errEnough
		}
	}
	return errEnough
}

// write writes one fragment. Chunks are written while they are received.
func (c *getCmd) write(std stdio, merger *consumer.Merger, fragment *consumer.Fragment, body io.Reader) error {
	if c.Chunks {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{body})
		return err
	}
	why, err := merger.Add(fragment, body)
	if why == consumer.NewHeader || why == consumer.ClockBack {
		fmt.Fprintf(std.err, "a new document begins with fragment %s: %s\n", fragment.Number, why)
	}
	return err
}

// ended decides which ends are failures.
func (c *getCmd) ended(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errEnough), err == io.EOF && c.Once:
		return nil
	case ctx.Err() != nil && !errors.As(err, new(*os.PathError)):
		return nil // --for or a signal
	}
	return c.behind(err)
}

// keyUnavailable is the id of the error that a wrapping key cannot be reached now.
const keyUnavailable = 4503

// brokenError is why a fragment ended too early.
type brokenError struct{ number string }

func (e *brokenError) Error() string {
	return "fragment " + e.number + " broke off: the server could not read the rest of it, or the connection was cut"
}

// behind adds to an error inside the answer how to go on.
func (c *getCmd) behind(err error) error {
	number := ""
	failed, ok := errors.AsType[*consumer.FragmentError](err)
	broken, cut := errors.AsType[*brokenError](err)
	switch {
	case ok && failed.ID >= 4500 && failed.ID < 4600:
		return fmt.Errorf("%w\n  it is the key that the stream is sealed under (KmsKeyId): see keys.files and keys.disabled in the server's settings, and its log", err)
	case ok:
		number = failed.Number
	case cut:
		number = broken.number
	}
	if strings.Trim(number, "0") == "" {
		return err
	}
	return fmt.Errorf("%w\n  to go on behind it: millrace get %s --start %s", err, c.Stream, number)
}

// output is where the media goes: a file that is made with its first byte, so that a
// stream that does not exist leaves none.
type output struct {
	name      string
	w         io.Writer
	file      *os.File
	fragments int
}

// waiting returns what tells why there is no media now. The server ends its answer every
// few seconds while nobody sends: that is said once, until media comes again.
func (o *output) waiting(w io.Writer) func(error) {
	said := -1 // how many fragments there were when it was said
	return func(why error) {
		switch {
		case why != nil:
			fmt.Fprintf(w, "trying again: %v\n", why)
		case said != o.fragments:
			fmt.Fprintln(w, "waiting for media: nobody sends now")
			said = o.fragments
		}
	}
}

// Write writes at once.
func (o *output) Write(p []byte) (int, error) {
	if o.name != "-" && o.file == nil {
		f, err := os.Create(o.name)
		if err != nil {
			return 0, err
		}
		o.file, o.w = f, f
	}
	return o.w.Write(p)
}

// Close closes the file.
func (o *output) Close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
