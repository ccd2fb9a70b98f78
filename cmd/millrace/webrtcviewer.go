package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/rtc"
	"github.com/millrace/millrace/signaling"
)

type webrtcViewerCmd struct {
	member
	Output    string        `short:"o" placeholder:"FILE" help:"Where the recording goes, as Matroska; - is the standard output. Without it nothing is kept."`
	Duration  time.Duration `placeholder:"DURATION" help:"Stop so much later than the first frame came, such as 90s."`
	ClientID  string        `name:"client-id" placeholder:"NAME" help:"Name in the channel; a viewer of the same name is replaced. Without it one is drawn."`
	NoTrickle bool          `help:"Make an offer that holds all candidates, for masters that do not take them one by one."`
	Data      string        `placeholder:"LABEL" help:"Open a data channel of this label, too."`

	connection
}

// Help is the end of the help text.
func (*webrtcViewerCmd) Help() string {
	return `The recording begins with a key frame. It waits for a master, and when that one goes for the
next, which goes on in the same file. It takes H.264 and Opus.

Examples:
  millrace webrtc viewer door -o door.mkv
  millrace webrtc viewer door -o - | ffplay -
  millrace webrtc viewer door --duration 10s --relay-only`
}

var (
	errEnoughSeen  = errors.New("enough was seen")
	errNothingCame = errors.New("no media came: has the channel a master (millrace channel list), and do its media get here (--relay-only, -v)?")
)

// Run watches until it is interrupted.
func (c *webrtcViewerCmd) Run(ctx context.Context, std stdio) error {
	if c.Duration < 0 {
		return &usageError{"webrtc", "--duration cannot be negative"}
	}
	if c.Output == "-" && terminal(std.out) {
		return &usageError{"webrtc", "the recording would go to the terminal; give it a file with -o, or a pipe"}
	}
	cl, err := c.open()
	if err != nil {
		return err
	}
	log := c.log(std.err)
	where := c.options(cl, log)
	where.ClientID = c.ClientID
	peer, err := signaling.NewViewer(where)
	if err != nil {
		return err
	}
	o := rtc.ViewerOptions{Signaling: peer, Network: c.network(cl), NoTrickle: c.NoTrickle, Data: c.Data, Logger: log}
	out := &output{name: c.Output, w: std.out}
	if c.Output != "" {
		o.Record = out
	}
	viewer := rtc.NewViewer(o)
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	show := watching{viewer: viewer, std: std, duration: c.Duration, end: end, done: make(chan struct{})}
	show.joined.Go(show.run)
	err = c.together(ctx, peer, viewer.Run)
	p := show.stop()
	if errors.Is(err, signaling.ErrReplaced) {
		err = fmt.Errorf("another viewer with the name %s took over", peer.ClientID())
	}
	if err == nil && p.Frames+p.Packets == 0 && c.Data == "" {
		err = errNothingCame
	}
	return errors.Join(err, out.Close())
}

// watching shows how far a viewer is and ends it when it has seen enough.
type watching struct {
	viewer   *rtc.Viewer
	std      stdio
	duration time.Duration
	end      context.CancelCauseFunc
	done     chan struct{}
	joined   sync.WaitGroup
	first    time.Time
}

func (w *watching) run() {
	ticker := time.NewTicker(meterStep)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-w.done:
			return
		}
		p := w.viewer.Progress()
		if w.first.IsZero() && p.Frames+p.Packets > 0 {
			w.first = time.Now()
		}
		if terminal(w.std.err) {
			fmt.Fprint(w.std.err, "\r\x1b[K"+seen(p))
		}
		if w.duration > 0 && !w.first.IsZero() && time.Since(w.first) >= w.duration {
			w.end(errEnoughSeen)
		}
	}
}

// stop ends the line and says what came.
func (w *watching) stop() rtc.Progress {
	close(w.done)
	w.joined.Wait()
	p := w.viewer.Progress()
	if terminal(w.std.err) {
		fmt.Fprint(w.std.err, "\r\x1b[K")
	}
	if p.Frames+p.Packets > 0 {
		fmt.Fprintln(w.std.err, seen(p))
	}
	return p
}

// seen is what a viewer has got, in one line.
func seen(p rtc.Progress) string {
	line := fmt.Sprintf("%s (%s), %s of sound, %.1f MB", count(int(p.Frames), "picture"), count(int(p.Keys), "key frame"),
		count(int(p.Packets), "packet"), float64(p.Bytes)/1e6)
	if p.Lost > 0 {
		line += ", " + count(int(p.Lost), "packet") + " lost"
	}
	return line
}
