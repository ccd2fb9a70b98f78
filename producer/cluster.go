package producer

import (
	"encoding/binary"
	"math/bits"

	"github.com/millrace/millrace/mkv"
)

// unit is what is decided about at once: a SimpleBlock, a BlockGroup with all in it, or
// any other element of a cluster. Its bytes stand in the cluster's raw.
type unit struct {
	id     uint32
	at, n  int // where its bytes are
	group  bool
	block  bool   // it has a block, which the rest is about
	track  uint64 // track number
	time   int64  // cluster's timecode and the block's time, in timecode units
	timeAt int    // where in the unit the two bytes of the block's time are
	key    bool
}

// unitCost is what a unit weighs in memory beside its bytes.
const unitCost = 64

// cluster is a cluster of the input, or what has come of it.
type cluster struct {
	sized    bool
	timecode int64
	raw      []byte
	units    []unit
	open     bool // the last unit is not whole yet
}

func (c *cluster) reset() {
	*c = cluster{raw: c.raw[:0], units: c.units[:0]}
}

// cost is what the cluster weighs in memory, in bytes.
func (c *cluster) cost() int { return len(c.raw) + unitCost*len(c.units) }

// continues says whether an item belongs to the unit of the item before it.
func continues(it *mkv.Item) bool {
	return it.Cont || it.InGroup && it.Kind != mkv.BlockGroupStart
}

// add takes an item of the cluster.
func (c *cluster) add(it *mkv.Item) {
	if !continues(it) {
		c.units = append(c.units, unit{id: it.ID, at: len(c.raw), group: it.Kind == mkv.BlockGroupStart})
	}
	u := &c.units[len(c.units)-1]
	switch it.Kind {
	case mkv.ClusterStart:
		c.sized = it.Size >= 0
	case mkv.ClusterTimecode:
		c.timecode = int64(it.Timecode)
	case mkv.Block:
		u.block = true
		u.track = it.Block.Track
		u.time = int64(it.Timecode) + int64(it.Block.Time)
		u.timeAt = u.n + timeOffset(it.Raw)
		u.key = it.Block.Key
	case mkv.BlockReference:
		u.key = false
	}
	c.raw = append(c.raw, it.Raw...)
	u.n += len(it.Raw)
	c.open = it.More || u.group && !it.GroupEnd
}

// dropOpen forgets a unit that is not whole.
func (c *cluster) dropOpen() {
	if !c.open {
		return
	}
	last := len(c.units) - 1
	c.raw = c.raw[:c.units[last].at]
	c.units = c.units[:last]
	c.open = false
}

// end is the latest time of its blocks, in timecode units.
func (c *cluster) end() int64 {
	end := c.timecode
	for i := range c.units {
		if c.units[i].block {
			end = max(end, c.units[i].time)
		}
	}
	return end
}

// last is the unit that was added last.
func (c *cluster) last() *unit { return &c.units[len(c.units)-1] }

// bytes are those of a unit.
func (c *cluster) bytes(u *unit) []byte { return c.raw[u.at : u.at+u.n] }

// timeOffset is where a block's time stands (RFC 9559 section 10.1): after the id of one
// byte, the size and the track number.
func timeOffset(raw []byte) int {
	at := 1 + vintLength(raw[1])
	return at + vintLength(raw[at])
}

// vintLength is the length of the variable-size integer that begins with a byte.
func vintLength(first byte) int { return bits.LeadingZeros8(first) + 1 }

// appendBlock appends a unit with a block whose time counts from another timecode.
func appendBlock(b, raw []byte, u *unit, timecode int64) []byte {
	at := len(b) + u.timeAt
	b = append(b, raw...)
	binary.BigEndian.PutUint16(b[at:], uint16(int16(u.time-timecode)))
	return b
}
