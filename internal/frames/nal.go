package frames

import "bytes"

// startCode is what stands in front of each NAL unit. A fourth byte, zero, may stand in
// front of it; the zeros behind a unit say nothing either (ISO/IEC 14496-10, B.1.1).
var startCode = []byte{0, 0, 1}

// prefix is the length in front of each NAL unit after conversion, in bytes.
const prefix = 4

// counter computes how long a frame will be after conversion, while it comes in pieces
// that are cut anywhere. The zero value is ready for a frame.
type counter struct {
	plain   bool  // it does not begin with a start code: it stays as it is
	started bool  // the first start code was seen
	zeros   int64 // at the end of what was seen: of a unit, behind it, or of a start code
	unit    int64 // bytes of the present unit before those zeros
	total   int64 // bytes of all units before it, converted
}

// add takes the next piece.
func (c *counter) add(p []byte) {
	if c.plain {
		return
	}
	p = c.join(p)
	for len(p) > 0 && !c.plain {
		at := bytes.Index(p, startCode)
		if at < 0 {
			c.zeros = trailingZeros(p)
			c.unit += int64(len(p)) - c.zeros
			return
		}
		c.unit += int64(at) - trailingZeros(p[:at])
		c.next()
		p = p[at+len(startCode):]
	}
}

// join decides what the zeros before p were, and those it begins with. It returns p
// without them, or with them if a start code may follow.
func (c *counter) join(p []byte) []byte {
	n := int64(0)
	for n < int64(len(p)) && p[n] == 0 {
		n++
	}
	run := c.zeros + n
	switch {
	case n == int64(len(p)):
		c.zeros = run
		return nil
	case p[n] == 1 && run >= 2:
		c.zeros = 0
		c.next()
		return p[n+1:]
	}
	c.unit, c.zeros = c.unit+run, 0
	return p[n:]
}

// next ends the present unit at a start code.
func (c *counter) next() {
	if !c.started && c.unit > 0 {
		c.plain = true
		return
	}
	c.end()
	c.started = true
}

func (c *counter) end() {
	if c.unit > 0 {
		c.total += prefix + c.unit
		c.unit = 0
	}
}

// converted is the length of the whole frame of n bytes after conversion.
func (c *counter) converted(n int64) int64 {
	if c.plain || !c.started {
		return n
	}
	c.end()
	return c.total
}

func trailingZeros(p []byte) int64 {
	n := 0
	for n < len(p) && p[len(p)-1-n] == 0 {
		n++
	}
	return int64(n)
}
