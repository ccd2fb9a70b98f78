package clips

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A consumer that takes a little again and again is cut in the end; one that keeps up after
// a pause is not.
func TestSlowConsumersAreCut(t *testing.T) {
	for name, c := range map[string]struct {
		pause, each time.Duration
		size        int
		ends        time.Duration // 0 = does not
	}{
		"drips":           {0, 100 * time.Second, 256 << 10, 200 * time.Second},
		"keeps up":        {0, time.Second, leastRate, 0},
		"paused":          {2 * time.Minute, time.Second, leastRate + 1, 0},
		"paused too long": {2*time.Minute + time.Second, time.Second, leastRate, 2*time.Minute + time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			p := &paced{out: io.Discard, since: start, grace: 2 * time.Minute}
			time.Sleep(c.pause)
			var err error
			for range 1000 {
				if _, err = p.Write(make([]byte, c.size)); err != nil {
					break
				}
				time.Sleep(c.each)
			}
			if took := time.Since(start); (err != nil) != (c.ends > 0) || err != nil && took != c.ends {
				t.Errorf("%s: %v after %v, want %v", name, err, took, c.ends)
			}
		})
	}
}
