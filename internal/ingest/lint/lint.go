// Package lint says what a server would refuse of media, before they are sent.
//
// [Check] takes media through the very session that PutMedia runs (package ingest),
// with a live buffer but without a network, a catalog or a disk, and looks at the same
// bytes for what is legal and unwise. Memory is bounded, whatever comes in. Checks share
// nothing and may run at the same time.
package lint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/rejection"
)

// Memory of one check: the largest fragment twice, and a reserve for it.
const (
	memory  = 128 << 20
	reserve = 51 << 20
)

// Options say under which rules media are looked at. The zero value is a server with the
// profile open, and timecodes that are sent for what they are.
type Options struct {
	Profile  quota.Profile
	Limits   map[string]string // beside the profile, as in millrace.yml; those of time do not count
	Tags     map[string]string // of the stream, such as millrace:lenient-tracks
	Relative bool              // timecodes count from Start
	Absolute bool              // timecodes count from 1970: warn when they cannot mean that
	Start    kvs.Millis        // when recording began, with Relative

	// Found is told of each refusal and warning when it is found; the report has them
	// folded. It is never called twice at a time; nil = nobody asks.
	Found func(rejection.Refusal)

	// Progress is told how many bytes were read; nil = nobody asks.
	Progress func(bytes int64)
}

// timeless takes back the limits of time: a file has no pace and no silence.
var timeless = map[string]string{
	quota.PutFragmentRate.Name: quota.None, quota.PutBandwidth.Name: quota.None,
	quota.PutIdle.Name: quota.None, quota.PutSessionAge.Name: quota.None, quota.PutSessions.Name: quota.None,
}

// Check reads media to their end, or to where a server would end the session, and
// reports. An error means that the media could not be read, that ctx ended, or, before
// anything was read, that the options are wrong: that one is of kind InvalidArgument.
func Check(ctx context.Context, media io.Reader, o Options) (*Report, error) {
	return check(ctx, media, o, memory, reserve)
}

func check(ctx context.Context, media io.Reader, o Options, memory, reserve int64) (*Report, error) {
	limits := map[string]string{}
	maps.Copy(limits, o.Limits)
	maps.Copy(limits, timeless)
	book, err := quota.NewBook(ctx, quota.BookOptions{Profile: o.Profile, Settings: limits})
	if err != nil {
		return nil, kvs.Errorf(kvs.InvalidArgument, "%v", err)
	}
	n := &notes{report: &Report{}, found: o.Found, absolute: o.Absolute}
	in := &input{ctx: ctx, from: media, progress: o.Progress}
	shelf := &shelf{fragments: &n.report.Fragments}
	store := live.New(live.Options{Budget: quota.NewBudget(memory, reserve), HostBuffer: func() (int64, time.Duration) { return memory, time.Minute }})
	session := ingest.New(ingest.Options{Live: store, Archive: shelf, Book: book, Reject: n.refused})

	r, w := io.Pipe()
	var watching sync.WaitGroup
	watching.Go(func() { newWatcher(n).run(r) })
	in.copy = w
	end := session.Run(ctx, ingest.Request{Stream: &alone{tags: o.Tags}, Relative: o.Relative, Start: o.Start}, in, noAcks{}).End
	_ = w.Close()
	watching.Wait()
	if err := errors.Join(ctx.Err(), in.err); err != nil {
		return nil, err
	}
	return n.finish(in, end)
}

// notes collects what is found.
type notes struct {
	found    func(rejection.Refusal)
	absolute bool

	mu       sync.Mutex
	report   *Report
	refusals folder
	warnings folder
}

// refused takes a refusal of the session. What only a server has, such as the id of a
// request, is left out; a fragment is known by its place in line.
func (n *notes) refused(_ kvs.Stream, r rejection.Refusal) {
	if number, ok := kvs.ParseFragmentNumber(r.Number); ok {
		r.Number = fmt.Sprint(number.N)
	}
	if r.Time = (time.Time{}); r.Producer.UnixMilli() < year2000 && !n.absolute {
		r.Producer = r.Time // nobody means 1970
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.report.Refused++
	n.add(&n.refusals, r)
}

// warn takes a warning.
func (n *notes) warn(c *Caution, r rejection.Refusal, format string, args ...any) {
	r.Scope, r.Case, r.Fix, r.Why = Warning, c.Name, c.Fix, fmt.Sprintf(format, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.report.Warned++
	n.add(&n.warnings, r)
}

func (n *notes) add(to *folder, r rejection.Refusal) {
	to.add(r)
	if n.found != nil {
		n.found(r)
	}
}

// finish completes the report when nothing more is found.
func (n *notes) finish(in *input, end error) (*Report, error) {
	r := n.report
	r.Bytes = in.bytes
	r.Refusals, r.Warnings = n.refusals.entries(), n.warnings.entries()
	r.Fragments.average()
	if r.Tracks == nil {
		r.Format, r.Hint = recognise(in.head)
	}
	if end != nil {
		var more [1]byte
		k, err := io.ReadFull(in.from, more[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		r.Cut = k > 0
	}
	return r, nil
}

// input is the body of the session. What it reads the watcher reads, too.
type input struct {
	ctx      context.Context // of the check
	from     io.Reader
	copy     io.Writer
	progress func(int64)

	bytes int64
	head  []byte // the first bytes
	err   error  // of from, but its end
}

// headBytes is how much is kept to recognise what is not Matroska.
const headBytes = 512

// Read reads on.
func (in *input) Read(p []byte) (int, error) {
	if err := in.ctx.Err(); err != nil {
		return 0, err
	}
	k, err := in.from.Read(p)
	in.bytes += int64(k)
	in.head = append(in.head, p[:min(k, headBytes-len(in.head))]...)
	if _, e := io.Copy(in.copy, bytes.NewReader(p[:k])); e != nil {
		return k, e
	}
	if in.progress != nil {
		in.progress(in.bytes)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		in.err = err
	}
	return k, err
}

// Interrupt is needed by nobody: Read looks at the context itself.
func (*input) Interrupt() {}
