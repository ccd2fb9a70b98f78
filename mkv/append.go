package mkv

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
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
	return append(b, make([]byte, data)...)
}
