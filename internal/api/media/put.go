package media

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/ingest"
	"github.com/millrace/millrace/internal/kvs"
)

// The headers of PutMedia (wire-media section 3.1).
const (
	headerName  = "X-Amzn-Stream-Name"
	headerARN   = "X-Amzn-Stream-Arn"
	headerType  = "X-Amzn-Fragment-Timecode-Type"
	headerStart = "X-Amzn-Producer-Start-Timestamp"
	headerAcks  = "X-Amzn-Fragment-Acknowledgment-Required"
)

// putTarget reads the stream's name or ARN from the headers: exactly one is needed.
func putTarget(c *api.Call) (api.Target, error) {
	h := c.Request.Header
	var t api.Target
	if v := h.Get(headerName); v != "" {
		if !validName(v) {
			return t, kvs.Errorf(kvs.InvalidArgument, "x-amzn-stream-name '%.256s' is not a stream name: 1 to 256 of the characters a-z, A-Z, 0-9, '_', '.', '-'.", v)
		}
		t.Name = &v
	}
	if v := h.Get(headerARN); v != "" {
		t.ARN = &v
	}
	if t.Name != nil && t.ARN != nil {
		return t, kvs.Errorf(kvs.InvalidArgument, "Give x-amzn-stream-name or x-amzn-stream-arn, not both.")
	}
	if t.Name == nil && t.ARN == nil {
		return t, kvs.Errorf(kvs.InvalidArgument, "One of the headers x-amzn-stream-name and x-amzn-stream-arn is needed.")
	}
	return t, nil
}

