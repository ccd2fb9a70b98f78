//go:build !linux

package notify

import "time"

// monotonic is only asked for by systemd, which runs on Linux.
func monotonic() time.Duration { return 0 }
