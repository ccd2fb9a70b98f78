package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// Config says where media goes and what its timecodes mean.
type Config struct {
	// Endpoint is the URL of the server. When it is empty it and the next three come
	// from the environment: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CA_BUNDLE.
	Endpoint    string
	Region      string
	Credentials sigv4.Credentials
	HTTP        *http.Client // nil = the system's certificates, HTTP/1.1
	UserAgent   string       // "" = "millrace"

	Stream string // name or ARN

	// Start is when recording began: cluster timecodes count from it. The zero time
	// says that they count from 1970.
	Start time.Time

	// AcceptReceived says that the stream archives nothing (retention 0): a fragment is
	// done when it was received.
	AcceptReceived bool

	// OnAck is called for each acknowledgement in the order of arrival, by one goroutine;
	// nil = nobody listens.
	OnAck func(Ack)
}

func (c *Config) client() (*client.Client, error) {
	cl := client.Client{Endpoint: c.Endpoint, Region: c.Region, Credentials: c.Credentials, HTTP: c.HTTP, UserAgent: c.UserAgent}
	return cl.OrEnv()
}

// Session is one call of PutMedia. Write sends Matroska, Close waits for the last
// acknowledgement. Write and Close are for one goroutine; Progress may be called from any.
type Session struct {
	ledger ledger
	onAck  func(Ack)
	media  *io.PipeWriter
	body   *body
	upload *client.Upload
	ended  chan struct{} // closed when no more acknowledgements come
	err    error         // why they ended, nil = in good order; read after ended
}

// Open calls PutMedia and returns when the server has accepted the call. It starts one
// goroutine, which ends when the server ends the session or ctx ends; Close waits for it.
func Open(ctx context.Context, c Config) (*Session, error) {
	cl, err := c.client()
	if err != nil {
		return nil, err
	}
	endpoint, err := cl.DataEndpoint(ctx, wire.APINamePutMedia, c.Stream)
	if err != nil {
		return nil, err
	}
	s := &Session{onAck: c.OnAck, ended: make(chan struct{})}
	s.ledger.acceptReceived = c.AcceptReceived
	source, media := io.Pipe()
	s.media, s.body = media, &body{tap: newTap(source, s.see), source: source}
	if s.upload, err = cl.At(endpoint).PutMedia(ctx, c.request(s.body)); err != nil {
		return nil, err
	}
	go s.listen()
	return s, nil
}

func (c *Config) request(body io.Reader) client.PutMediaRequest {
	r := client.PutMediaRequest{TimecodeType: client.Absolute, Body: body}
	if !c.Start.IsZero() {
		r.TimecodeType, r.ProducerStart = client.Relative, c.Start
	}
	if strings.HasPrefix(c.Stream, "arn:") {
		r.StreamARN = c.Stream
	} else {
		r.StreamName = c.Stream
	}
	return r
}

// errOver is what Write returns behind the end of the session.
var errOver = errors.New("the server ended the session")

// body is the media as the request reads it.
type body struct {
	*tap
	source *io.PipeReader
}

// Close makes further writes fail.
func (b *body) Close() error { return b.source.CloseWithError(errOver) }

// see notes the clusters that go out.
func (s *Session) see(it *mkv.Item) error {
	if it.Kind == mkv.ClusterTimecode {
		s.ledger.sent(int64(it.Timecode))
	}
	return nil
}

// listen reads acknowledgements until there are no more.
func (s *Session) listen() {
	defer close(s.ended)
	defer s.body.Close()
	defer s.upload.Close()
	for {
		a, err := s.upload.Next()
		if err != nil {
			if err != io.EOF {
				s.err = err
			}
			return
		}
		ack := Ack{Type: AckType(a.Type), Timecode: a.Timecode, Number: a.Number,
			ErrorID: a.ErrorID, ErrorCode: a.ErrorCode, Raw: a.Raw}
		s.ledger.acknowledge(ack)
		if s.onAck != nil {
			s.onAck(ack)
		}
	}
}

// Write sends Matroska. It blocks while the server takes no more. After the session has
// ended it returns why.
func (s *Session) Write(p []byte) (int, error) {
	n, err := s.media.Write(p)
	if errors.Is(err, errOver) {
		<-s.ended
		if why := s.result(); why != nil {
			err = why
		}
	}
	return n, err
}

// Ended is closed when the server has ended the session or the connection broke. Whoever
// waits for media to send should wait for this, too.
func (s *Session) Ended() <-chan struct{} { return s.ended }

// Progress says how far the fragments are.
func (s *Session) Progress() Progress { return s.ledger.progress() }

// Close ends the media and waits until the server has said what became of each fragment
// and ended the session. It returns nil when all are durable (with AcceptReceived: were
// received), an *[AckError] when one was refused.
func (s *Session) Close() error {
	s.media.Close()
	<-s.ended
	return s.result()
}

// Abort ends the session at once. A fragment that is not complete is dropped by the
// server.
func (s *Session) Abort() {
	s.upload.Close()
	<-s.ended
}

// result says how the session went, once it has ended.
func (s *Session) result() error {
	if err := s.ledger.failure(); err != nil {
		return err
	}
	open := s.ledger.unfinished()
	if s.err != nil && open != nil {
		return fmt.Errorf("%w; %w", s.err, open)
	}
	return errors.Join(s.err, open)
}
