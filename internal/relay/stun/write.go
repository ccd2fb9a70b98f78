package stun

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // the long-term mechanism of RFC 8489 is made of it
	"crypto/sha1" //nolint:gosec // and MESSAGE-INTEGRITY of this
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// Builder appends a message to a slice. Attributes come in the order of the calls;
// [Builder.Sign] and then [Builder.Fingerprint] come last, if at all.
type Builder struct {
	raw  []byte
	from int // where the message begins
}

// NewBuilder begins a message of the given transaction, which has 12 bytes, behind what
// is in to.
func NewBuilder(to []byte, method Method, class Class, transaction []byte) *Builder {
	b := &Builder{raw: to, from: len(to)}
	t := uint16(method)
	t = t&0xf | t&0x70<<1 | t&0xf80<<2 | uint16(class)&1<<4 | uint16(class)&2<<7
	b.raw = binary.BigEndian.AppendUint16(b.raw, t)
	b.raw = binary.BigEndian.AppendUint16(b.raw, 0)
	b.raw = binary.BigEndian.AppendUint32(b.raw, cookie)
	b.raw = append(b.raw, transaction...)
	return b
}

// begin appends the head of an attribute and makes the message that much longer.
func (b *Builder) begin(kind Attribute, length int) {
	b.raw = binary.BigEndian.AppendUint16(b.raw, uint16(kind))
	b.raw = binary.BigEndian.AppendUint16(b.raw, uint16(length))
	b.setLength(len(b.raw) - b.from - headerSize + padded(length))
}

func (b *Builder) setLength(n int) { binary.BigEndian.PutUint16(b.raw[b.from+2:], uint16(n)) }

// Add appends an attribute.
func (b *Builder) Add(kind Attribute, value []byte) *Builder {
	b.begin(kind, len(value))
	b.raw = append(b.raw, value...)
	b.raw = append(b.raw, 0, 0, 0)[:len(b.raw)+padded(len(value))-len(value)]
	return b
}

// Around appends the head of an attribute whose value of n bytes stands behind it already,
// and zeroes its padding: the slice must have room for both.
func (b *Builder) Around(kind Attribute, n int) *Builder {
	b.begin(kind, n)
	b.raw = b.raw[:len(b.raw)+padded(n)]
	clear(b.raw[len(b.raw)-padded(n)+n:])
	return b
}

// AddNumber appends an attribute of four bytes.
func (b *Builder) AddNumber(kind Attribute, n uint32) *Builder {
	b.begin(kind, 4)
	b.raw = binary.BigEndian.AppendUint32(b.raw, n)
	return b
}

// AddAddress appends an attribute with an address, XORed with cookie and transaction.
func (b *Builder) AddAddress(kind Attribute, a netip.AddrPort) *Builder {
	ip, family := a.Addr().Unmap(), uint16(IPv4)
	if ip.Is6() {
		family = IPv6
	}
	value := ip.AsSlice()
	b.begin(kind, 4+len(value))
	b.raw = binary.BigEndian.AppendUint16(b.raw, family)
	b.raw = binary.BigEndian.AppendUint16(b.raw, a.Port()^cookie>>16)
	xor(value, value, b.raw[b.from+4:])
	b.raw = append(b.raw, value...)
	return b
}

// AddPlainAddress appends an attribute with an address as it is.
func (b *Builder) AddPlainAddress(kind Attribute, a netip.AddrPort) *Builder {
	ip, family := a.Addr().Unmap(), uint16(IPv4)
	if ip.Is6() {
		family = IPv6
	}
	b.begin(kind, 4+ip.BitLen()/8)
	b.raw = binary.BigEndian.AppendUint16(b.raw, family)
	b.raw = binary.BigEndian.AppendUint16(b.raw, a.Port())
	b.raw = append(b.raw, ip.AsSlice()...)
	return b
}

// AddError appends ERROR-CODE with no more text than needed: few clients show it, and an
// answer should be short.
func (b *Builder) AddError(code int) *Builder {
	return b.AddNumber(ErrorCode, uint32(code/100)<<8|uint32(code%100))
}

// AddUnknown appends UNKNOWN-ATTRIBUTES.
func (b *Builder) AddUnknown(kinds []Attribute) *Builder {
	var v []byte
	for _, k := range kinds {
		v = binary.BigEndian.AppendUint16(v, uint16(k))
	}
	return b.Add(UnknownAttributes, v)
}

// Sign appends MESSAGE-INTEGRITY under a key of [Key].
func (b *Builder) Sign(key []byte) *Builder {
	length := len(b.raw) - b.from - headerSize + 4 + integrity
	return b.Add(MessageIntegrity, sum(key, b.raw[b.from:], length))
}

// Fingerprint appends FINGERPRINT.
func (b *Builder) Fingerprint() *Builder {
	b.begin(Fingerprint, 4)
	b.raw = binary.BigEndian.AppendUint32(b.raw, fingerprint(b.raw[b.from:len(b.raw)-4]))
	return b
}

// Bytes returns the slice with the message behind what was in it.
func (b *Builder) Bytes() []byte { return b.raw }

// fingerprint is the value of FINGERPRINT behind the bytes of a message, whose length
// counts it already.
func fingerprint(b []byte) uint32 { return crc32.ChecksumIEEE(b) ^ 0x5354554e }

// sum is the HMAC-SHA-1 of a message as if its length were that.
func sum(key, raw []byte, length int) []byte {
	mac := hmac.New(sha1.New, key)
	mac.Write(raw[:2])
	mac.Write(binary.BigEndian.AppendUint16(nil, uint16(length)))
	mac.Write(raw[4:])
	return mac.Sum(nil)
}

func equal(a, b []byte) bool { return hmac.Equal(a, b) }

// Key is the key of the long-term mechanism: what password there is for a user in a realm.
func Key(user, realm, password string) []byte {
	k := md5.Sum([]byte(user + ":" + realm + ":" + password)) //nolint:gosec // RFC 8489, 9.2.2
	return k[:]
}
