package signaling

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/hub"
)

// maxMessage bounds one message in bytes.
const maxMessage = 64 << 10

// upgrade makes a WebSocket of the call's connection; heard is told of every ping. Compression
// is never offered: it would cost each connection more memory than all else, for messages
// of a few kilobytes. A subprotocol that is asked for, "wss" by the C client, stays
// unanswered, which all clients accept.
func upgrade(c *api.Call, heard func()) (hub.Conn, error) {
	ws, err := websocket.Accept(small{c.Writer}, c.Request, &websocket.AcceptOptions{
		// Any page may connect: its signature is the permission. There are no cookies here.
		InsecureSkipVerify: true,
		OnPingReceived:     func(context.Context, []byte) bool { heard(); return true },
	})
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(maxMessage)
	return conn{ws}, nil
}

// Sizes of the buffers of an idle connection. Messages are larger than either; then bytes
// go past them, from and to the messages themselves.
const (
	readBuffer  = 512
	writeBuffer = 1 << 10
)

// small is a writer whose connections have small buffers when they are taken over, in place
// of two of four kilobytes.
type small struct{ http.ResponseWriter }

// Hijack implements [http.Hijacker].
func (w small) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := rw.Reader.Peek(rw.Reader.Buffered()) // a client need not wait for the answer
	if err != nil {
		return nil, nil, err
	}
	early = bytes.Clone(early)
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), conn), max(readBuffer, len(early)))
	if _, err := r.Peek(len(early)); err != nil { // what is buffered is looked for there
		return nil, nil, err
	}
	return conn, bufio.NewReadWriter(r, bufio.NewWriterSize(conn, writeBuffer)), nil
}

// conn is a [hub.Conn] on a WebSocket.
type conn struct{ ws *websocket.Conn }

// Read implements [hub.Conn].
func (c conn) Read(ctx context.Context) ([]byte, error) {
	kind, r, err := c.ws.Reader(ctx)
	if err == nil && kind != websocket.MessageText {
		return nil, hub.ErrBinary
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(r)
	}
	return text, ending(err)
}

// ending says in the words of the hub how a connection ended.
func ending(err error) error {
	var fault net.Error
	switch {
	case err == nil:
		return nil
	case websocket.CloseStatus(err) != -1:
		return fmt.Errorf("%w: %w", hub.ErrLeft, err)
	case errors.Is(err, websocket.ErrMessageTooBig):
		return hub.ErrTooLong
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &fault),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fmt.Errorf("%w: %w", hub.ErrProtocol, err)
}

// Write implements [hub.Conn].
func (c conn) Write(ctx context.Context, text []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, text)
}

// Ping implements [hub.Conn].
func (c conn) Ping(ctx context.Context) error { return c.ws.Ping(ctx) }

// Close implements [hub.Conn]. A client has ten seconds to take part.
func (c conn) Close(code int, reason string) error {
	return c.ws.Close(websocket.StatusCode(code), reason)
}
