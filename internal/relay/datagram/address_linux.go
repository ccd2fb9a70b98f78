package datagram

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is an address as the system has it. One of IPv4 uses its beginning.
type sockaddr unix.RawSockaddrInet6

// port is the place of the port, which is the same in both families. The system has it
// with the first byte first.
func (s *sockaddr) port() *[2]byte { return (*[2]byte)(unsafe.Pointer(&s.Port)) } //nolint:gosec // of two bytes

func (s *sockaddr) as4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(s)) //nolint:gosec // the shorter one of the two
}

// put writes an address for a socket of one of the families and returns its length. One of
// IPv6 for a socket of IPv4 stays what it is, and the system refuses it.
func (s *sockaddr) put(a netip.AddrPort, is6 bool) uint32 {
	binary.BigEndian.PutUint16(s.port()[:], a.Port())
	if ip := a.Addr().Unmap(); !is6 && ip.Is4() {
		s.Family, s.as4().Addr = unix.AF_INET, ip.As4()
		return unix.SizeofSockaddrInet4
	}
	s.Family, s.Flowinfo, s.Addr, s.Scope_id = unix.AF_INET6, 0, a.Addr().As16(), scope(a.Addr().Zone())
	return unix.SizeofSockaddrInet6
}

// scope is the number of a zone, which only addresses of one link have.
func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index) //nolint:gosec // the system made it of as many bits
	}
	return 0
}

// get reads an address.
func (s *sockaddr) get() netip.AddrPort {
	port := binary.BigEndian.Uint16(s.port()[:])
	if s.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4(s.as4().Addr), port)
	}
	a := netip.AddrFrom16(s.Addr)
	if s.Scope_id != 0 {
		a = a.WithZone(strconv.FormatUint(uint64(s.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, port)
}
