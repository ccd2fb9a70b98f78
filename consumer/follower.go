package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/client"
)

// Follower reads the fragments of a stream one after the other until its context ends.
// When a response ends, or the connection breaks, it calls GetMedia again and goes on
// at the same byte: a fragment that was cut off continues where it stopped, if the server
// still has it. It is for one goroutine.
type Follower struct {
	ctx    context.Context
	config Config
	client *client.Client
	sleep  func(context.Context, time.Duration) error

	resp   *http.Response // nil = none is open
	reader *Reader
	from   Start // where the next call begins
	since  time.Time
	wait   time.Duration // before the next call; grows while calls fail

	fragment *Fragment // the current one, nil before the first
	given    int64     // bytes of it that Read gave
	cut      int64     // where it was cut off last
	cuts     int       // how often there
	next     *Fragment // came when another was waited for
	over     bool      // the current fragment has ended
}

// Waiting times between calls: the first after a failure, and the longest.
const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

// maxCuts is how often a fragment is asked for that breaks off at one and the same byte:
// then it is damaged, and not the network.
const maxCuts = 5

// Follow calls GetMedia. ctx ends the whole reading. Close the Follower when it is not
// needed any more.
func Follow(ctx context.Context, c Config) (*Follower, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	f := &Follower{ctx: ctx, config: c, client: cl, from: c.Start, sleep: client.Wait, over: true}
	return f, f.call()
}

// call opens a response.
func (f *Follower) call() error {
	resp, err := f.config.call(f.ctx, f.client, f.from) //nolint:bodyclose // Close does it
	if err != nil {
		return err
	}
	var body io.Reader = resp.Body
	if f.config.Received != nil {
		body = io.TeeReader(body, f.config.Received)
	}
	f.resp, f.reader, f.since = resp, NewReader(body), time.Now()
	return nil
}

// Close ends the reading.
func (f *Follower) Close() error {
	if f.resp == nil {
		return nil
	}
	err := f.resp.Body.Close()
	f.resp = nil
	return err
}

// again ends the response and opens the next one. It returns why it cannot.
func (f *Follower) again(why error) error {
	f.Close()
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if f.config.OnEnd != nil {
		f.config.OnEnd(why)
	}
	if why != nil || time.Since(f.since) < firstWait {
		f.wait = longer(f.wait)
	} else {
		f.wait = 0
	}
	for {
		if err := f.sleep(f.ctx, f.wait); err != nil {
			return err
		}
		err := f.call()
		switch {
		case err == nil:
			return nil
		case f.ctx.Err() != nil:
			return f.ctx.Err()
		case !temporary(err):
			return err
		}
		if f.config.OnEnd != nil {
			f.config.OnEnd(err)
		}
		f.wait = longer(f.wait)
	}
}

func longer(wait time.Duration) time.Duration { return min(max(firstWait, 2*wait), maxWait) }

// Next goes to the next fragment; what was not read of the last one is passed over. It
// waits for as long as it takes. With Config.Once io.EOF is the end of the response.
// After a *[FragmentError] Next may be called again.
func (f *Follower) Next() (*Fragment, error) {
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{f}); err != nil {
		return nil, err
	}
	for f.next == nil {
		fragment, err := f.receive()
		if err != nil {
			return nil, err
		}
		f.next = fragment
	}
	f.fragment, f.next, f.given, f.over = f.next, nil, 0, false
	f.cut, f.cuts = 0, 0
	return f.fragment, nil
}

// receive waits for a fragment, through as many responses as it takes.
func (f *Follower) receive() (*Fragment, error) {
	for {
		fragment, err := f.reader.Next()
		if err == nil {
			f.wait = 0
			return fragment, nil
		}
		if _, ok := errors.AsType[*FragmentError](err); ok {
			return nil, err
		}
		if f.config.Once {
			return nil, err
		}
		if err := f.again(ended(err)); err != nil {
			return nil, err
		}
	}
}

// ended is nil for a response that ended in good order.
func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// Read gives the bytes of the current fragment, see [Reader.Read].
func (f *Follower) Read(p []byte) (int, error) {
	for {
		if f.over {
			return 0, io.EOF
		}
		n, err := f.reader.Read(p)
		f.given += int64(n)
		if n > 0 || err == nil {
			return n, nil
		}
		if err == io.EOF && (f.fragment.Complete || !f.reader.ended) || f.config.Once {
			f.finish()
			return 0, err
		}
		if err := f.repair(ended(err)); err != nil {
			return 0, err
		}
	}
}

// finish ends the current fragment.
func (f *Follower) finish() {
	f.over = true
	if done := f.reader.fragment; done != f.fragment {
		// The end came with another response.
		f.fragment.Token, f.fragment.BehindNow, f.fragment.Complete = done.Token, done.BehindNow, done.Complete
		f.fragment.TagsBehind = done.TagsBehind
	}
	if f.fragment.Token != "" {
		f.from = Resume(f.fragment.Token)
	}
}

// repair goes on with a fragment that was cut off. When the server does not have it any
// more, the fragment has ended and is not Complete. What always breaks off at the same
// byte is given up with a *[FragmentError].
func (f *Follower) repair(why error) error {
	start, ok := before(f.fragment.Number)
	if !ok {
		f.finish() // no way to ask for it again
		return nil
	}
	if f.given != f.cut {
		f.cut, f.cuts = f.given, 0
	}
	if f.cuts++; f.cuts > maxCuts {
		f.over, f.from = true, After(f.fragment.Number)
		return &FragmentError{Number: f.fragment.Number, Code: fmt.Sprintf("its media up to byte %d again and again", f.given)}
	}
	f.from = start
	for {
		if err := f.again(why); err != nil {
			return err
		}
		fragment, err := f.receive()
		if err != nil {
			f.over = true
			return err
		}
		if fragment.Number != f.fragment.Number {
			f.over, f.next = true, fragment
			return nil
		}
		if _, why = io.CopyN(io.Discard, f.reader, f.given); why == nil {
			return nil
		}
		if fragment.Complete {
			f.over = true
			return fmt.Errorf("fragment %s came a second time with less than %d bytes", fragment.Number, f.given)
		}
	}
}
