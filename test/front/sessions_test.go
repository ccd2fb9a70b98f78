package front

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// BenchmarkSessionMemory measures what open sessions over TLS take of the server's
// memory beside the memory budget: PutMedia in the middle of a fragment, GetMedia waiting
// for the next.
func BenchmarkSessionMemory(b *testing.B) {
	const sessions = 1000
	for b.Loop() {
		data := filepath.Join(b.TempDir(), "data")
		p := launch(b, data, true)
		c := p.client(b, data)
		p.create(b, c, sessions)
		time.Sleep(5 * time.Second)
		before := p.resident(b)
		for i := range sessions {
			openPut(b, c, streamName(i))
		}
		time.Sleep(5 * time.Second)
		put := p.resident(b)
		for i := range sessions {
			openGet(b, c, streamName(i))
		}
		time.Sleep(5 * time.Second)
		get := p.resident(b)
		b.ReportMetric((put-before)*1e6/1024/sessions-32, "put-KiB/session")
		b.ReportMetric((get-put)*1e6/1024/sessions, "get-KiB/session")
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	}
}

// BenchmarkManyStreams measures a server with 100,000 streams that nobody uses, and after
// each of 10,000 was described.
func BenchmarkManyStreams(b *testing.B) {
	const streams, asked = 100_000, 10_000
	for b.Loop() {
		data := filepath.Join(b.TempDir(), "data")
		layOut(b, data)
		createStreams(b, data, "bench-%05d", streams)
		p := launch(b, data, true)
		time.Sleep(5 * time.Second)
		idle := p.resident(b)
		c := p.client(b, data)
		for i := range asked {
			name := streamName(i)
			if err := c.Call(context.Background(), wire.ByName("DescribeStream"), &wire.DescribeStreamInput{StreamName: &name}, &wire.DescribeStreamOutput{}); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		b.ReportMetric(idle, "idle-MB")
		b.ReportMetric(p.resident(b), "asked-MB")
		b.ReportMetric(ms(p.ready), "ready-ms")
		p.stop(b)
	}
}

func streamName(i int) string { return fmt.Sprintf("bench-%05d", i) }

// client is a client of a development server over TLS.
func (p *process) client(b *testing.B, data string) *client.Client {
	b.Helper()
	pem, err := os.ReadFile(filepath.Join(data, "ca.pem"))
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &client.Client{Endpoint: "https://" + p.https, Region: "us-east-1", HTTP: client.NewHTTP(roots),
		Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}}
}

func (p *process) create(b *testing.B, c *client.Client, n int) {
	b.Helper()
	for i := range n {
		name := streamName(i)
		if err := c.Call(context.Background(), wire.ByName("CreateStream"), &wire.CreateStreamInput{StreamName: &name, DataRetentionInHours: new(int64(1))}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// openPut opens a session, sends a header and the beginning of a fragment, and waits for
// its BUFFERING.
func openPut(b *testing.B, c *client.Client, stream string) {
	b.Helper()
	head := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	head = mkv.AppendTracks(head, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	head = mkv.AppendClusterUnknown(head, uint64(time.Now().UnixMilli()))
	head = mkv.AppendSimpleBlock(head, mkv.BlockHeader{Track: 1, Key: true}, make([]byte, 5000))
	r, w := io.Pipe()
	go func() { _, _ = w.Write(head) }()
	up, err := c.PutMedia(context.Background(), client.PutMediaRequest{StreamName: stream, Body: r})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = w.Close(); _ = up.Close() })
	if _, err := up.Next(); err != nil {
		b.Fatal(err)
	}
}

// openGet opens a session and reads the first bytes of the fragment that arrives.
func openGet(b *testing.B, c *client.Client, stream string) {
	b.Helper()
	resp, err := c.Stream(context.Background(), wire.ByName("GetMedia"),
		&wire.GetMediaInput{StreamName: &stream, StartSelector: &wire.StartSelector{StartSelectorType: new("NOW")}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 4000)); err != nil {
		b.Fatal(err)
	}
}
