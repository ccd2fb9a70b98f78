package mp4

import "encoding/binary"

// box is an MP4 box on its way into a file: fields, then a table, then boxes.
type box struct {
	name   string
	fields []byte
	table  table
	inner  []*box
}

func newBox(name string, inner ...*box) *box { return &box{name: name, inner: inner} }

// full makes a box with version, flags and fields of 32 bits.
func full(name string, version byte, flags uint32, fields ...uint32) *box {
	b := &box{name: name}
	return b.u32(uint32(version)<<24 | flags).u32(fields...)
}

func (b *box) u32(values ...uint32) *box {
	for _, v := range values {
		b.fields = binary.BigEndian.AppendUint32(b.fields, v)
	}
	return b
}

// wide appends numbers of 64 bits in version 1, of 32 in version 0.
func (b *box) wide(version byte, values ...int64) *box {
	for _, v := range values {
		if version == 1 {
			b.fields = binary.BigEndian.AppendUint64(b.fields, uint64(v))
		} else {
			b.u32(uint32(v))
		}
	}
	return b
}

func (b *box) bytes(p ...byte) *box {
	b.fields = append(b.fields, p...)
	return b
}

func (b *box) text(s string) *box { return b.bytes([]byte(s)...) }

func (b *box) with(t table) *box {
	b.table = t
	return b
}

func (b *box) size() int64 {
	n := 8 + int64(len(b.fields)) + b.table.size
	for _, i := range b.inner {
		n += i.size()
	}
	return n
}

// write adds the box to the head.
func (b *box) write(h *Head) {
	head := make([]byte, 0, 8+len(b.fields))
	head = binary.BigEndian.AppendUint32(head, uint32(b.size()))
	head = append(head, b.name...)
	h.add(append(head, b.fields...))
	for _, p := range b.table.pieces {
		h.add(p)
	}
	for _, i := range b.inner {
		i.write(h)
	}
}
