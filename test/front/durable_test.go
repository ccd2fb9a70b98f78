package front

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/mkv"
)

var durableFor = flag.Duration("durable.for", time.Minute, "how long each turn of BenchmarkDurableIngest sends")

// The load of BenchmarkDurableIngest.
const (
	durableStreams  = 100
	durableFragment = 250_000
	durableTurns    = 5
	durableName     = "durable-%02d"
)

// flood is a document of fragments of one frame each, as fast as they are read.
type flood struct {
	block []byte // what comes before the frame in its SimpleBlock
	frame []byte
	until time.Time
	last  int64
	rest  [][]byte
}

func (f *flood) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		if time.Now().After(f.until) {
			return 0, io.EOF
		}
		f.last++
		f.rest = append(f.rest, append(mkv.AppendClusterUnknown(nil, uint64(f.last*1000)), f.block...), f.frame)
	}
	n := copy(p, f.rest[0])
	if f.rest[0] = f.rest[0][n:]; len(f.rest[0]) == 0 {
		f.rest = f.rest[1:]
	}
	return n, nil
}

// BenchmarkDurableIngest lets 100 producers send fragments of 250 KB over TLS as fast as
// they are taken, while expiry removes what is over each stream's limit of bytes, and
// then writes as many bytes plainly, in pieces of 8 MiB with fdatasync after each. They
// take turns. The producers share the processors with the server; what they use of them
// is reported.
func BenchmarkDurableIngest(b *testing.B) {
	const goal = 0.6
	data := filepath.Join(b.TempDir(), "data")
	layOut(b, data)
	createStreams(b, data, durableName, durableStreams)
	settings := filepath.Join(b.TempDir(), "millrace.yml")
	text := "archive:\n  expire_every: 5s\nlimits:\n  stream.bytes: 20MB\n"
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	p := launch(b, data, true, "--config", settings)
	for b.Loop() {
		var ratios, ours, plains []float64
		var sent int64
		var elapsed, generator, server time.Duration
		for range durableTurns {
			self, used := ownTime(b), p.used(b)
			start := time.Now()
			bytes := p.flood(b, data)
			took := time.Since(start)
			generator, server = generator+ownTime(b)-self, server+p.used(b)-used
			sent, elapsed = sent+bytes, elapsed+took
			plain := writePlain(b, filepath.Dir(data), bytes)
			ours, plains = append(ours, float64(bytes)/1e6/took.Seconds()), append(plains, float64(bytes)/1e6/plain.Seconds())
			ratios = append(ratios, plain.Seconds()/took.Seconds())
			b.Logf("%.0f MB/s durable, %.0f MB/s plain", ours[len(ours)-1], plains[len(plains)-1])
		}
		b.ReportMetric(median(ours), "durable-MB/s")
		b.ReportMetric(median(plains), "plain-MB/s")
		b.ReportMetric(generator.Seconds()/elapsed.Seconds(), "generator-cpus")
		b.ReportMetric(server.Seconds()/elapsed.Seconds(), "server-cpus")
		b.ReportMetric(float64(server.Milliseconds())/(float64(sent)/1e9), "server-cpu-ms/GB")
		b.ReportMetric(float64(generator.Milliseconds())/(float64(sent)/1e9), "generator-cpu-ms/GB")
		b.ReportMetric(slices.Min(ratios), "ratio-min")
		b.ReportMetric(slices.Max(ratios), "ratio-max")
		b.ReportMetric(median(ratios), "ratio")
		if got := median(ratios); got < goal {
			b.Errorf("GOAL MISSED: %.2f of plain writing, at least %v are wanted", got, goal)
		}
	}
	p.stop(b)
}

// flood sends until the time is over and returns how many bytes of frames were persisted.
func (p *process) flood(b *testing.B, data string) int64 {
	b.Helper()
	c := p.client(b, data)
	frame := make([]byte, durableFragment)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(frame)
	head := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	head = mkv.AppendTracks(head, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	block := mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Key: true}, frame)
	block = block[:len(block)-len(frame)]
	until := time.Now().Add(*durableFor)
	var persisted atomic.Int64
	var wg sync.WaitGroup
	for i := range durableStreams {
		wg.Go(func() {
			body := &flood{block: block, frame: frame, until: until, last: time.Now().Unix(), rest: [][]byte{head}}
			n, err := sendAll(c, fmt.Sprintf(durableName, i), body)
			persisted.Add(n)
			if err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return persisted.Load() * durableFragment
}

// sendAll sends a document and returns how many fragments were persisted.
func sendAll(c *client.Client, name string, body io.Reader) (persisted int64, err error) {
	up, err := c.PutMedia(context.Background(), client.PutMediaRequest{StreamName: name, Body: body})
	if err != nil {
		return 0, err
	}
	defer func() { _ = up.Close() }()
	for {
		a, err := up.Next()
		switch {
		case errors.Is(err, io.EOF):
			return persisted, nil
		case err != nil:
			return persisted, err
		case a.Type == client.Failed:
			return persisted, fmt.Errorf("%s: %s", name, a.Raw)
		case a.Type == client.Persisted:
			persisted++
		}
	}
}

// writePlain writes so many bytes to a new file as programs do, through the page cache,
// 8 MiB at a time with fdatasync after each.
func writePlain(b *testing.B, dir string, bytes int64) time.Duration {
	b.Helper()
	name := filepath.Join(dir, "plain")
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close(); _ = os.Remove(name) }()
	piece := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(piece)
	start := time.Now()
	for at := int64(0); at < bytes; at += int64(len(piece)) {
		if _, err := f.Write(piece[:min(int64(len(piece)), bytes-at)]); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// ownTime is the processor time of this process so far.
func ownTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
