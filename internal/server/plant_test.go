package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// plant is a whole server with a client of it.
type plant struct {
	*Server
	*client.Client
	t      *testing.T
	config config.Config
	log    logText
	stop   func() error // ends Run; later calls return the same
}

// logText is a log that may be read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newPlant starts a server on ports of its own; change may alter its settings.
func newPlant(t *testing.T, change func(*config.Config)) *plant {
	t.Helper()
	c := config.Default()
	c.Data, c.HTTP, c.HTTPS, c.Account = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", config.DevAccount
	c.GetMedia.Idle, c.Archive.Reserve = 0, 0
	if change != nil {
		change(&c)
	}
	p := &plant{t: t, config: c}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, c, slog.New(slog.NewTextHandler(&p.log, nil)))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	if err := s.keys.EnsureKey(ctx, config.DevAccount, config.DevAccessKey, config.DevSecret); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	p.Server = s
	p.Client = p.clientOf("https")
	return p
}

// clientOf is a client of one listener that trusts the server's CA and no other.
func (p *plant) clientOf(listener string) *client.Client {
	p.t.Helper()
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(p.config.Data, "ca.pem"))
	if err != nil && p.config.HTTPS != "" {
		p.t.Fatal(err)
	}
	roots.AppendCertsFromPEM(pem)
	h := client.NewHTTP(roots)
	p.t.Cleanup(h.CloseIdleConnections)
	return &client.Client{Endpoint: p.URL(listener), Region: "us-east-1", HTTP: h,
		Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}}
}

// ask calls an operation that must succeed.
func (p *plant) ask(name string, in wire.Input, out wire.Shape) {
	p.t.Helper()
	if err := p.Call(p.t.Context(), wire.ByName(name), in, out); err != nil {
		p.t.Fatal(err)
	}
}

// create makes a stream and returns its ARN.
func (p *plant) create(name string, hours int64) string {
	p.t.Helper()
	var out wire.CreateStreamOutput
	p.ask("CreateStream", &wire.CreateStreamInput{StreamName: &name, DataRetentionInHours: &hours}, &out)
	return *out.StreamARN
}

// epoch is where the tests' producers count from.
const epoch = 1_700_000_000_000

// documentOf is what comes in front of the first cluster.
func documentOf() []byte {
	b := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{MuxingApp: "test", WritingApp: "test"})
	return mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
}

// clusterOf is the i-th fragment: a second of five frames.
func clusterOf(i int) []byte {
	b := mkv.AppendClusterUnknown(nil, uint64(epoch+1000*i))
	for f := range 5 {
		b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(200 * f), Key: f == 0}, bytes.Repeat([]byte{byte(i), byte(f)}, 500))
	}
	return b
}

// endOfFragment closes the fragment in front of it at once.
var endOfFragment = mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}}})

// upload is a PutMedia session that the test writes to.
type upload struct {
	*client.Upload
	w *io.PipeWriter
	t *testing.T
}

func (p *plant) put(stream string) *upload {
	p.t.Helper()
	r, w := io.Pipe()
	u, err := p.PutMedia(context.Background(), client.PutMediaRequest{StreamName: stream, Body: r})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = w.Close(); _ = u.Close() })
	x := &upload{u, w, p.t}
	x.write(documentOf())
	return x
}

func (u *upload) write(b ...[]byte) {
	u.t.Helper()
	if _, err := u.w.Write(slices.Concat(b...)); err != nil {
		u.t.Fatal(err)
	}
}

// until reads acknowledgements up to the first of the given type.
func (u *upload) until(event string) client.Ack {
	u.t.Helper()
	for {
		a, err := u.Next()
		if err != nil {
			u.t.Fatalf("waiting for %s: %v", event, err)
		}
		if a.Type == event {
			return a
		}
		if a.Type == client.Failed {
			u.t.Fatalf("waiting for %s: %s", event, a.Raw)
		}
	}
}

// rest reads acknowledgements to the end of the session.
func (u *upload) rest() (all []client.Ack, err error) {
	for {
		a, err := u.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		if a.Type != client.Idle {
			all = append(all, a)
		}
	}
}

// list returns the numbers of a stream's stored fragments.
func (p *plant) list(stream string) (numbers []string) {
	p.t.Helper()
	for in := (&wire.ListFragmentsInput{StreamName: &stream, MaxResults: new(int64(2)), FragmentSelector: everything()}); ; {
		var out wire.ListFragmentsOutput
		p.ask("ListFragments", in, &out)
		for _, f := range out.Fragments {
			numbers = append(numbers, *f.FragmentNumber)
		}
		if out.NextToken == nil {
			return numbers
		}
		in = &wire.ListFragmentsInput{StreamName: &stream, NextToken: out.NextToken, MaxResults: new(int64(2))}
	}
}

func everything() *wire.FragmentSelector {
	start, end := kvs.Millis(0), kvs.MillisOf(time.Now().AddDate(50, 0, 0)) // also on a server whose clock was set
	return &wire.FragmentSelector{FragmentSelectorType: new("SERVER_TIMESTAMP"), TimestampRange: &wire.TimestampRange{StartTimestamp: &start, EndTimestamp: &end}}
}

// get opens a GetMedia session and returns its chunks as they come.
func (p *plant) get(stream, start string) *view {
	p.t.Helper()
	r, err := p.Stream(context.Background(), wire.ByName("GetMedia"),
		&wire.GetMediaInput{StreamName: &stream, StartSelector: &wire.StartSelector{StartSelectorType: &start}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = r.Body.Close() })
	return &view{t: p.t, r: mkv.NewReader(r.Body, mkv.Options{})}
}

// view reads chunks.
type view struct {
	t *testing.T
	r *mkv.Reader
}

// next waits for the next tag of the service and returns its value.
func (v *view) next(tag string) (string, error) {
	for {
		it, err := v.r.Next()
		if err != nil {
			return "", err
		}
		for _, t := range it.Tags {
			for _, s := range t.Simple {
				if s.Name == "AWS_KINESISVIDEO_"+tag {
					return s.Value, nil
				}
			}
		}
	}
}
