package signaling

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

const (
	urlLife   = 5 * time.Minute  // of a signed URL
	patience  = 30 * time.Second // for the handshake
	maxText   = 128 << 10        // bytes of a message of the server
	maxReason = 16 << 10         // bytes that are read of a refusal
)

// URL returns a signed URL to connect with, good for five minutes: for a client that cannot
// sign, such as a page in a browser. Whoever has it is this peer for the server.
func (p *Peer) URL(ctx context.Context) (string, error) {
	where, err := p.directory.find(ctx)
	if err != nil {
		return "", err
	}
	return p.directory.sign(ctx, where)
}

// sign makes the URL of the connection (wire-webrtc section 3).
func (d *directory) sign(ctx context.Context, where *place) (string, error) {
	u, err := url.Parse(where.socket)
	if err != nil || u.Host == "" || u.Scheme != "wss" && u.Scheme != "ws" {
		return "", fmt.Errorf("signaling: the server named the endpoint %.300q, which is none to connect to", where.socket)
	}
	credentials, err := d.o.Credentials(ctx)
	if err != nil {
		return "", fmt.Errorf("signaling: credentials: %w", err)
	}
	q := u.Query()
	q.Set("X-Amz-ChannelARN", where.arn)
	if d.role == wire.ChannelRoleViewer {
		q.Set("X-Amz-ClientId", d.o.ClientID)
	}
	u.RawQuery, u.Path = q.Encode(), cmp.Or(u.Path, "/")
	signer := sigv4.Signer{Credentials: credentials, Region: d.o.Region, Service: "kinesisvideo", Now: d.now}
	r := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}
	if err := signer.Presign(r, urlLife); err != nil {
		return "", err
	}
	u.Host = r.Host // what is signed is what is called
	return u.String(), nil
}

// connect makes a connection.
func (p *Peer) connect(ctx context.Context) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	where, err := p.directory.find(ctx)
	if err != nil {
		return nil, err
	}
	target, err := p.directory.sign(ctx, where)
	if err != nil {
		return nil, err
	}
	head := http.Header{"User-Agent": {cmp.Or(p.o.UserAgent, "millrace")}}
	conn, resp, err := websocket.Dial( //nolint:bodyclose // it holds nothing open
		ctx, target, &websocket.DialOptions{HTTPClient: p.o.HTTP, HTTPHeader: head})
	if err != nil {
		err = p.refusal(resp, err) // the library has the body in memory
		p.directory.learn(err)
		p.directory.forget() // it may have moved
		return nil, err
	}
	conn.SetReadLimit(maxText)
	return conn, nil
}

// refusal is why there is no connection. The library's own error would hold the signed URL.
func (p *Peer) refusal(resp *http.Response, err error) error {
	operation := "ConnectAsMaster"
	if !p.master() {
		operation = "ConnectAsViewer"
	}
	if resp == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return fmt.Errorf("%s: %w", operation, withoutURL(err))
	}
	e := &client.Error{Operation: operation, Status: resp.StatusCode, RequestID: resp.Header.Get("x-amzn-RequestId")}
	e.Date, _ = http.ParseTime(resp.Header.Get("Date"))
	e.Exception, _, _ = strings.Cut(resp.Header.Get("x-amzn-ErrorType"), ":")
	// What cannot be read is missing in the message; the status says enough.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason))
	var fields struct{ Message string }
	if json.Unmarshal(body, &fields) == nil {
		e.Message = fields.Message
	} else {
		e.Message = string(bytes.TrimSpace(body))
	}
	return e
}

// withoutURL takes the signed URL out of an error.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// hopeless says whether the next attempt will be refused like this one.
func hopeless(err error) bool {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok {
		return false
	}
	switch refused.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusNotImplemented:
		return true
	case http.StatusBadRequest:
		return refused.Exception != "ClientLimitExceededException" // that one passes
	}
	return refused.Exception == "UnknownOperationException"
}
