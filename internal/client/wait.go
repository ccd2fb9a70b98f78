package client

import (
	"context"
	"time"
)

// Wait waits until d has passed or ctx has ended, and then returns its error. A d of 0
// or less only asks ctx.
func Wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
