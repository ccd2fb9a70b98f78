package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWait(t *testing.T) {
	for name, c := range map[string]struct {
		wait, until, took time.Duration // until: when the context ends
		want              error
	}{
		"as long as asked": {time.Second, time.Minute, time.Second, nil},
		"not at all":       {0, time.Minute, 0, nil},
		"late already":     {-time.Second, time.Minute, 0, nil},
		"cut short":        {time.Minute, time.Second, time.Second, context.DeadlineExceeded},
		"ended before":     {time.Minute, -1, 0, context.DeadlineExceeded},
		"ended, no wait":   {0, -1, 0, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.until)
			defer cancel()
			begin := time.Now()
			if err := Wait(ctx, c.wait); !errors.Is(err, c.want) || time.Since(begin) != c.took {
				t.Errorf("%s: %v after %v, want %v after %v", name, err, time.Since(begin), c.want, c.took)
			}
		})
	}
}
