package lint

import (
	"context"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// alone is a stream that nobody else knows. It belongs to one session.
type alone struct {
	tags   map[string]string
	number kvs.FragmentNumber
}

// Stream is one that keeps its fragments: without retention they would pile up.
func (a *alone) Stream() kvs.Stream {
	return kvs.Stream{ID: 1, Status: kvs.Active, Retention: 1, Tags: a.tags}
}

// Gone is never closed.
func (*alone) Gone() <-chan struct{} { return nil }

// BeginSession has nothing to reserve.
func (*alone) BeginSession(context.Context) error { return nil }

// NextNumber counts from 1.
func (a *alone) NextNumber(context.Context, kvs.Millis) (kvs.FragmentNumber, error) {
	a.number.N++
	return a.number, nil
}

// shelf is an archive that measures and forgets.
type shelf struct{ fragments *Fragments }

// Append takes a fragment that a server would keep.
func (s *shelf) Append(r archive.Record, done func(error)) {
	s.fragments.Kept++
	s.fragments.Duration.add(r.Fragment.Duration)
	s.fragments.Size.add(r.Fragment.Size)
	done(nil)
}

// noAcks drops acknowledgements: refusals are reported by other means.
type noAcks struct{}

// WriteAck takes any line.
func (noAcks) WriteAck([]byte) error { return nil }
