package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
)

// TimecodeType says what cluster timecodes count from.
type TimecodeType string

// The timecode types (media sheet, section 1).
const (
	Absolute TimecodeType = "ABSOLUTE" // from 1970
	Relative TimecodeType = "RELATIVE" // from PutMediaRequest.ProducerStart
)

// PutMediaRequest is what PutMedia is called with.
type PutMediaRequest struct {
	StreamName    string // exactly one of name and ARN
	StreamARN     string
	TimecodeType  TimecodeType // "" = Absolute
	ProducerStart time.Time    // when recording began, to the millisecond; the zero time is not sent
	// Body is the Matroska document. It is read from another goroutine until it ends
	// or the session does; it is closed then if it is an io.Closer. A Read that hangs
	// is not interrupted by the end of the session unless Close does so.
	Body io.Reader
}

// Upload is an open PutMedia session: media going out, acknowledgements coming in.
// One goroutine may call Next while another calls Close.
type Upload struct {
	// RequestID is the server's name for the session.
	RequestID string

	body   *gate
	resp   *http.Response
	acks   ackReader
	cancel context.CancelFunc
}

// PutMedia opens a session at c's endpoint, which should be the data endpoint for
// PUT_MEDIA. It returns when the server has accepted the request or, as an *[Error],
// refused it; media is sent only after that, so a refusal costs no media and is never
// lost in a broken connection. A server that wants media before it answers gets it
// after a second. ctx ends the whole session.
func (c *Client) PutMedia(ctx context.Context, r PutMediaRequest) (*Upload, error) {
	ctx, cancel := context.WithCancel(ctx)
	body := newGate(ctx, r.Body)
	resp, err := c.openMedia(ctx, r, body) //nolint:bodyclose // Upload.Close closes it
	if err != nil {
		// The end of ctx closes the media, and the transport may tell of that instead.
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
			err = fmt.Errorf("PutMedia: %w", ended)
		}
		body.refuse()
		cancel()
		return nil, err
	}
	body.admit()
	return &Upload{RequestID: resp.Header.Get("x-amzn-RequestId"), body: body, resp: resp,
		acks: newAckReader(resp.Body), cancel: cancel}, nil
}

func (c *Client) openMedia(ctx context.Context, r PutMediaRequest, body *gate) (*http.Response, error) {
	req, err := c.request(ctx, wire.PutMedia, body)
	if err != nil {
		return nil, err
	}
	if err := r.setHeaders(req.Header); err != nil {
		return nil, err
	}
	patience := c.patience
	if patience == 0 {
		patience = time.Second
	}
	defer time.AfterFunc(patience, body.admit).Stop()
	// While a Read of the media hangs the transport reports nothing, not even that ctx
	// ended.
	defer context.AfterFunc(ctx, func() { _ = body.Close() })()
	// The body is not part of the signature (wire-media section 2.1).
	return c.do(wire.PutMedia, req, "")
}

// setHeaders writes the headers of wire-media section 3.1.
func (r *PutMediaRequest) setHeaders(h http.Header) error {
	switch {
	case r.Body == nil:
		return errors.New("PutMedia: the request has no Body")
	case (r.StreamName == "") == (r.StreamARN == ""):
		return errors.New("PutMedia: want exactly one of StreamName and StreamARN")
	case r.TimecodeType == Relative && r.ProducerStart.IsZero():
		return errors.New("PutMedia: RELATIVE timecodes need ProducerStart")
	}
	if r.StreamName != "" {
		h.Set("x-amzn-stream-name", r.StreamName)
	} else {
		h.Set("x-amzn-stream-arn", r.StreamARN)
	}
	timecodes := r.TimecodeType
	if timecodes == "" {
		timecodes = Absolute
	}
	h.Set("x-amzn-fragment-timecode-type", string(timecodes))
	h.Set("x-amzn-fragment-acknowledgment-required", "1")
	if !r.ProducerStart.IsZero() {
		h.Set("x-amzn-producer-start-timestamp", kvs.MillisOf(r.ProducerStart).Seconds())
	}
	return nil
}

// Next waits for the next acknowledgement. It returns io.EOF when the server ended
// the session in good order, the error of Body when that failed, and any other error
// when the connection broke.
func (u *Upload) Next() (Ack, error) {
	a, err := u.acks.next()
	if err == nil || errors.Is(err, io.EOF) {
		return a, err
	}
	if failed := u.body.failure(); failed != nil {
		return Ack{}, fmt.Errorf("PutMedia: reading the media: %w", failed)
	}
	return Ack{}, fmt.Errorf("PutMedia: %w", err)
}

// Close ends the session; what Body has not yet given is not sent. After Next
// returned io.EOF it only frees the connection.
func (u *Upload) Close() error {
	u.cancel()
	return u.resp.Body.Close()
}
