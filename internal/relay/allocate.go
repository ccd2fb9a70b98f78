package relay

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/millrace/millrace/internal/relay/credential"
	"github.com/millrace/millrace/internal/relay/peers"
	"github.com/millrace/millrace/internal/relay/stun"
)

// Families as attributes name them.
const (
	v4 = stun.IPv4
	v6 = stun.IPv6
)

func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return v4
	}
	return v6
}

// Lifetimes (section 4).
const (
	allocationLife = 10 * time.Minute
	longestLife    = time.Hour
	permissionLife = 5 * time.Minute
	channelLife    = 10 * time.Minute
)

const overUDP = 17 // REQUESTED-TRANSPORT, the number of UDP in IP

// allocate answers Allocate.
func (p *path) allocate(m stun.Message) {
	before, key, ok := p.authenticate(m)
	if !ok {
		return
	}
	if before != nil {
		p.again(before, m)
		return
	}
	w, code := p.wanted(m, key)
	switch code {
	case 0:
	case unknown:
		p.unknown(m, key)
		return
	case unauthorized:
		p.challenge(m, code, w.why, w.holder)
		return
	default:
		p.fail(m, key, code)
		return
	}
	a, code := p.server.create(p, w)
	if code != 0 {
		p.logRefusal(map[int]string{quota: "too many allocations", noCapacity: "no port, or stopping"}[code], w.holder)
		p.fail(m, key, code)
		return
	}
	p.granted(a, m)
}

// again answers a repeated Allocate: clients that hear nothing soon enough ask again, some
// with a new transaction id (section 4). Who asks for something else does not repeat: he
// has the port of a client that went without a word.
func (p *path) again(a *allocation, m stun.Message) {
	if a.used() || a.asked != asks(m) || a.token != "" && !p.server.book.keeps(a.token) {
		p.fail(m, a.key, mismatch)
		return
	}
	p.granted(a, m)
}

// granted tells the client its addresses.
func (p *path) granted(a *allocation, m stun.Message) {
	b := p.begin(m, stun.Success).AddAddress(stun.XORRelayedAddress, a.relayed).AddNumber(stun.Lifetime, seconds(a.left()))
	b.AddAddress(stun.XORMappedAddress, p.from)
	if a.token != "" {
		b.Add(stun.ReservationToken, []byte(a.token))
	}
	if _, more := m.Get(stun.AdditionalFamily); more {
		other := uint32(v4 + v6 - familyOf(a.relayed.Addr()))
		b.AddNumber(stun.AddressErrorCode, other<<24|wrongFamily/100<<8|wrongFamily%100)
	}
	p.answer(m, b, a.key)
}

// asks is what tells Allocate requests of one user apart.
func asks(m stun.Message) string {
	even, _ := m.Get(stun.EvenPort)
	token, _ := m.Get(stun.ReservationToken)
	family, _ := m.Get(stun.RequestedAddressFamily)
	return string(even) + string(token) + string(family) // of 1, 8 and 4 bytes
}

// wish is what an Allocate asks for, after it was checked.
type wish struct {
	asked   string // see [asks]
	user    string
	key     []byte
	holder  credential.Holder
	address Address
	life    time.Duration
	even    bool
	next    bool   // keep the port above for another allocation
	token   string // of a port that was kept
	why     Unauthorized
}

// wanted reads an Allocate whose signature was right; code is that of a refusal.
func (p *path) wanted(m stun.Message, key []byte) (w wish, code int) {
	user, _ := m.Get(stun.Username)
	w.user, w.key, w.life, w.asked = string(user), key, lifetime(m), asks(m)
	var err error
	now := p.server.o.Now()
	switch w.holder, err = credential.Parse(w.user); {
	case err != nil:
		w.why = UnknownUser
	case p.server.book.isRevoked(w.holder.Channel):
		w.why = Withdrawn
	case w.holder.Expired(now):
		w.why = OutOfDate
	}
	if w.why != "" {
		return w, unauthorized
	}
	transport, ok := m.Get(stun.RequestedTransport)
	switch {
	case len(m.Unknown()) > 0:
		return w, unknown
	case !ok || len(transport) != 4:
		return w, badRequest
	case transport[0] != overUDP:
		return w, noTransport
	case w.life == 0: // only a Refresh gives something back
		w.life = allocationLife
	}
	if code = w.ports(m); code != 0 {
		return w, code
	}
	return w, p.family(&w, m)
}

