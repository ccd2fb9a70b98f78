package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/producer"
)

// pipePatience is how long a pipe may go on after a signal: the program that writes into
// it mostly got the same signal and ends its document in good order.
const pipePatience = 2 * time.Second

// source is the media that is sent.
type source struct {
	name   string // in texts
	input  arrival
	file   *os.File // nil for a pipe
	cutter *producer.Reclusterer
	warn   io.Writer
	warned bool
}

// openSource opens a file, or takes the standard input for "-". Unless raw, media whose
// clusters would not do is cut anew.
func openSource(ctx context.Context, std stdio, name string, raw bool) (*source, error) {
	s := &source{name: called(name), warn: std.err}
	fits := raw
	if name == "-" {
		s.input.from = interruptible(ctx, std.in, pipePatience)
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		s.file = f
		if fits, err = fitting(ctx, std, f, raw); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		s.input.from = interruptible(ctx, f, 0)
	}
	if !fits {
		s.cutter = producer.NewReclusterer(&s.input, producer.Limits{})
	}
	return s, nil
}

// fitting says whether a file may be sent as it is, reading all of it. What cannot be
// read twice is handled like a pipe.
func fitting(ctx context.Context, std stdio, f *os.File, raw bool) (bool, error) {
	info, err := f.Stat()
	if err != nil || raw || !info.Mode().IsRegular() {
		return raw, err
	}
	misfit := producer.Fits(contextReader{ctx, f}, producer.Limits{})
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	if why, ok := errors.AsType[*producer.Misfit](misfit); ok {
		fmt.Fprintf(std.err, "new clusters are cut at key frames: %v\n", why)
	}
	return misfit == nil, ctx.Err()
}

// ebmlID is what Matroska begins with (RFC 8794, section 11.2.1).
const ebmlID = "\x1A\x45\xDF\xA3"

// recognise refuses input that does not begin as Matroska does. An end or an error within
// the first bytes is left to whoever reads on.
func (s *source) recognise(name, stream string) error {
	head := make([]byte, 8)
	n, _ := io.ReadFull(&s.input, head)
	head = head[:n]
	s.input.from, s.input.bytes = io.MultiReader(bytes.NewReader(head), s.input.from), 0
	switch {
	case strings.HasPrefix(string(head), ebmlID[:min(n, len(ebmlID))]):
		return nil
	case n == 8 && string(head[4:]) == "ftyp" && name == "-":
		return errors.New("the input is MP4, not Matroska: let ffmpeg write it with -f matroska")
	case n == 8 && string(head[4:]) == "ftyp":
		return fmt.Errorf("%s is MP4, not Matroska: ffmpeg -i %s -c copy -f matroska - | millrace put %s -", name, name, stream)
	}
	return fmt.Errorf("%s is not Matroska: an EBML header must come first, at byte 0", s.name)
}

// media is what is sent.
func (s *source) media() io.Reader {
	if s.cutter != nil {
		return s
	}
	return &s.input
}

// Read gives out the media that is cut anew, and warns once when key frames are missing.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.cutter.Read(p)
	if !s.warned && s.cutter.Keyless() > 0 {
		s.warned = true
		fmt.Fprintln(s.warn, "no key frame for 20 s: some fragments cannot be decoded on their own")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = &cutShort{s.name, s.input.bytes}
	}
	return n, err
}

// cutShort says that media end in the middle of something.
type cutShort struct {
	name string
	at   int64 // bytes
}

// Error says where.
func (e *cutShort) Error() string {
	return fmt.Sprintf("%s is cut short at byte %d: it ends inside an element", e.name, e.at)
}

// reading wraps why media could not be read.
func reading(err error) error {
	if short, ok := errors.AsType[*cutShort](err); ok {
		return short
	}
	return fmt.Errorf("reading the media: %w", err)
}

// began is when the first byte came, which is as near as we get to when recording began.
func (s *source) began() time.Time { return s.input.began() }

// Close closes a file.
func (s *source) Close() error {
	if s.file != nil {
		return s.file.Close()
	}
	return nil
}

// arrival notes when the first byte came, and counts.
type arrival struct {
	from  io.Reader
	once  sync.Once
	at    time.Time
	bytes int64
}

// Read reads on.
func (a *arrival) Read(p []byte) (int, error) {
	n, err := a.from.Read(p)
	a.once.Do(func() { a.at = time.Now() })
	a.bytes += int64(n)
	return n, err
}

func (a *arrival) began() time.Time {
	if a.at.IsZero() {
		return time.Now()
	}
	return a.at
}

// contextReader ends with a context, between two reads.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

// Read reads on unless the context has ended.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.from.Read(p)
}

// interruptible returns a reader that fails when ctx has ended, even while a read of the
// standard input hangs: at once with errOver if that is why, else with errInterrupted and
// after some patience. The goroutine that hangs in a read lives as long as the process.
func interruptible(ctx context.Context, from io.Reader, patience time.Duration) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{from}, make([]byte, 64<<10))
		w.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() {
		if context.Cause(ctx) == errOver {
			w.CloseWithError(errOver)
			return
		}
		time.AfterFunc(patience, func() { w.CloseWithError(errInterrupted) })
	})
	return r
}

// countingReader counts bytes and keeps the error of its source, io.EOF apart.
type countingReader struct {
	from io.Reader
	n    *atomic.Int64
	err  error
}

// Read reads on.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.n.Add(int64(n))
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
