package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// clipCmd is "millrace clip".
type clipCmd struct {
	Stream       string `arg:"" help:"Name or ARN of the stream."`
	From         moment `required:"" help:"Where the clip begins: RFC 3339 or epoch seconds." placeholder:"TIME"`
	To           moment `help:"Fragments that begin later are left out. Default: now, by the server's clock." placeholder:"TIME"`
	Output       string `short:"o" required:"" help:"The MP4 file; - is the standard output." placeholder:"FILE"`
	Exact        bool   `help:"Begin at --from itself, not with the first fragment behind it."`
	ProducerTime bool   `help:"--from and --to are times of the producer's clock, not of the server's."`

	connection
}

// Help is the end of the help text.
func (*clipCmd) Help() string {
	return `The clip has the fragments that begin between --from and --to, one behind the other, as
one MP4 file that every player knows: pauses of the camera are left out. Nothing is encoded
again. With --exact it begins with the fragment that --from lies in, and an edit list says
that what comes before is not shown.

The file appears when it is complete. One that broke off leaves nothing. A pipe, or a
device, gets the bytes as they come.

Examples:
  millrace clip garden --from 2026-01-02T15:00:00Z --to 2026-01-02T15:10:00Z -o garden.mp4
  millrace clip garden --from 2026-01-02T15:04:05.5Z --to 2026-01-02T15:05:00Z --exact -o door.mp4
  millrace clip garden --from 1767366000 --producer-time -o - | ffprobe -`
}

// Run gets the clip.
func (c *clipCmd) Run(ctx context.Context, std stdio) error {
	to := c.To.or(kvs.MillisOf(time.Now()))
	switch {
	case to <= c.From.at:
		return &usageError{"clip", "--to must be later than --from"}
	case c.Output == "-" && terminal(std.out):
		return &usageError{"clip", "the film would go to the terminal; give it a file with -o, or a pipe"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	endpoint, err := cl.DataEndpoint(ctx, wire.APINameGetClip, c.Stream)
	if err != nil {
		return err
	}
	resp, err := c.get(ctx, cl.At(endpoint), to)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	progress := newClipLine(std.err, resp.ContentLength)
	body := io.TeeReader(resp.Body, progress)
	if c.Output == "-" {
		_, err = io.Copy(std.out, body)
	} else {
		err = keepWhole(c.Output, body)
	}
	progress.end(err == nil)
	return brokeOff(err, progress)
}

// get opens the clip up to a time. When nobody said which, it is now: by the server's
// clock, which may be behind.
func (c *clipCmd) get(ctx context.Context, cl *client.Client, to kvs.Millis) (*http.Response, error) {
	open := func(to kvs.Millis) (*http.Response, error) {
		return cl.StreamWith(ctx, wire.GetClip, c.input(to), func(r *http.Request) {
			if c.Exact {
				r.URL.RawQuery = "ExactStart=true"
			}
		})
	}
	resp, err := open(to)
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || c.To.set || refused.Exception != "InvalidArgumentException" || refused.Date.IsZero() {
		return resp, err
	}
	if there := kvs.MillisOf(refused.Date); c.From.at < there && there < to {
		return open(there)
	}
	return resp, err
}

func (c *clipCmd) input(to kvs.Millis) *wire.GetClipInput {
	clock := wire.ClipFragmentSelectorTypeServerTimestamp
	if c.ProducerTime {
		clock = wire.ClipFragmentSelectorTypeProducerTimestamp
	}
	in := &wire.GetClipInput{ClipFragmentSelector: &wire.ClipFragmentSelector{FragmentSelectorType: &clock,
		TimestampRange: &wire.ClipTimestampRange{StartTimestamp: &c.From.at, EndTimestamp: &to}}}
	in.StreamName, in.StreamARN = nameOrARN(c.Stream)
	return in
}

// brokeOff says what it means that less came than was promised.
func brokeOff(err error, l *clipLine) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return fmt.Errorf("the clip broke off after %d of %d bytes: fragments of it expired meanwhile, or the server could not read one; its log says which", l.bytes, l.size)
}

// keepWhole writes a file that appears under its name when it is complete. What is no file,
// a pipe for example, gets the bytes as they come.
func keepWhole(name string, from io.Reader) error {
	from, buffer := struct{ io.Reader }{from}, make([]byte, 256<<10)
	there, err := os.Stat(name)
	if err == nil && !there.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(struct{ io.Writer }{f}, from, buffer)
		return errors.Join(err, f.Close())
	}
	if err == nil { // what a link names is replaced, not the link
		if name, err = filepath.EvalSymlinks(name); err != nil {
			return err
		}
	}
	// The umask decides who may read a film, as of any other file.
	part := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:8])
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, from, buffer)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}

// clipLine shows on a terminal how much of a file has come. Elsewhere it is silent.
type clipLine struct {
	w           io.Writer // nil = silent
	bytes, size int64
	begun       time.Time
	shown       time.Time
}

func newClipLine(w io.Writer, size int64) *clipLine {
	l := &clipLine{size: size, begun: time.Now()}
	if terminal(w) {
		l.w = w
	}
	return l
}

// Write counts what came.
func (l *clipLine) Write(b []byte) (int, error) {
	l.bytes += int64(len(b))
	if now := time.Now(); l.w != nil && now.Sub(l.shown) >= meterStep {
		l.shown = now
		fmt.Fprint(l.w, "\r\x1b[K"+l.text(now))
	}
	return len(b), nil
}

func (l *clipLine) text(now time.Time) string {
	took := now.Sub(l.begun)
	return fmt.Sprintf("%s  %.1f of %.1f MB (%d %%)  %.1f MB/s", took.Round(time.Second), float64(l.bytes)/1e6, float64(l.size)/1e6,
		100*l.bytes/max(1, l.size), float64(l.bytes)/1e6/max(took.Seconds(), 0.001))
}

// end removes the line, or leaves what came in all.
func (l *clipLine) end(whole bool) {
	if l.w == nil {
		return
	}
	fmt.Fprint(l.w, "\r\x1b[K")
	if whole {
		fmt.Fprintf(l.w, "%.1f MB\n", float64(l.size)/1e6)
	}
}
