package signaling

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	pingEvery = 30 * time.Second // a connection on which nobody answers is found so
	pingWait  = 20 * time.Second
	writeWait = 10 * time.Second // for one message
	closeWait = time.Second      // for the server's goodbye
	queued    = 256              // messages in either direction
	stale     = time.Minute      // what waited longer for a connection is not sent any more
)

// ErrReplaced says that another client joined the channel in this one's place: a master, or
// a viewer of the same name. To connect again would only throw that one out.
var ErrReplaced = errors.New("signaling: replaced by a newer connection to the channel")

// replaced is the reason with which the server closes such a connection.
const replaced = "replaced by a newer connection"

// errAway is why a connection is left: the server said that it will close it.
var errAway = errors.New("the server will close the connection")

// outgoing is an encoded message that waits to be sent.
type outgoing struct {
	text  []byte
	since time.Time
}

// serve uses a connection until it is over, and says why.
func (p *Peer) serve(ctx context.Context, conn *websocket.Conn) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	// The library closes a connection at once when its reader is cancelled. It is to be
	// closed in good order, so the reader is cancelled later than the rest.
	reading, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var group sync.WaitGroup
	group.Go(func() {
		end(p.read(ctx, reading, conn))
		drain(reading, conn)
	})
	group.Go(func() { end(p.write(ctx, conn)) })
	group.Go(func() { end(ping(ctx, conn)) })
	<-ctx.Done()
	impatient := time.AfterFunc(closeWait, cut)
	_ = conn.Close(websocket.StatusNormalClosure, "") // it may be closed already
	impatient.Stop()
	_ = conn.CloseNow()
	group.Wait()
	return reason(context.Cause(ctx))
}

// reason puts the end of a connection into words.
func reason(err error) error {
	closed, ok := errors.AsType[websocket.CloseError](err)
	switch {
	case ok && closed.Reason == replaced:
		return ErrReplaced
	case ok && closed.Reason != "":
		return fmt.Errorf("the server closed the connection: %s", closed.Reason)
	}
	return err
}

// read hands messages on until the connection ends, or nobody wants them any more.
func (p *Peer) read(ctx, reading context.Context, conn *websocket.Conn) error {
	for {
		_, text, err := conn.Read(reading)
		if err != nil {
			return err
		}
		m, err := decode(text)
		switch {
		case errors.Is(err, errEmpty):
			continue
		case err != nil:
			p.o.Logger.DebugContext(ctx, "a message of the server makes no sense", "error", err)
			continue
		case m.Type == goAway:
			return errAway
		case m.Type == ReconnectICEServer:
			p.directory.forgetICE()
		}
		select {
		case p.in <- m:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drain reads on to the server's goodbye: without a reader the library waits for it longer
// than we do.
func drain(reading context.Context, conn *websocket.Conn) {
	for {
		if _, _, err := conn.Read(reading); err != nil {
			return
		}
	}
}

// write sends what waits. A message that was not sent is the first for the next connection.
func (p *Peer) write(ctx context.Context, conn *websocket.Conn) error {
	for {
		if p.unsent == nil {
			select {
			case m := <-p.out:
				p.unsent = &m
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if time.Since(p.unsent.since) < stale {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeWait)
			err := conn.Write(limited, websocket.MessageText, p.unsent.text)
			cancel()
			if err != nil {
				return err
			}
		}
		p.unsent = nil
	}
}

// ping finds out when the server is gone without a word.
func ping(ctx context.Context, conn *websocket.Conn) error {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		limited, cancel := context.WithTimeout(ctx, pingWait)
		err := conn.Ping(limited)
		cancel()
		if err != nil {
			return fmt.Errorf("no answer to a ping: %w", err)
		}
	}
}
