package quota

import (
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

const second = int64(time.Second)

// bucket holds tokens as a time: when it will be full. It holds one second's worth, and
// one token at least.
type bucket struct{ at atomic.Int64 }

// step is the time in which a token comes, in nanoseconds; 0 = no limit. The bound is
// some thirteen days, and keeps sums of steps in range.
func step(perSecond Value) int64 {
	if perSecond <= 0 {
		return 0
	}
	return int64(min(1e9/float64(perSecond), 1<<50))
}

// maxTokens is the largest number that can be taken at once.
const maxTokens = 5000

// take takes n tokens. Who asks for more than the bucket can hold gets them when it is
// full, and what was too much is owed: others wait until it has come in.
//
// A time farther off than any debt reaches is of a clock that stepped back, or of a
// slower rate that holds no more: the bucket begins anew, full.
func (b *bucket) take(now, step, n int64) bool {
	n = min(n, maxTokens)
	holds := max(second, step)
	for {
		old := b.at.Load()
		at := old
		if at < now || at > now+holds+maxTokens*step {
			at = now
		}
		if at+min(n*step, holds) > now+holds {
			return false
		}
		if b.at.CompareAndSwap(old, at+n*step) {
			return true
		}
	}
}

// give puts n tokens back.
func (b *bucket) give(step, n int64) { b.at.Add(-min(n, maxTokens) * step) }

// Operation is an operation with its place in the table and the buckets.
type Operation struct {
	name              string
	account, resource *Limit // nil = no such rate
	points            cost
}

// cost is how many points a call costs that asks for n fragments: some, and one for
// each. The base is metadata. A call may ask for as many as most says; nil = any number.
type cost struct {
	metadata, media, base int
	most                  *Limit
}

// The first two buckets of a stream are its points.
const (
	metadataSlot = iota
	mediaSlot
	firstSlot
)

var (
	operations   = map[string]*Operation{}
	streamSlots  = firstSlot
	accountSlots = 0
)

// operation is the operation that a row belongs to.
func operation(name string) *Operation {
	if operations[name] == nil {
		operations[name] = &Operation{name: name}
	}
	return operations[name]
}

// OperationOf returns the operation of a name. One that has no limits is never refused.
// It is for assembly: callers keep what they got.
func OperationOf(name string) *Operation {
	if op := operations[name]; op != nil {
		return op
	}
	return &Operation{name: name}
}

// clock is the time that buckets count in.
func (b *Book) clock() int64 { return int64(b.now().Sub(b.epoch)) }

// value is a value as the hot path finds it: nothing is copied, and nothing looked up
// where nothing was set.
func (f *inForce) value(l *Limit, a kvs.AccountID, id kvs.StreamID) Value {
	if len(f.streams) > 0 && id != 0 {
		if v, ok := f.streams[id][l.index]; ok {
			return v
		}
	}
	if len(f.accounts) > 0 {
		if v, ok := f.accounts[a][l.index]; ok {
			return v
		}
	}
	return f.server.values[l.index]
}

// Allow takes one token for a call of op by account a on stream id (0 for calls on none)
// of the given name. It returns an error of kind TooManyRequests, and takes nothing, when
// the bucket of the stream or that of the account is empty: one noisy stream does not use
// up what the others of its account have.
func (b *Book) Allow(op *Operation, a kvs.AccountID, id kvs.StreamID, name string) error {
	if op.account == nil && op.resource == nil {
		return nil
	}
	f, now := b.current.Load(), b.clock()
	var stream *bucket
	var perStream int64
	if op.resource != nil && id != 0 {
		if perStream = step(f.value(op.resource, a, id)); perStream > 0 {
			if stream = &b.streams.of(id, now)[op.resource.slot]; !stream.take(now, perStream, 1) {
				return b.breach(op.resource, kvs.TooManyRequests, "Limit exceeded on number of requests for %s API for resource '%s'", op.name, name)
			}
		}
	}
	if op.account != nil {
		if s := step(f.value(op.account, a, 0)); s > 0 && !b.accounts.of(a, now)[op.account.slot].take(now, s, 1) {
			if stream != nil {
				stream.give(perStream, 1)
			}
			return b.breach(op.account, kvs.TooManyRequests, "Limit exceeded on number of requests for %s API for account '%s'", op.name, a)
		}
	}
	return nil
}

// Breached counts a refusal by those who keep to a limit of numbers themselves.
func (b *Book) Breached(l Count) {
	if b.metrics != nil {
		b.metrics.LimitBreaches.WithLabelValues(l.Name).Inc()
	}
}

// breach counts a refusal and makes its error.
func (b *Book) breach(l *Limit, k kvs.Kind, format string, args ...any) error {
	if b.metrics != nil {
		b.metrics.LimitBreaches.WithLabelValues(l.Name).Inc()
	}
	return kvs.Errorf(k, format, args...)
}

// Points takes what a call of op that asks for n fragments costs of the stream's two
// budgets. It returns an error of kind TooManyRequests, and takes nothing, when one of
// them is spent, and one of kind InvalidArgument when a call may not ask for so many. A
// call that costs more than a second brings in waits for a full budget and owes the
// rest.
func (b *Book) Points(op *Operation, s kvs.Stream, n int) error {
	metadata, media := int64(op.points.metadata*n+op.points.base), int64(op.points.media*n)
	f, now := b.current.Load(), b.clock()
	if l := op.points.most; l != nil {
		if most := f.value(l, s.Account, s.ID); most > 0 && n > int(most) {
			return b.breach(l, kvs.InvalidArgument, "%s asks for %d fragments; at most %s are allowed", op.name, n, l.Format(most))
		}
	}
	perMetadata, perMedia := step(f.value(MetadataPoints.Limit, s.Account, s.ID)), step(f.value(MediaPoints.Limit, s.Account, s.ID))
	if perMetadata > 0 || perMedia > 0 {
		buckets := b.streams.of(s.ID, now)
		if metadata > 0 && perMetadata > 0 && !buckets[metadataSlot].take(now, perMetadata, metadata) {
			return b.breach(MetadataPoints.Limit, kvs.TooManyRequests, "Limit exceeded on fragment metadata: %s on resource '%s' costs %d points", op.name, s.Name, metadata)
		}
		if media > 0 && perMedia > 0 && !buckets[mediaSlot].take(now, perMedia, media) {
			if metadata > 0 && perMetadata > 0 {
				buckets[metadataSlot].give(perMetadata, metadata)
			}
			return b.breach(MediaPoints.Limit, kvs.TooManyRequests, "Limit exceeded on fragment media: %s on resource '%s' costs %d points", op.name, s.Name, media)
		}
	}
	b.consumed(metadata, media)
	return nil
}

func (b *Book) consumed(metadata, media int64) {
	if b.metrics != nil {
		b.metrics.FragmentsConsumed.WithLabelValues("metadata").Add(float64(metadata))
		b.metrics.FragmentsConsumed.WithLabelValues("media").Add(float64(media))
	}
}

// Meter is the bucket of one session, such as a playback session or a signaling
// connection. The zero value is full. It may be used from many goroutines.
type Meter struct{ bucket bucket }

// Allow takes one token, or returns an error of kind TooManyRequests. what names the
// message or request that is refused.
func (m *Meter) Allow(v *View, l PerSecond, what string) error {
	s := step(v.value(l.Limit))
	if s == 0 || m.bucket.take(v.book.clock(), s, 1) {
		return nil
	}
	return v.book.breach(l.Limit, kvs.TooManyRequests, "Limit exceeded on number of requests for %s", what)
}
