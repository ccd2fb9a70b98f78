package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/quota"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/sigv4"
)

// Socket is a call that becomes a WebSocket: no operation of the models, but with an
// action and limits like one. It takes the steps of every other call, and what goes wrong
// before the upgrade is answered as theirs is (signaling page, section 3). A login of a
// browser opens none: any page may try to, and the browser would send its cookie along.
type Socket struct {
	Operation string // ConnectAsMaster

	// Target says what the call is about, and checks its parameters on the way.
	Target func(c *Call) (Target, error)

	// Open upgrades the connection and returns what serves it, which blocks until the
	// connection is closed. An error is one from before the upgrade, where the call ends for the
	// log and the measurements. What is returned runs on a goroutine of its own and must hold
	// neither the call nor its context: an idle connection would keep them.
	Open func(ctx context.Context, c *Call) (serve func(ctx context.Context), err error)
}

// socketExceptions is what a refused upgrade may answer (wire-webrtc sheet, section 3.4).
var socketExceptions = []wire.Exception{
	{Name: "AccessDeniedException", Status: http.StatusForbidden, MessageKey: "Message"},
	{Name: "ClientLimitExceededException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "InvalidArgumentException", Status: http.StatusBadRequest, MessageKey: "Message"},
	{Name: "ResourceNotFoundException", Status: http.StatusNotFound, MessageKey: "Message"},
}

// socket is one as the front keeps it.
type socket struct {
	Socket
	operation *wire.Operation
	limit     *quota.Operation
}

// Sockets serves WebSockets. It is made by [Front.Sockets].
type Sockets struct {
	front *Front
	pick  func(*http.Request) string
	all   map[string]socket

	mu    sync.Mutex
	open  int
	empty chan struct{} // closed when open becomes 0; nil = nobody waits
}

// Sockets serves the sockets; pick names the operation of the one that a request wants.
func (f *Front) Sockets(pick func(*http.Request) string, all ...Socket) *Sockets {
	s := &Sockets{front: f, pick: pick, all: map[string]socket{}}
	for _, one := range all {
		op := &wire.Operation{Name: one.Operation, Method: http.MethodGet, Path: "/", Exceptions: socketExceptions, Input: func() wire.Input { return nil }}
		s.all[one.Operation] = socket{one, op, quota.OperationOf(one.Operation)}
	}
	return s
}

// ServeHTTP answers one request, or upgrades its connection.
func (s *Sockets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := s.front
	c := f.newCall(w, r)
	setCommonHeaders(c)
	if r.Method == http.MethodOptions {
		preflight(c, "GET, OPTIONS")
		return
	}
	// Before the upgrade: who is let in while the server stops has a grace like all others.
	upgraded := false
	s.count(1)
	defer func() {
		if !upgraded {
			s.count(-1)
		}
	}()
	defer c.sever()
	defer f.record(c)
	defer c.caught()
	one := s.all[s.pick(r)]
	c.Operation, c.limits, c.limit = one.operation, f.o.Limits, one.limit
	serve, err := f.upgrade(r.Context(), c, one)
	if err != nil {
		c.fail(err)
		return
	}
	upgraded = true
	c.Answered(http.StatusSwitchingProtocols)
	s.serve(c.ID, serve)
}

// upgrade takes the call through its steps.
func (f *Front) upgrade(ctx context.Context, c *Call, s socket) (func(context.Context), error) {
	if err := checkUpgrade(c); err != nil {
		return nil, err
	}
	rules := f.o.Rules()
	rules.Services = []string{videoService}
	who, err := f.claim(ctx, c.Request, rules)
	if err != nil {
		return nil, err
	}
	if err := f.verify(ctx, c, who, sigv4.Body(nil)); err != nil {
		return nil, err
	}
	if err := f.authorize(ctx, c, Route{Operation: s.Operation, Target: s.Target}); err != nil {
		return nil, err
	}
	if err := c.allow(); err != nil {
		return nil, err
	}
	if err := f.befall(ctx, c); err != nil {
		return nil, err
	}
	return s.Open(ctx, c)
}

// serve serves a connection on a goroutine of its own, as net/http does. That of the
// request ends, and frees several times as much as the connection takes.
func (s *Sockets) serve(id string, serve func(context.Context)) {
	go func() {
		defer s.count(-1)
		defer func() {
			if cause := recover(); cause != nil { // a mistake of ours, which ends this connection alone
				s.front.o.Logger.Error("serving a connection failed", "id", id, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
			}
		}()
		serve(context.Background())
	}()
}

func (s *Sockets) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open += n; s.open == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Wait waits until no connection is open, or ctx ends.
func (s *Sockets) Wait(ctx context.Context) error {
	s.mu.Lock()
	if s.open == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// IsUpgrade reports whether a request wants to become a WebSocket.
func IsUpgrade(r *http.Request) bool {
	return hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}

// checkUpgrade says what is wrong with an opening handshake (RFC 6455 section 4.2.1).
func checkUpgrade(c *Call) error {
	r := c.Request
	switch keys := r.Header.Values("Sec-Websocket-Key"); {
	case r.Method != http.MethodGet:
		return kvs.Errorf(kvs.InvalidArgument, "A WebSocket begins with GET, not with %.16s.", r.Method)
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return kvs.Errorf(kvs.InvalidArgument, "A WebSocket begins with a request of HTTP/1.1, not of %.16s.", r.Proto)
	case !IsUpgrade(r):
		c.Writer.Header().Set("Upgrade", "websocket")
		return kvs.Errorf(kvs.InvalidArgument, "This is the address of a WebSocket: the request must have the headers Connection: Upgrade and Upgrade: websocket.")
	case r.ContentLength != 0:
		c.Writer.Header().Set("Connection", "close") // nobody waits for it
		return kvs.Errorf(kvs.InvalidArgument, "The request for a WebSocket has no body.")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		c.Writer.Header().Set("Sec-WebSocket-Version", "13")
		return kvs.Errorf(kvs.InvalidArgument, "Sec-WebSocket-Version must be 13.")
	case len(keys) != 1 || !isNonce(keys[0]):
		return kvs.Errorf(kvs.InvalidArgument, "The request must have one header Sec-WebSocket-Key, 16 bytes in base64.")
	}
	return nil
}

func isNonce(key string) bool {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(key))
	return err == nil && len(b) == 16
}

// hasToken reports whether a header, a list, has a token, in any case.
func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}
