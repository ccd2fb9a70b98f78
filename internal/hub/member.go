package hub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/kvs"
)

// Role is what a connection is on a channel.
type Role uint8

// The roles.
const (
	Master Role = iota
	Viewer
)

// String returns "master" or "viewer".
func (r Role) String() string {
	if r == Viewer {
		return "viewer"
	}
	return "master"
}

// Member is who wants a seat.
type Member struct {
	Channel   kvs.Channel
	Role      Role
	ClientID  string // of viewers; that of a master is ignored
	Client    string // its address
	UserAgent string
	AccessKey string
	RequestID string
	Limits    Limits

	// Unwarned is who is never told GO_AWAY or RECONNECT_ICE_SERVER, because it would hang for
	// ever. Its connection is closed when its time is over, as that of everybody.
	Unwarned bool
}

// Limits are what a connection may do (limits sheet, section 7). Zero is without limit.
type Limits struct {
	Viewers int // connections of viewers on the channel at once

	OfferRate, AnswerRate, CandidateRate    float64 // messages a second
	OfferBytes, AnswerBytes, CandidateBytes int64   // characters of a payload

	Age    time.Duration // of a connection
	Idle   time.Duration // without a message either way
	GoAway time.Duration // how long before its greatest age a connection is told to go
}

// Conn is a websocket. The hub reads on one goroutine, writes on one at a time, and pings
// and closes on others beside them.
type Conn interface {
	// Read returns one whole text message, whose bytes are the hub's from then on. Its error
	// is ErrLeft, ErrBinary, ErrTooLong or ErrProtocol, or that of a network that failed.
	Read(ctx context.Context) (text []byte, err error)

	// Write sends one text message in one frame.
	Write(ctx context.Context, text []byte) error

	// Ping returns when the other side has answered one. Read must be running.
	Ping(ctx context.Context) error

	// Close ends the connection in good form if the other side takes part, and in any case
	// within a bounded time. Read returns then.
	Close(code int, reason string) error
}

// What Conn.Read says of a connection that ends otherwise than by the network.
var (
	ErrLeft     = errors.New("closed by the client")
	ErrBinary   = errors.New("a binary message came, only text is allowed")
	ErrTooLong  = errors.New("a message was longer than 65536 bytes")
	ErrProtocol = errors.New("what came is no websocket protocol")
)

// member is a connection that has a seat. What is not said to belong to somebody is never
// changed.
type member struct {
	hub  *Hub
	room *room

	role   Role
	id     string // the viewer's; "" the master
	who    identity
	limits Limits
	deaf   bool   // is told nothing of the server's own but why a message was refused
	number uint64 // of its seat: greater is newer

	conn   Conn
	ctx    context.Context // of all that is done on conn; ends when that is closed
	cancel context.CancelFunc
	since  time.Time

	outbox outbox
	work   sync.WaitGroup // goroutines besides the reader
	over   chan struct{}  // closed when the connection is about to be closed
	closed chan struct{}  // closed when it is

	heard  atomic.Int64 // when it was last known to be there, by the hub's clock in ns
	active atomic.Int64 // when the last message came or went
	in     atomic.Int64 // messages
	out    atomic.Int64

	manners manners // the reader's

	mu      sync.Mutex // over the following
	ended   bool
	ending  Ending
	timer   *time.Timer
	pinging bool
	warned  bool // GO_AWAY was sent because of its age

	left bool // it has no seat any more; the room's
}

// identity is what is known of a client besides its name, for those who look.
type identity struct{ address, userAgent, accessKey, requestID string }
