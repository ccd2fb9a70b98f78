package notify

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the time since the machine started, on the clock that the manager
// compares with its own (sd_notify(3), RELOADING=1).
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
