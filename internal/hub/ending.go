package hub

import (
	"context"
	"errors"
	"log/slog"

	"github.com/millrace/millrace/internal/kvs"
)

// Reason is why a connection ended, in one word: it is in the log and the label of a
// metric.
type Reason string

// The reasons (signaling.md, section 8).
const (
	Left     Reason = "left"     // closed by the client
	Lost     Reason = "lost"     // the network
	Replaced Reason = "replaced" // by a newer connection of the same name
	Deleted  Reason = "deleted"  // the channel
	Revoked  Reason = "revoked"  // the right to be there
	Expired  Reason = "expired"  // the credentials of a session
	Silent   Reason = "silent"   // no answer to a ping
	Slow     Reason = "slow"     // it does not read what is sent
	Idle     Reason = "idle"     // no message for long
	Age      Reason = "age"      // it was there for long
	Stopping Reason = "stopping" // the server
	Abuse    Reason = "abuse"    // too many bad messages
	Protocol Reason = "protocol" // no text messages of a websocket, or too long ones
)

// reasons are all of them.
var reasons = []Reason{Left, Lost, Replaced, Deleted, Revoked, Expired, Silent, Slow, Idle, Age, Stopping, Abuse, Protocol}

// Ending is how a connection ended.
type Ending struct {
	Reason Reason
	Code   int    // of the close frame that was sent (RFC 6455, section 7.4)
	Text   string // in it
	Err    error  // what the network said, nil if it was not asked
}

// Codes of close frames.
const (
	codeNormal   = 1000
	codeAway     = 1001
	codeProtocol = 1002
	codeNoText   = 1003
	codePolicy   = 1008
	codeTooLong  = 1009
	codeInternal = 1011
)

// The endings that come from here.
var (
	replaced = Ending{Reason: Replaced, Code: codeNormal, Text: "replaced by a newer connection"}
	deleted  = Ending{Reason: Deleted, Code: codeNormal, Text: "channel deleted"}
	revoked  = Ending{Reason: Revoked, Code: codePolicy, Text: "not allowed any more"}
	expired  = Ending{Reason: Expired, Code: codePolicy, Text: "the credentials have expired"}
	silent   = Ending{Reason: Silent, Code: codeAway, Text: "no answer to a ping"}
	slow     = Ending{Reason: Slow, Code: codePolicy, Text: "too slow"}
	idle     = Ending{Reason: Idle, Code: codeAway, Text: "no message for too long"}
	aged     = Ending{Reason: Age, Code: codeAway, Text: "connected for too long"}
	stopping = Ending{Reason: Stopping, Code: codeAway, Text: "the server is stopping"}
	failed   = Ending{Reason: Lost, Code: codeInternal, Text: "internal error"}
	abuse    = Ending{Reason: Abuse, Code: codePolicy, Text: "too many bad messages"}
)

// readEnding is the ending for an error of Conn.Read.
func readEnding(err error) Ending {
	switch {
	case errors.Is(err, ErrLeft):
		return Ending{Reason: Left, Code: codeNormal, Err: err}
	case errors.Is(err, ErrBinary):
		return Ending{Reason: Protocol, Code: codeNoText, Text: "only text messages are allowed", Err: err}
	case errors.Is(err, ErrTooLong):
		return Ending{Reason: Protocol, Code: codeTooLong, Text: "messages may have 65536 bytes", Err: err}
	case errors.Is(err, ErrProtocol):
		return Ending{Reason: Protocol, Code: codeProtocol, Text: "protocol error", Err: err}
	}
	return Ending{Reason: Lost, Code: codeAway, Err: err}
}

// outsideEnding is the ending for the reason for which the context of a connection ended.
func outsideEnding(cause error) Ending {
	switch kvs.KindOf(cause) {
	case kvs.Denied:
		return revoked
	case kvs.Expired:
		return expired
	case kvs.NotFound:
		return deleted
	}
	return stopping
}

// finish ends the connection for the given reason if it is the first one. The seat is free
// as soon as the room hears of it; closing goes on beside.
func (m *member) finish(e Ending) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	m.ended, m.ending = true, e
	if m.timer != nil {
		m.timer.Stop()
	}
	m.outbox.stop()
	close(m.over)
	go m.close(e)
}

// close frees the seat, closes the connection and ends what is still being done on it.
func (m *member) close(e Ending) {
	defer close(m.closed)
	m.room.do(func() { m.room.leave(m, e.Reason) })
	m.conn.Close(e.Code, e.Text) // nobody is left who could do anything about its error
	m.cancel()
}

// isOver reports whether the connection has ended, though there may still be something to
// read.
func (m *member) isOver() bool {
	select {
	case <-m.over:
		return true
	default:
		return false
	}
}

// record writes the one line in the log that every connection has, and counts it.
func (m *member) record(e Ending) {
	m.hub.counts.ending(m.role, e.Reason)
	attrs := append(m.attrs(), slog.String("reason", string(e.Reason)), slog.Duration("lasted", m.hub.now().Sub(m.since)),
		slog.Int64("in", m.in.Load()), slog.Int64("out", m.out.Load()))
	if e.Err != nil && e.Reason != Left {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	m.hub.log.LogAttrs(context.Background(), slog.LevelInfo, "signaling connection ended", attrs...)
}

// attrs say in the log whose connection it is.
func (m *member) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("channel", m.room.name), slog.String("role", m.role.String())}
	if m.role == Viewer {
		attrs = append(attrs, slog.String("client", m.id))
	}
	return append(attrs, slog.String("address", m.who.address), slog.String("user_agent", m.who.userAgent),
		slog.String("request_id", m.who.requestID))
}
