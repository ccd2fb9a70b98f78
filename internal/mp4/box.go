package mp4

import "encoding/binary"

// Boxes are written front to back: begin leaves room for the length, end fills it in.
//
//	b, at := begin(b, "free")
//	b = append(b, ...)
//	b = end(b, at)

// headSize is how many bytes the head of a box has.
const headSize = 8

// begin appends the head of a box; at is where it lies.
func begin(b []byte, kind string) (out []byte, at int) {
	at = len(b)
	b = append(b, 0, 0, 0, 0)
	return append(b, kind...), at
}

// beginFull does it for a box with version and flags.
func beginFull(b []byte, kind string, version byte, flags uint32) (out []byte, at int) {
	b, at = begin(b, kind)
	return binary.BigEndian.AppendUint32(b, uint32(version)<<24|flags), at
}

// end sets the length of the box that lies at.
func end(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

// u16, u32 and u64 append numbers.
func u16(b []byte, v ...uint16) []byte {
	for _, n := range v {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return b
}

func u32(b []byte, v ...uint32) []byte {
	for _, n := range v {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

func u64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

// appendMdat appends the head of the media's box, which has so many bytes.
func appendMdat(b []byte, media uint64) []byte {
	if whole := media + headSize; whole < 1<<32 {
		return append(u32(b, uint32(whole)), "mdat"...)
	}
	return u64(append(u32(b, 1), "mdat"...), media+headSize+8)
}

// mdatHead is how long that head is.
func mdatHead(media uint64) int {
	if media+headSize < 1<<32 {
		return headSize
	}
	return headSize + 8
}
