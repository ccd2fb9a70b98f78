package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"

	"github.com/millrace/millrace/internal/relay/datagram"
)

// Listener is an address at which clients come in.
type Listener struct {
	Network string // udp: STUN and DTLS; tcp: STUN and TLS; "": both on one port
	Address string // host and port; without a host, all addresses
}

// open opens the sockets of a listener.
func (s *Server) open(l Listener) (doors []door, err error) {
	host, _, err := net.SplitHostPort(l.Address)
	switch {
	case err != nil:
		return nil, err
	case l.Network == "":
		return s.openBoth(l.Address)
	case l.Network == "tcp":
		listener, err := net.Listen("tcp", l.Address)
		if err != nil {
			return nil, err
		}
		return []door{newEntrance(s, listener)}, nil
	case l.Network != "udp":
		return nil, fmt.Errorf("network %q: want udp or tcp", l.Network)
	case host != "":
		return s.openUDP("udp", l.Address)
	}
	// Each family has its own sockets: a packet says at which address it came.
	doors, err = s.openUDP("udp4", l.Address)
	if err != nil {
		return nil, err
	}
	address := doors[0].listening().Address
	_, port, _ := net.SplitHostPort(address)
	if more, err := s.openUDP("udp6", net.JoinHostPort("::", port)); err == nil {
		doors = append(doors, more...) // else this machine has no IPv6
	}
	return doors, nil
}

// openBoth opens TCP and UDP on one port. If any port will do, the one that TCP got may be
// taken by another program's UDP, and then another is tried.
func (s *Server) openBoth(address string) (doors []door, err error) {
	host, port, _ := net.SplitHostPort(address)
	for range portTries {
		if doors, err = s.open(Listener{Network: "tcp", Address: address}); err != nil {
			return nil, err
		}
		_, got, _ := net.SplitHostPort(doors[0].listening().Address)
		more, err := s.open(Listener{Network: "udp", Address: net.JoinHostPort(host, got)})
		if err == nil {
			return append(doors, more...), nil
		}
		doors[0].close()
		if port != "0" {
			return nil, err
		}
	}
	return nil, errors.New("no port is free for both TCP and UDP")
}

// openUDP opens as many sockets at one address as packets can be spread over.
func (s *Server) openUDP(network, address string) (doors []door, err error) {
	n := s.o.Sockets
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	conns, err := datagram.Listen(network, address, n)
	if err != nil {
		return nil, err
	}
	for _, c := range conns {
		d, problem := newSocket(s, c)
		doors, err = append(doors, d), errors.Join(err, problem)
	}
	if err != nil {
		for _, d := range doors {
			d.close()
		}
	}
	return doors, err
}

// receiveBuffer is what the system keeps of packets until we have read them, if it lets us.
const receiveBuffer = 4 << 20

// unspecified says whether a socket takes packets to any address.
func unspecified(conn *net.UDPConn) bool { return addrPort(conn.LocalAddr()).Addr().IsUnspecified() }

// arrival is at which address of ours a packet came: what the system says, or where the
// socket is.
func arrival(oob []byte, local netip.AddrPort) netip.AddrPort {
	if a, ok := datagram.Destination(oob); ok {
		return netip.AddrPortFrom(a, local.Port())
	}
	return local
}