// ports reads EVEN-PORT and RESERVATION-TOKEN, and ADDITIONAL-ADDRESS-FAMILY: which of
// them stand together is in RFC 8656, 7.2.
func (w *wish) ports(m stun.Message) (code int) {
	even, isEven := m.Get(stun.EvenPort)
	token, isToken := m.Get(stun.ReservationToken)
	_, isFamily := m.Get(stun.RequestedAddressFamily)
	more, isMore := m.Get(stun.AdditionalFamily)
	switch {
	case isMore && (len(more) != 4 || more[0] != v6 || isFamily || isToken || isEven && len(even) == 1 && even[0]&0x80 != 0):
		return badRequest
	case isEven && (isToken || len(even) != 1), isToken && (isFamily || len(token) != 8):
		return badRequest
	case isEven:
		w.even, w.next = true, even[0]&0x80 != 0
	case isToken:
		w.token = string(token)
	}
	return 0
}

// family picks the relay address.
func (p *path) family(w *wish, m stun.Message) (code int) {
	v, ok := m.Get(stun.RequestedAddressFamily)
	switch {
	case ok && len(v) != 4:
		return badRequest
	case ok:
		if w.address, ok = p.server.of(uint32(v[0])); !ok || v[0] != v4 && v[0] != v6 {
			return wrongFamily
		}
	default:
		if w.address, ok = p.server.of(v4); !ok {
			w.address, _ = p.server.of(v6)
		}
	}
	return 0
}

// lifetime is how long a client may have what it asks for; 0 = it gives it back.
func lifetime(m stun.Message) time.Duration {
	n, ok := m.Number(stun.Lifetime)
	if !ok {
		return allocationLife
	}
	return min(time.Duration(n)*time.Second, longestLife)
}

func seconds(d time.Duration) uint32 { return uint32((d + time.Second/2) / time.Second) }

// refresh answers Refresh.
func (p *path) refresh(a *allocation, m stun.Message) {
	if v, ok := m.Get(stun.RequestedAddressFamily); ok && (len(v) != 4 || v[0] != familyOf(a.relayed.Addr())) {
		p.fail(m, a.key, wrongPeer)
		return
	}
	life := lifetime(m)
	if life > 0 {
		a.extend(life)
	}
	p.answer(m, p.begin(m, stun.Success).AddNumber(stun.Lifetime, seconds(life)), a.key)
	if life == 0 {
		a.stop(Released)
	}
}

// permit answers CreatePermission: all its peers, or none.
func (p *path) permit(a *allocation, m stun.Message) {
	all, ok := m.Addresses(stun.XORPeerAddress)
	if !ok {
		p.fail(m, a.key, badRequest)
		return
	}
	for _, peer := range all {
		if code := a.admits(peer.Addr()); code != 0 {
			p.fail(m, a.key, code)
			return
		}
	}
	if !a.permit(all) {
		p.fail(m, a.key, noCapacity)
		return
	}
	p.answer(m, p.begin(m, stun.Success), a.key)
}

// bind answers ChannelBind.
func (p *path) bind(a *allocation, m stun.Message) {
	v, _ := m.Get(stun.ChannelNumber)
	peer, ok := m.Address(stun.XORPeerAddress)
	if !ok || len(v) != 4 || peer.Port() == 0 {
		p.fail(m, a.key, badRequest)
		return
	}
	number := binary.BigEndian.Uint16(v)
	if number < stun.FirstChannel || number > stun.LastChannel {
		p.fail(m, a.key, badRequest)
		return
	}
	code := a.admits(peer.Addr())
	if code == 0 {
		code = a.bind(number, peer)
	}
	if code != 0 {
		p.fail(m, a.key, code)
		return
	}
	p.answer(m, p.begin(m, stun.Success), a.key)
}

// admits says whether a peer address may be dealt with; code is that of a refusal.
func (a *allocation) admits(peer netip.Addr) (code int) {
	s := a.path.server
	switch {
	case peer.Is4() != a.relayed.Addr().Is4():
		return wrongPeer
	case s.ours(peer):
		return 0
	case s.denies(peer):
		return forbidden
	}
	return 0
}

func (s *Server) denies(peer netip.Addr) bool {
	p := *s.peers.Load()
	p.Host = s.host.addresses(s.o.Now())
	return p.Host == nil || p.Denies(peer) != peers.Allowed // an address of this host would not be known
}
