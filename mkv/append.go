package mkv

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// masterSize is the length of the size of every master this package writes
// with content: long enough for anything, filled in when the content is known.
// The service writes its tags with it too (wire-media section 5.4).
const masterSize = 4

// blockSize is the length of a block's size, as the producer SDK writes it
// (wire-media section 3.2).
const blockSize = 8

// appendID appends an element id.
func appendID(b []byte, id uint32) []byte {
	n := (bits.Len32(id) + 7) / 8
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(id>>(8*i)))
	}
	return b
}

// sizeLength is how many bytes the shortest form of a size needs.
func sizeLength(n uint64) int {
	length := 1
	for length < maxSizeLength && n >= 1<<(7*length)-1 {
		length++
	}
	return length
}

// appendSize appends n as a variable-size integer of the given length.
func appendSize(b []byte, n uint64, length int) []byte {
	if n >= 1<<(7*length)-1 {
		panic(fmt.Sprintf("mkv: an element of %d bytes is too long for a size of %d bytes", n, length))
	}
	n |= 1 << (7 * length)
	for i := length - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// appendMaster appends the head of a master whose content follows; start is
// for closeMaster.
func appendMaster(b []byte, id uint32) (grown []byte, start int) {
	b = appendID(b, id)
	return append(b, 0x10, 0, 0, 0), len(b) + masterSize
}

// closeMaster fills in the size of the master whose content began at start.
func closeMaster(b []byte, start int) []byte {
	appendSize(b[:start-masterSize], uint64(len(b)-start), masterSize)
	return b
}

// AppendElement appends an element with the shortest form of its size.
func AppendElement(b []byte, id uint32, data []byte) []byte {
	b = appendSize(appendID(b, id), uint64(len(data)), sizeLength(uint64(len(data))))
	return append(b, data...)
}

// appendUint appends an unsigned integer in as few bytes as it needs, one for 0.
func appendUint(b []byte, id uint32, v uint64) []byte {
	n := max(1, (bits.Len64(v)+7)/8)
	b = append(appendID(b, id), 0x80|byte(n))
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// appendUint64 appends an unsigned integer in 8 bytes.
func appendUint64(b []byte, id uint32, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(appendID(b, id), 0x88), v)
}

// appendFloat appends a float of 8 bytes.
func appendFloat(b []byte, id uint32, v float64) []byte {
	return appendUint64(b, id, math.Float64bits(v))
}

// appendText appends a string.
func appendText(b []byte, id uint32, s string) []byte {
	b = appendSize(appendID(b, id), uint64(len(s)), sizeLength(uint64(len(s))))
	return append(b, s...)
}

// AppendVoid appends a Void element of n bytes in all, 2 or more.
func AppendVoid(b []byte, n int) []byte {
	// A shorter size would leave a gap when n lies just above what it holds.
	length := sizeLength(uint64(n))
	data := n - 1 - length
	b = appendSize(appendID(b, IDVoid), uint64(data), length)
	b = slices.Grow(b, data)
	clear(b[len(b) : len(b)+data])
	return b[:len(b)+data]
}

// AppendClusterUnknown appends the head of a Cluster of unknown size, in its
// 8-byte form, and its Timecode in 8 bytes.
func AppendClusterUnknown(b []byte, timecode uint64) []byte {
	return appendUint64(appendUnknown(b, IDCluster), IDTimecode, timecode)
}

// AppendClusterSized appends a Cluster of known size: its Timecode and body,
// which holds whole elements.
func AppendClusterSized(b []byte, timecode uint64, body []byte) []byte {
	var room [16]byte
	head := appendUint(room[:0], IDTimecode, timecode)
	n := uint64(len(head) + len(body))
	b = appendSize(appendID(b, IDCluster), n, sizeLength(n))
	return append(append(b, head...), body...)
}

// AppendSimpleBlock appends a SimpleBlock of one frame. Of h it uses Track,
// Time, Key, Invisible and Discardable.
func AppendSimpleBlock(b []byte, h BlockHeader, frame []byte) []byte {
	return append(AppendSimpleBlockHead(b, h, len(frame)), frame...)
}

// AppendSimpleBlockHead appends all of a SimpleBlock but its frame of n bytes,
// for a caller that sends the frame from where it lies.
func AppendSimpleBlockHead(b []byte, h BlockHeader, n int) []byte {
	h.Lacing, h.Simple = NoLacing, true
	b = appendID(b, IDSimpleBlock)
	b = appendSize(b, uint64(n+h.length()), blockSize)
	return h.append(b)
}

// AppendLacedBlock appends a SimpleBlock of 1 to 256 frames with the lacing of
// h; FixedLacing needs frames of one size.
func AppendLacedBlock(b []byte, h BlockHeader, frames [][]byte) []byte {
	h.Simple = true
	var room [64]byte
	table := appendLace(room[:0], h.Lacing, frames)
	n := len(table) + h.length()
	for _, f := range frames {
		n += len(f)
	}
	b = appendSize(appendID(b, IDSimpleBlock), uint64(n), blockSize)
	b = append(h.append(b), table...)
	for _, f := range frames {
		b = append(b, f...)
	}
	return b
}

// AppendBlockGroup appends a BlockGroup with a Block of one frame. A duration
// below 0 and a reference of 0 are left out: a group without a reference holds
// a key frame. Both are in timecode units, the reference relative to the frame.
func AppendBlockGroup(b []byte, h BlockHeader, duration, reference int64, frame []byte) []byte {
	h.Lacing, h.Simple = NoLacing, false
	var room [40]byte
	after := room[:0]
	if duration >= 0 {
		after = appendUint(after, IDBlockDuration, uint64(duration))
	}
	if reference != 0 {
		after = appendUint64(after, IDReferenceBlock, uint64(reference))
	}
	n := len(frame) + h.length()
	group := len(after) + n + 1 + blockSize
	b = appendSize(appendID(b, IDBlockGroup), uint64(group), blockSize)
	b = appendSize(appendID(b, IDBlock), uint64(n), blockSize)
	b = append(h.append(b), frame...)
	return append(b, after...)
}

// length is the size of the block's head: track, time and flags.
func (h *BlockHeader) length() int { return sizeLength(h.Track) + 3 }

func (h *BlockHeader) append(b []byte) []byte {
	b = appendSize(b, h.Track, sizeLength(h.Track))
	flags := byte(h.Lacing) << lacingShift
	if h.Simple && h.Key {
		flags |= flagKey
	}
	if h.Invisible {
		flags |= flagInvisible
	}
	if h.Simple && h.Discardable {
		flags |= flagDiscardable
	}
	return append(b, byte(uint16(h.Time)>>8), byte(h.Time), flags)
}

// appendLace appends a lace table (RFC 9559 section 10.3).
func appendLace(b []byte, l Lacing, frames [][]byte) []byte {
	n := len(frames)
	if n < 1 || n > 256 || l == NoLacing && n > 1 {
		panic("mkv: a block has one frame, with lacing 1 to 256")
	}
	if l == NoLacing {
		return b
	}
	b = append(b, byte(n-1))
	switch l {
	case XiphLacing:
		for _, f := range frames[:n-1] {
			size := len(f)
			for ; size >= 255; size -= 255 {
				b = append(b, 255)
			}
			b = append(b, byte(size))
		}
	case EBMLLacing:
		for i, f := range frames[:n-1] {
			if i == 0 {
				b = appendSize(b, uint64(len(f)), sizeLength(uint64(len(f))))
			} else {
				b = appendDifference(b, int64(len(f)-len(frames[i-1])))
			}
		}
	case FixedLacing:
		for _, f := range frames {
			if len(f) != len(frames[0]) {
				panic("mkv: fixed lacing needs frames of one size")
			}
		}
	}
	return b
}

// appendDifference appends a signed variable-size integer
// (RFC 9559 section 10.3.3).
func appendDifference(b []byte, d int64) []byte {
	length := 1
	for d <= -(1<<(7*length-1)) || d >= 1<<(7*length-1) {
		length++
	}
	return appendSize(b, uint64(d+(1<<(7*length-1)-1)), length)
}
