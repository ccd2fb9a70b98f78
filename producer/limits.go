package producer

import "time"

// Limits say when a cluster may stay as it is, and how others are cut. The zero value
// gives the defaults, which are the limits of the service (media sheet, section 2.1).
type Limits struct {
	Shortest time.Duration // of a cluster; default 1 s
	Longest  time.Duration // of a cluster; default 20 s
	Audio    time.Duration // of the clusters that are cut where there is no video; default 2 s
	Hold     int           // bytes that may wait for a decision; default 50 MB, the largest fragment
}

func (l Limits) orDefaults() Limits {
	if l.Shortest <= 0 {
		l.Shortest = time.Second
	}
	if l.Longest <= 0 {
		l.Longest = 20 * time.Second
	}
	if l.Audio <= 0 {
		l.Audio = 2 * time.Second
	}
	if l.Hold <= 0 {
		l.Hold = 50_000_000
	}
	return l
}

// spans returns the limits in timecode units of scale nanoseconds.
func (l Limits) spans(scale uint64, video bool) spans {
	in := func(d time.Duration) int64 { return int64(uint64(d) / max(scale, 1)) }
	s := spans{shortest: in(l.Shortest), longest: in(l.Longest), cut: in(l.Audio)}
	if video {
		s.cut = s.shortest
	}
	return s
}

// rhythm is what the lead track's frames have shown so far, in timecode units.
type rhythm struct {
	seen    bool
	lastKey int64 // time of the last key frame
	longest int64 // time between two key frames
	prior   int64 // time of the last block
	gap     int64 // between the last two blocks
}

// observe takes a block of the lead track. Steps longer than limit are pauses, not
// rhythm.
func (r *rhythm) observe(u *unit, limit int64) {
	if !r.seen {
		r.seen, r.lastKey, r.prior = true, u.time, u.time
	}
	if d := u.time - r.prior; d > 0 && d < limit {
		r.gap = d
	}
	r.prior = u.time
	if u.key {
		if d := u.time - r.lastKey; d < limit {
			r.longest = max(r.longest, d)
		}
		r.lastKey = u.time
	}
}
