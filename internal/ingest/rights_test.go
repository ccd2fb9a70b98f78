package ingest

import (
	"context"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
)

// A producer that loses its rights is told of what is stored, and then to connect anew,
// where it learns why (identity, section 5).
func TestAProducerThatLosesItsRights(t *testing.T) {
	for name, c := range map[string]struct {
		script []any
		want   string
	}{
		"between fragments":         {[]any{head(otherApp), aSecond(0), endTag, open{}}, "b1@0 r1@0 p1@0 e:4003"},
		"in the middle of one":      {[]any{head(otherApp), aSecond(0), unknown(1000, at(0)), open{}}, "b1@0 r1@0 p1@0 b2@1000 e2@1000:4003"},
		"before the first fragment": {[]any{head(otherApp), open{}}, "e:4003"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quota.Open, func(s *studio) {
				ctx, cancel := context.WithCancelCause(s.t.Context())
				time.AfterFunc(2*time.Second, func() { cancel(kvs.Errorf(kvs.Denied, "The caller may not make this call any more.")) })
				began := time.Now()
				l := &ledger{t: s.t}
				sum := s.putCtx(ctx, Request{Stream: s.stream(24)}, newScript(c.script...), l)
				if got := l.text(); got != c.want || sum.End == nil {
					t.Errorf("acknowledged %s, want %s; %v", got, c.want, sum.End)
				}
				if took := time.Since(began); took != 2*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