func validName(s string) bool {
	return len(s) <= 256 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// putMedia answers 200 at once, before a byte of the body is read: some producers send
// none until they have seen it (wire-media section 2.4).
func (r room) putMedia(ctx context.Context, c *api.Call) (any, error) {
	if err := r.checkHost(c.Request); err != nil {
		return nil, err
	}
	req, err := putRequest(c.Request.Header)
	if err != nil {
		return nil, err
	}
	if req.Stream, err = r.Catalog.Open(ctx, c.Stream.ID); err != nil {
		return nil, err
	}
	req.ID, req.Client, req.Watcher = c.ID, c.Request.RemoteAddr, c.Session()
	conn := newDuplex(c.Writer, c.Request)
	if err := conn.begin(c); err != nil {
		return nil, err
	}
	// A producer that leaves when the body is sent has sent it: only what is written to
	// it or read from it may fail for that.
	ctx, cancel := api.Session(context.WithoutCancel(ctx), r.Closing)
	defer cancel()
	ctx, stop := c.Watch(ctx)
	defer stop()
	var acks ingest.AckWriter = conn
	if f := c.Fault(); f.Session() {
		req.Choose = func() (fails, ends ingest.Code) {
			a, b := f.Fragment()
			return ingest.Code(a), ingest.Code(b)
		}
		acks = &unreliable{AckWriter: conn, ctx: ctx, chosen: f.Ack}
	}
	s := r.Ingest.Run(ctx, req, conn, acks)
	conn.finish()
	c.Note(slog.Int("fragments", s.Fragments), slog.Int("persisted", s.Persisted), slog.Int("failed", s.Failed), slog.Int64("bytes", s.Bytes))
	if s.Refused != "" {
		c.Note(slog.String("refused", s.Refused), slog.String("first", s.First))
	}
	return nil, s.End
}

// putRequest reads the headers that say what the timecodes mean.
func putRequest(h http.Header) (ingest.Request, error) {
	var req ingest.Request
	switch v := h.Get(headerType); v {
	case "ABSOLUTE":
	case "RELATIVE":
		req.Relative = true
	default:
		return req, kvs.Errorf(kvs.InvalidArgument, "x-amzn-fragment-timecode-type is '%.32s'; it must be ABSOLUTE or RELATIVE.", v)
	}
	if v := h.Get(headerAcks); v != "" && v != "0" && v != "1" {
		return req, kvs.Errorf(kvs.InvalidArgument, "x-amzn-fragment-acknowledgment-required is '%.32s'; it must be 1 or 0.", v)
	}
	v := h.Get(headerStart)
	if v == "" {
		if req.Relative {
			return req, kvs.Errorf(kvs.InvalidArgument, "x-amzn-producer-start-timestamp is needed when the timecodes are RELATIVE.")
		}
		return req, nil
	}
	start, ok := parseStart(v)
	if !ok {
		return req, kvs.Errorf(kvs.InvalidArgument, "x-amzn-producer-start-timestamp '%.64s' is not a time; give epoch seconds (1700000000.123), epoch milliseconds or ISO 8601.", v)
	}
	req.Start = start
	return req, nil
}

// duplex is the two directions of a PutMedia connection.
type duplex struct {
	w    http.ResponseWriter
	r    *http.Request
	ctrl *http.ResponseController
}

func newDuplex(w http.ResponseWriter, r *http.Request) *duplex {
	return &duplex{w: w, r: r, ctrl: http.NewResponseController(w)}
}

// ackTimeout is how long one acknowledgement may take to be written.
const ackTimeout = 30 * time.Second

// begin sends the status. The interim 100 goes only to those who asked for it: the
// Java producer cannot skip one, and libcurl waits a second for it.
func (d *duplex) begin(c *api.Call) error {
	if err := d.ctrl.EnableFullDuplex(); err != nil {
		return err
	}
	_ = d.ctrl.SetReadDeadline(time.Time{})
	if strings.EqualFold(d.r.Header.Get("Expect"), "100-continue") {
		d.interim()
	}
	c.Begin("application/json")
	d.w.Header().Set("Connection", "close")
	d.w.WriteHeader(http.StatusOK)
	_ = d.ctrl.SetWriteDeadline(time.Now().Add(ackTimeout))
	return d.ctrl.Flush()
}

// interim sends a bare 100: what goes into the header of the answer does not belong
// there, and small clients know the interim one by its first two lines.
func (d *duplex) interim() {
	h := d.w.Header()
	answer := maps.Clone(h)
	clear(h)
	d.w.WriteHeader(http.StatusContinue)
	maps.Copy(h, answer)
}

// Read reads the body.
func (d *duplex) Read(p []byte) (int, error) { return d.r.Body.Read(p) }

// Interrupt makes a blocked Read return.
func (d *duplex) Interrupt() { _ = d.ctrl.SetReadDeadline(time.Unix(1, 0)) }

// WriteAck sends one acknowledgement as one chunk (wire-media section 4.3).
func (d *duplex) WriteAck(line []byte) error {
	_ = d.ctrl.SetWriteDeadline(time.Now().Add(ackTimeout))
	if _, err := d.w.Write(line); err != nil {
		return err
	}
	return d.ctrl.Flush()
}

// maxDrain bounds what is read of a body after its session ended, and drainTime how
// long: a client that is still sending gets to read the last acknowledgement before
// the connection closes, and leftover media never pass for a request.
const (
	maxDrain  = 16 << 20
	drainTime = 500 * time.Millisecond
)

// finish drains a bounded part of what the client still sends. A body whose Read was
// interrupted gives nothing any more; the connection under it does.
func (d *duplex) finish() {
	_ = d.ctrl.SetReadDeadline(time.Now().Add(drainTime))
	buf := make([]byte, 4<<10)
	left := drain(d.r.Body, buf, maxDrain)
	if conn, ok := d.r.Context().Value(connKey{}).(net.Conn); ok && left > 0 {
		drain(conn, buf, left)
	}
}

// drain reads at most n bytes and returns how many more it would have read when r
// failed; 0 at its end.
func drain(r io.Reader, buf []byte, n int) int {
	for n > 0 {
		k, err := r.Read(buf)
		if n -= k; err == io.EOF {
			return 0
		}
		if err != nil {
			return n
		}
	}
	return 0
}

type connKey struct{}

// ConnContext keeps a connection where its calls find it; for [http.Server].
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}
