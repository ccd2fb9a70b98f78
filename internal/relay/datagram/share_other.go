//go:build !linux

package datagram

import (
	"net"
	"net/netip"
	"syscall"
)

// CanShare says that the system spreads packets over sockets with one address, always
// those of a client to the same.
const CanShare = false

// OOBSize is enough for what the system says of a packet.
const OOBSize = 0

func share(_, _ string, _ syscall.RawConn) error { return nil }

// WantDestination asks the system to say at which address each packet came. This one does not.
func WantDestination(*net.UDPConn) error { return nil }

// Destination reads at which address a packet came.
func Destination([]byte) (a netip.Addr, ok bool) { return a, false }

// LeaveFrom is what tells the system from which address a packet is to go out.
func LeaveFrom(netip.Addr) []byte { return nil }
