package rtc

import (
	"sync"
	"time"
)

// lipSync brings the streams of one sender onto one clock. Each stream begins at the moment
// when its first packet came; sender reports (RFC 3550, section 6.4.1) say how the streams
// belong together, and the others are moved to the one whose report came first.
type lipSync struct {
	mu    sync.Mutex // over the rest and all streams
	ahead time.Duration
	known bool // ahead is what our clock is ahead of the sender's
}

// stream is the clock of one stream of RTP.
type stream struct {
	sync *lipSync
	rate int64 // ticks a second

	begun   bool
	stamp   int64 // of the moment at
	at      time.Time
	aligned bool // a report was taken
	unwrap  unwrapper
}

// drift is how far a clock may be off before it is set again; a viewer would notice more.
const drift = 100 * time.Millisecond

// time says when what has a timestamp is shown. now is when it came.
func (s *stream) time(stamp int64, now time.Time) time.Time {
	s.sync.mu.Lock()
	defer s.sync.mu.Unlock()
	if !s.begun {
		s.begun, s.stamp, s.at = true, stamp, now
		s.unwrap = unwrapper{last: stamp, begun: true}
	}
	return s.shown(stamp)
}

func (s *stream) shown(stamp int64) time.Time {
	ticks := stamp - s.stamp
	whole, rest := ticks/s.rate, ticks%s.rate
	return s.at.Add(time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(s.rate))
}

// report takes a sender report: at the time ntp of the sender's clock the timestamp was stamp.
func (s *stream) report(ntp uint64, stamp uint32) {
	s.sync.mu.Lock()
	defer s.sync.mu.Unlock()
	if !s.begun {
		return
	}
	at, sent := s.unwrap.near(uint64(stamp), 32), ntpTime(ntp)
	if !s.sync.known {
		s.sync.ahead, s.sync.known, s.aligned = s.shown(at).Sub(sent), true, true
		return
	}
	due := sent.Add(s.sync.ahead)
	if off := s.shown(at).Sub(due).Abs(); !s.aligned || off > drift {
		s.stamp, s.at, s.aligned = at, due, true
	}
	s.unwrap.last = at
}

// ntpEpoch is the beginning of the first era of NTP (RFC 5905).
var ntpEpoch = time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)

// ntpTime reads a time of NTP: seconds and 2^-32 of them. The sender's clock may show
// anything: only differences count.
func ntpTime(ntp uint64) time.Time {
	return ntpEpoch.Add(time.Duration(ntp>>32)*time.Second + time.Duration((ntp&0xFFFF_FFFF)*1e9>>32))
}
