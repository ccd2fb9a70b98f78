package datagram

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// CanShare says that the system spreads packets over sockets with one address, always
// those of a client to the same.
const CanShare = true

func share(_, _ string, c syscall.RawConn) (err error) {
	controlled := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if controlled != nil {
		return controlled
	}
	return err
}

// OOBSize is enough for what the system says of a packet.
const OOBSize = 64

// WantDestination asks the system to say at which address each packet came.
func WantDestination(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option := unix.IPPROTO_IP, unix.IP_PKTINFO
	if a, ok := conn.LocalAddr().(*net.UDPAddr); ok && !a.AddrPort().Addr().Unmap().Is4() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO
	}
	controlled := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) })
	if controlled != nil {
		return controlled
	}
	return err
}

// Destination reads at which address a packet came.
func Destination(oob []byte) (netip.Addr, bool) {
	if len(oob) == 0 {
		return netip.Addr{}, false
	}
	h, data, _, err := unix.ParseOneSocketControlMessage(oob)
	switch {
	case err != nil:
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= 12:
		return netip.AddrFrom4([4]byte(data[8:12])), true
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 20:
		return netip.AddrFrom16([16]byte(data[:16])), true
	}
	return netip.Addr{}, false
}

// LeaveFrom is what tells the system from which address a packet is to go out.
func LeaveFrom(a netip.Addr) []byte {
	if a.Is4() {
		return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: a.As4()})
	}
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: a.As16()})
}
