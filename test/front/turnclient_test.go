package front

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/millrace/millrace/internal/relay/stun"
)

const stunBinding = stun.Binding

// turnChannel is the number of the one channel that a client has.
const turnChannel = stun.FirstChannel

// turnClient is a client with an allocation, and its peer.
type turnClient struct {
	conn           *net.UDPConn
	user, password string
	realm, nonce   []byte
	relayed        netip.AddrPort
	peer           *net.UDPConn // nil = not yet
}

// dialTurn makes the i-th client of a server, from an address of its own: who asks too often
// without credentials gets no answer from us.
func (s *turnServer) dialTurn(i int, user, password string) (*turnClient, error) {
	conn, err := net.DialUDP("udp", member(1, i), s.at())
	return &turnClient{conn: conn, user: user, password: password}, err
}

func (c *turnClient) close() {
	_ = c.conn.Close()
	if c.peer != nil {
		_ = c.peer.Close()
	}
}

func (c *turnClient) key() []byte { return stun.Key(c.user, string(c.realm), c.password) }

// request builds a request that is signed as far as the client can.
func (c *turnClient) request(method stun.Method, fill func(*stun.Builder)) []byte {
	var transaction [12]byte
	_, _ = rand.Read(transaction[:])
	b := stun.NewBuilder(nil, method, stun.Request, transaction[:])
	if fill != nil {
		fill(b)
	}
	if c.nonce == nil {
		return b.Bytes()
	}
	return b.Add(stun.Username, []byte(c.user)).Add(stun.Realm, c.realm).Add(stun.Nonce, c.nonce).Sign(c.key()).Bytes()
}

// exchange sends a request once and waits for an answer.
func (c *turnClient) exchange(request []byte, patience time.Duration) (m stun.Message, err error) {
	if _, err = c.conn.Write(request); err != nil {
		return m, err
	}
	answer := make([]byte, 2000)
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := c.conn.Read(answer)
	if err != nil {
		return m, err
	}
	return stun.Parse(answer[:n])
}

// ask sends a request and wants success.
func (c *turnClient) ask(method stun.Method, fill func(*stun.Builder)) (stun.Message, error) {
	m, err := c.exchange(c.request(method, fill), 5*time.Second)
	if err == nil && m.Class() != stun.Success {
		code, _ := m.Get(stun.ErrorCode)
		err = fmt.Errorf("%s is refused: %q", method, code)
	}
	if err != nil {
		return m, fmt.Errorf("%s from %s: %w", method, c.conn.LocalAddr(), err)
	}
	return m, nil
}

// setUp gets an allocation and the permission to reach a peer: three exchanges, as every call
// begins that is relayed.
func (c *turnClient) setUp(peer netip.AddrPort) error {
	overUDP := func(b *stun.Builder) { b.AddNumber(stun.RequestedTransport, 17<<24) }
	m, err := c.exchange(c.request(stun.Allocate, overUDP), 5*time.Second)
	if err != nil {
		return fmt.Errorf("the first Allocate from %s: %w", c.conn.LocalAddr(), err)
	}
	c.realm, _ = m.Get(stun.Realm)
	c.nonce, _ = m.Get(stun.Nonce)
	if m, err = c.ask(stun.Allocate, overUDP); err != nil {
		return err
	}
	var ok bool
	if c.relayed, ok = m.Address(stun.XORRelayedAddress); !ok {
		return errors.New("no relay address")
	}
	_, err = c.ask(stun.CreatePermission, func(b *stun.Builder) { b.AddAddress(stun.XORPeerAddress, peer) })
	return err
}

// release gives the allocation back.
func (c *turnClient) release() error {
	_, err := c.ask(stun.Refresh, func(b *stun.Builder) { b.AddNumber(stun.Lifetime, 0) })
	return err
}

// openPeer makes the i-th peer.
func (c *turnClient) openPeer(i int) (netip.AddrPort, error) {
	var err error
	if c.peer, err = net.ListenUDP("udp4", member(2, i)); err != nil {
		return netip.AddrPort{}, err
	}
	return c.peer.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// connect opens the i-th peer, sets up the way to it and binds a channel, and then sends a
// packet each way through it: what an allocation takes in use is taken then.
func (c *turnClient) connect(i int) error {
	peer, err := c.openPeer(i)
	if err != nil {
		return err
	}
	if err := c.setUp(peer); err != nil {
		return err
	}
	_, err = c.ask(stun.ChannelBind, func(b *stun.Builder) {
		b.AddNumber(stun.ChannelNumber, turnChannel<<16).AddAddress(stun.XORPeerAddress, peer)
	})
	if err != nil {
		return err
	}
	buffer := make([]byte, 2000)
	if _, err := c.conn.Write(channelData(make([]byte, 100))); err != nil {
		return err
	}
	_ = c.peer.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, from, err := c.peer.ReadFromUDPAddrPort(buffer)
	if err != nil || n != 100 || from != c.relayed {
		return fmt.Errorf("%d bytes from %s instead of %s: %w", n, from, c.relayed, err)
	}
	if _, err := c.peer.WriteToUDPAddrPort(buffer[:n], from); err != nil {
		return err
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err = c.conn.Read(buffer); err != nil || n != 100+stun.ChannelHead {
		return fmt.Errorf("%d bytes came back: %w", n, err)
	}
	return nil
}

// channelData puts the head of the channel before a payload.
func channelData(payload []byte) []byte {
	b := make([]byte, stun.ChannelHead, stun.ChannelHead+len(payload))
	stun.PutChannel(b, turnChannel, len(payload))
	return append(b, payload...)
}
