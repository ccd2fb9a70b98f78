package stun

import (
	"encoding/binary"
	"net/netip"
)

// Attribute is the kind of an attribute. Kinds below 0x8000 must be understood.
type Attribute uint16

// The attributes that the relay reads or writes, with the RFC's numbers.
const (
	MappedAddress          Attribute = 0x0001
	ChangeRequest          Attribute = 0x0003
	Username               Attribute = 0x0006
	MessageIntegrity       Attribute = 0x0008
	ErrorCode              Attribute = 0x0009
	UnknownAttributes      Attribute = 0x000A
	ChannelNumber          Attribute = 0x000C
	Lifetime               Attribute = 0x000D
	XORPeerAddress         Attribute = 0x0012
	DataValue              Attribute = 0x0013
	Realm                  Attribute = 0x0014
	Nonce                  Attribute = 0x0015
	XORRelayedAddress      Attribute = 0x0016
	RequestedAddressFamily Attribute = 0x0017
	EvenPort               Attribute = 0x0018
	RequestedTransport     Attribute = 0x0019
	XORMappedAddress       Attribute = 0x0020
	ReservationToken       Attribute = 0x0022
	ResponsePort           Attribute = 0x0027
	Software               Attribute = 0x8022
	Fingerprint            Attribute = 0x8028
	ResponseOrigin         Attribute = 0x802B
	OtherAddress           Attribute = 0x802C
	AdditionalFamily       Attribute = 0x8000 // ADDITIONAL-ADDRESS-FAMILY
	AddressErrorCode       Attribute = 0x8001
)

// ice are attributes of connectivity checks: a Binding with them is answered, for nothing
// in it asks for more.
const (
	icePriority     Attribute = 0x0024
	iceUseCandidate Attribute = 0x0025
)

// known says whether a server that gets the attribute may go on.
func (a Attribute) known() bool {
	switch a {
	case Username, MessageIntegrity, ErrorCode, UnknownAttributes, ChannelNumber, Lifetime, XORPeerAddress, DataValue,
		Realm, Nonce, XORRelayedAddress, RequestedAddressFamily, EvenPort, RequestedTransport, XORMappedAddress,
		ReservationToken, icePriority, iceUseCandidate:
		return true
	}
	return false
}

// The families of addresses in attributes.
const (
	IPv4 = 1
	IPv6 = 2
)

// Address reads an attribute with an address that is XORed with cookie and transaction.
// An IPv4 address in IPv6 form stays as it is.
func (m Message) Address(kind Attribute) (netip.AddrPort, bool) {
	v, ok := m.Get(kind)
	if !ok {
		return netip.AddrPort{}, false
	}
	return m.address(v)
}

// Addresses reads all attributes of a kind; ok is false if one is malformed or there is none.
func (m Message) Addresses(kind Attribute) (all []netip.AddrPort, ok bool) {
	for at, k := range m.attributes() {
		if k != kind {
			continue
		}
		a, ok := m.address(m.value(at))
		if !ok {
			return nil, false
		}
		all = append(all, a)
	}
	return all, len(all) > 0
}

func (m Message) address(v []byte) (netip.AddrPort, bool) {
	var ip netip.Addr
	switch {
	case len(v) == 8 && v[1] == IPv4:
		var a [4]byte
		xor(a[:], v[4:], m.raw[4:])
		ip = netip.AddrFrom4(a)
	case len(v) == 20 && v[1] == IPv6:
		var a [16]byte
		xor(a[:], v[4:], m.raw[4:])
		ip = netip.AddrFrom16(a)
	default:
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(v[2:])^cookie>>16), true
}

// Number reads an attribute of four bytes; ok is false if it is not there or not of that size.
func (m Message) Number(kind Attribute) (n uint32, ok bool) {
	v, ok := m.Get(kind)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// xor writes a ^ b to dst, of whose length both have at least.
func xor(dst, a, b []byte) {
	for i := range dst {
		dst[i] = a[i] ^ b[i]
	}
}
