package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/millrace/millrace/internal/relay/stun"
)

// discovery answers from another address or port than was asked, by which a client finds
// out what its NAT does (RFC 5780). It has two addresses of one family, two ports, and a
// socket for each of both.
type discovery struct {
	hosts   [2]netip.Addr
	ports   [2]uint16
	sockets [2][2]*socket // by host and port
}

// What a client may ask to be changed.
const (
	changeHost = 4
	changePort = 2
)

var errDiscovery = errors.New("the discovery of NATs needs two listeners, at two addresses of one family")

// discover opens what discovery needs beside the listeners.
func (s *Server) discover() error {
	v, err := s.opposite()
	if err != nil {
		return err
	}
	s.discovery = v
	return v.open(s)
}

// opposite finds the addresses: two listeners, and the port of each at the address of the
// other, or, if both have the same port, the one beside it at both.
func (s *Server) opposite() (*discovery, error) {
	v, n := &discovery{}, 0
	for _, d := range s.doors {
		u, ok := d.(*socket)
		switch {
		case !ok || n > 0 && v.hosts[n-1] == u.local.Addr() && v.ports[n-1] == u.local.Port():
			continue // TCP, or another socket of the same listener
		case n == 2 || u.wild:
			return nil, errDiscovery
		}
		v.hosts[n], v.ports[n] = u.local.Addr(), u.local.Port()
		v.sockets[n][n] = u
		n++
	}
	if n != 2 || v.hosts[0] == v.hosts[1] || v.hosts[0].Is4() != v.hosts[1].Is4() {
		return nil, errDiscovery
	}
	if v.ports[0] == v.ports[1] {
		v.ports[1] ^= 1 // the next, or the one before
		v.sockets[1][0], v.sockets[1][1] = v.sockets[1][1], nil
	}
	return v, nil
}

// open opens the sockets that are not there yet. They serve as the listeners do.
func (v *discovery) open(s *Server) error {
	for i, host := range v.hosts {
		for j, port := range v.ports {
			if v.sockets[i][j] != nil {
				continue
			}
			at := netip.AddrPortFrom(host, port).String()
			doors, err := s.openUDP("udp", at)
			if err != nil {
				return s.notFree(at, err)
			}
			v.sockets[i][j], _ = doors[0].(*socket) // it is one: the network is UDP
			s.doors = append(s.doors, doors...)
		}
	}
	return nil
}

// errNotFree says that the port of one listener is taken at the address of the other, and
// that the listener would take any.
var errNotFree = errors.New("no port is free at both addresses")

func (s *Server) notFree(at string, err error) error {
	whatever := func(l Listener) bool { _, port, _ := net.SplitHostPort(l.Address); return port == "0" }
	if slices.ContainsFunc(s.o.Listeners, whatever) {
		return errNotFree
	}
	return fmt.Errorf("discovery of NATs on %s: %w", at, err)
}

// place says to which of the four addresses a client came.
func (v *discovery) place(at netip.AddrPort) (host, port int) {
	if at.Addr() != v.hosts[0] {
		host = 1
	}
	if at.Port() != v.ports[0] {
		port = 1
	}
	return host, port
}

// serves says whether a path is one of which something can be found out. The server may
// have no discovery.
func (v *discovery) serves(p *path) bool { return v != nil && p.transport == UDP }

// binding answers Binding as RFC 5780 has it, 6.1. PADDING is not understood: what it asks
// for is an answer of many bytes for whoever the sender says to be.
func (v *discovery) binding(p *path, m stun.Message) {
	if len(m.Unknown(stun.ChangeRequest, stun.ResponsePort)) > 0 {
		p.unknown(m, nil, stun.ChangeRequest, stun.ResponsePort)
		return
	}
	packet, from, to := v.answer(p, m)
	if packet == nil {
		p.fail(m, nil, badRequest)
		return
	}
	from.conn.Send(packet, nil, to) // what is lost is asked again
}

// answer makes an answer and says from which socket it goes where, nil if the question
// makes no sense.
func (v *discovery) answer(p *path, m stun.Message) (packet []byte, from *socket, to netip.AddrPort) {
	host, port := v.place(p.to)
	other := netip.AddrPortFrom(v.hosts[1-host], v.ports[1-port])
	to, ok := v.asked(p, m, &host, &port)
	if !ok {
		return nil, nil, to
	}
	from = v.sockets[host][port]
	b := p.begin(m, stun.Success).AddAddress(stun.XORMappedAddress, p.from)
	v.tell(b, m, []told{{stun.OtherAddress, other}, {stun.ResponseOrigin, from.local}, {stun.MappedAddress, p.from}})
	if m.Fingerprinted() {
		b.Fingerprint()
	}
	return b.Bytes(), from, to
}

// asked reads from where and to which port the answer is to go.
func (v *discovery) asked(p *path, m stun.Message, host, port *int) (to netip.AddrPort, ok bool) {
	if _, is := m.Get(stun.ChangeRequest); is {
		change, ok := m.Number(stun.ChangeRequest)
		if !ok {
			return to, false
		}
		if change&changeHost != 0 {
			*host = 1 - *host
		}
		if change&changePort != 0 {
			*port = 1 - *port
		}
	}
	value, is := m.Get(stun.ResponsePort)
	if !is {
		return p.from, true
	}
	if len(value) != 2 && len(value) != 4 || binary.BigEndian.Uint16(value) == 0 { // the RFC has padding in it or not
		return to, false
	}
	return netip.AddrPortFrom(p.from.Addr(), binary.BigEndian.Uint16(value)), true
}

// told is an address in an answer.
type told struct {
	kind stun.Attribute
	at   netip.AddrPort
}

// tell adds addresses as long as the answer keeps its bounds (section 6): the source of the
// question may be forged.
func (v *discovery) tell(b *stun.Builder, m stun.Message, all []told) {
	headers, size := 28, 12 // of IP and UDP; of an address in an answer
	if v.hosts[0].Is6() {
		headers, size = 48, 24
	}
	room := min(longestAnswer, 2*m.Len()+headers-1)
	if m.Fingerprinted() {
		room -= 8
	}
	for _, t := range all {
		if len(b.Bytes())+size > room {
			return
		}
		b.AddPlainAddress(t.kind, t.at)
	}
}

// longestAnswer is what somebody gets at most who has shown no credentials (section 6).
const longestAnswer = 100
