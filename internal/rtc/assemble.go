package rtc

import (
	"time"

	"github.com/pion/rtp"
)

// How long a packet that is missing is waited for: it is asked for again meanwhile.
const (
	lossPackets = 512
	lossTime    = 500 * time.Millisecond
)

// framePackets is how many packets a frame may have: ten megabytes. One that does not end is
// a sender that must not take all memory.
const framePackets = 8192

// picture is a frame as its packets brought it.
type picture struct {
	stamp    int64    // RTP timestamp, without wrapping around
	payloads [][]byte // of its packets
	broken   bool     // something between it and the one before was lost
}

// assembler puts the packets of a stream in order and together to frames. The zero value is
// for media whose packets are frames each.
type assembler struct {
	several bool // a frame has several packets, the last of them marked

	packets map[int64]*rtp.Packet // that were not used, by their sequence number
	next    int64                 // the first that was not used
	highest int64
	begun   bool
	skip    int64 // what has this timestamp is the rest of a broken frame
	resync  bool  // skip is in force until a frame begins
	broken  bool
	since   time.Time // when next was found missing; zero = it is not

	sequence, stamp unwrapper
	lost            int64 // packets
}

// unwrapper counts on when a number of a few bits wraps around.
type unwrapper struct {
	last  int64
	begun bool
}

func (u *unwrapper) add(value uint64, bits uint) int64 {
	if !u.begun {
		u.begun, u.last = true, int64(value)
		return u.last
	}
	shift := 64 - bits
	u.last += int64((value-uint64(u.last))<<shift) >> shift // the nearest number that ends in value
	return u.last
}

// near returns what add would, without counting on.
func (u unwrapper) near(value uint64, bits uint) int64 { return u.add(value, bits) }

// push adds a packet, which becomes the assembler's, and returns the frames that are whole
// now.
func (a *assembler) push(p *rtp.Packet, now time.Time) (all []picture) {
	n := a.sequence.add(uint64(p.SequenceNumber), 16)
	if !a.begun {
		a.begun, a.next, a.highest, a.packets = true, n, n, map[int64]*rtp.Packet{}
	}
	if n < a.next {
		return nil // too late, or twice
	}
	a.packets[n] = p
	a.highest = max(a.highest, n)
	for {
		f, whole := a.frame()
		if whole {
			a.since = time.Time{}
			if f != nil {
				all = append(all, *f)
			}
			continue
		}
		if !a.giveUp(now) {
			return all
		}
	}
}

// frame takes the next frame out if it is whole; nil with true says that packets were passed
// over.
func (a *assembler) frame() (f *picture, whole bool) {
	first := a.packets[a.next]
	if first == nil {
		return nil, false
	}
	end := a.next
	for a.several {
		p := a.packets[end]
		if p == nil {
			return nil, false
		}
		if p.Timestamp != first.Timestamp {
			end--
			break
		}
		if p.Marker {
			break
		}
		end++
	}
	return a.take(end), true
}

// take uses the packets up to end.
func (a *assembler) take(end int64) *picture {
	first := a.packets[a.next]
	f := &picture{stamp: a.stamp.add(uint64(first.Timestamp), 32)}
	for ; a.next <= end; a.next++ {
		if p := a.packets[a.next]; len(p.Payload) > 0 { // others only pad
			f.payloads = append(f.payloads, p.Payload)
		}
		delete(a.packets, a.next)
	}
	if a.resync && f.stamp == a.skip {
		a.resync = false // it is the rest of what was lost
		return nil
	}
	a.resync = false
	if len(f.payloads) == 0 {
		return nil
	}
	f.broken, a.broken = a.broken, false
	return f
}

// giveUp passes over what is missing when it was waited for long enough.
func (a *assembler) giveUp(now time.Time) bool {
	missing := a.next
	for a.packets[missing] != nil {
		missing++
	}
	if missing > a.highest {
		a.since = time.Time{}
		if missing-a.next > framePackets {
			a.drop()
		}
		return false // nothing is missing, there is only no more
	}
	if a.since.IsZero() {
		a.since = now
	}
	if a.highest-missing < lossPackets && now.Sub(a.since) < lossTime {
		return false
	}
	partial := a.packets[a.next]
	for ; a.packets[a.next] == nil || a.next < missing; a.next++ {
		if a.packets[a.next] == nil {
			a.lost++
		}
		delete(a.packets, a.next)
	}
	a.since, a.broken = time.Time{}, true
	after := a.packets[a.next]
	if a.several && !startsGroup(after.Payload) && (partial == nil || partial.Timestamp == after.Timestamp) {
		a.resync, a.skip = true, a.stamp.near(uint64(after.Timestamp), 32)
	}
	return true
}

// drop passes over all there is, which is part of one frame, and what will come of it.
func (a *assembler) drop() {
	a.resync, a.skip = true, a.stamp.near(uint64(a.packets[a.next].Timestamp), 32)
	a.lost += int64(len(a.packets))
	clear(a.packets)
	a.next, a.broken = a.highest+1, true
}

// startsGroup says whether a payload of H.264 begins with parameter sets (RFC 6184, section
// 5.7): then nothing in front of it is needed.
func startsGroup(payload []byte) bool {
	if len(payload) < 4 {
		return false
	}
	t := unitType(payload)
	return t == unitSPS || t == 24 && payload[3]&0x1F == unitSPS
}
