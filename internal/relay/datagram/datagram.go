// Package datagram opens UDP sockets that share an address, and knows at which of the
// machine's addresses a packet came, so that an answer leaves from there. What a system
// cannot do is left out: then there is one socket, and the system picks the address.
//
// A [Reader] reads what is at a socket, many packets with one call, and an [Outbox] sends
// many with one; section 10 of docs/design/relay.md says why.
package datagram

import (
	"context"
	"net"
)

// Listen opens n sockets at one address, or one where they cannot share it. All have the
// port that the first one got.
func Listen(network, address string, n int) (all []*net.UDPConn, err error) {
	if !CanShare {
		n = 1
	}
	config := net.ListenConfig{Control: share}
	for range n {
		c, err := config.ListenPacket(context.Background(), network, address)
		if err != nil {
			for _, before := range all {
				before.Close()
			}
			return nil, err
		}
		conn, _ := c.(*net.UDPConn) // it is one: the network is UDP
		all = append(all, conn)
		address = conn.LocalAddr().String()
	}
	return all, nil
}
