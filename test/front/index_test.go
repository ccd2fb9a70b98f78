package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive/archivetest"
	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// Indexes of ten million fragments, of one stream and of a thousand, and one of a hundred
// thousand that they are compared with.
var (
	fewRows  = archivetest.Shape{Streams: 1, Each: 100_000}
	deepRows = archivetest.Shape{Streams: 1, Each: 10_000_000}
	wideRows = archivetest.Shape{Streams: 1000, Each: 10_000}
)

// The writers of an index: together they add writeRate fragments a second.
const (
	writers    = 20
	writeRate  = 1000
	writerName = "writer-%02d"
)

// indexed is a server whose index has many rows.
type indexed struct {
	*process
	shape archivetest.Shape
	data  string
	calls []float64 // milliseconds
}

// newIndexed makes the data directory.
func newIndexed(b *testing.B, shape archivetest.Shape) *indexed {
	b.Helper()
	x := &indexed{shape: shape, data: filepath.Join(b.TempDir(), "data")}
	layOut(b, x.data)
	if ids := createStreams(b, x.data, "listed-%04d", shape.Streams); int(slices.Max(ids)) != shape.Streams {
		b.Fatalf("stream ids up to %d", slices.Max(ids))
	}
	createStreams(b, x.data, writerName, writers)
	archivetest.Put(b, shape, filepath.Join(x.data, "archive"))
	return x
}

func (x *indexed) launch(b *testing.B) {
	b.Helper()
	x.process = launch(b, x.data, true)
}

// camera sends fragments of one small frame, at the pace of a ticker or until there were
// so many, and then ends.
type camera struct {
	ticker *time.Ticker
	stop   <-chan struct{}
	left   int
	last   int64
	rest   []byte
}

func (c *camera) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.left == 0 {
			return 0, io.EOF
		}
		c.left--
		select {
		case <-c.ticker.C:
		case <-c.stop:
			return 0, io.EOF
		}
		c.last = max(c.last+1, time.Now().UnixMilli())
		c.rest = mkv.AppendSimpleBlock(mkv.AppendClusterUnknown(nil, uint64(c.last)), mkv.BlockHeader{Track: 1, Key: true}, make([]byte, 100))
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// write lets the writers add fragments, each so many, until stop is closed; it returns
// how many were persisted.
func (x *indexed) write(b *testing.B, each int, stop <-chan struct{}) int64 {
	b.Helper()
	c := x.client(b, x.data)
	var persisted atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			ticker := time.NewTicker(time.Second * writers / writeRate)
			defer ticker.Stop()
			head := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
			head = mkv.AppendTracks(head, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
			up, err := c.PutMedia(context.Background(), client.PutMediaRequest{StreamName: fmt.Sprintf(writerName, i),
				Body: &camera{ticker: ticker, stop: stop, left: each, rest: head}})
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = up.Close() }()
			for {
				a, err := up.Next()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					b.Error(err)
					return
				}
				if a.Type == "PERSISTED" {
					persisted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return persisted.Load()
}

// page lists a thousand fragments of a random stream from a random moment on.
func (x *indexed) page(b *testing.B, clock string) {
	b.Helper()
	from := archivetest.Begin.Time().Add(time.Duration(rand.IntN(x.shape.Each-1001)) * 2 * time.Second)
	body := fmt.Sprintf(`{"StreamName":"listed-%04d","MaxResults":1000,"FragmentSelector":{"FragmentSelectorType":%q,"TimestampRange":{"StartTimestamp":%d,"EndTimestamp":%d}}}`,
		rand.IntN(x.shape.Streams), clock, from.Unix(), time.Now().Unix())
	start := time.Now()
	r, err := http.NewRequest(http.MethodPost, x.url+"/listFragments", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	signer := sigv4.Signer{Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}, Region: "us-east-1", Service: "kinesisvideo"}
	if err := signer.Sign(r, sigv4.PayloadHash([]byte(body))); err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	took := time.Since(start)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || strings.Count(string(text), "FragmentNumber") != 1000 {
		b.Fatalf("%v %d %.300s", err, resp.StatusCode, text)
	}
	x.calls = append(x.calls, ms(took))
}

// BenchmarkListFragments measures whole calls of a thousand fragments, while fragments
// are added at writeRate, at servers whose indexes differ in size. They take turns.
func BenchmarkListFragments(b *testing.B) {
	const turns, calls, goal = 10, 100, 1.5
	few, deep, wide := newIndexed(b, fewRows), newIndexed(b, deepRows), newIndexed(b, wideRows)
	all := []*indexed{few, deep, wide}
	for _, x := range all {
		x.launch(b)
	}
	for b.Loop() {
		added, writing := int64(0), time.Duration(0)
		for turn := range turns + 1 {
			for _, x := range all {
				stop, done := make(chan struct{}), make(chan int64)
				start := time.Now()
				go func() { done <- x.write(b, 1<<30, stop) }()
				for i := range calls {
					x.page(b, []string{"SERVER_TIMESTAMP", "PRODUCER_TIMESTAMP"}[i%2])
				}
				close(stop)
				added += <-done
				writing += time.Since(start)
				if turn == 0 { // has warmed up
					x.calls = nil
				}
			}
		}
		b.ReportMetric(float64(added)/writing.Seconds(), "rows/s")
		for i, name := range []string{"few", "deep", "wide"} {
			for p, percent := range map[string]float64{"p50": 0.5, "p99": 0.99} {
				got, base := percentile(all[i].calls, percent), percentile(few.calls, percent)
				b.ReportMetric(got, name+"-"+p+"-ms")
				if i == 0 {
					continue
				}
				b.ReportMetric(got/base, name+"-"+p+"-ratio")
				if p == "p99" && got/base > goal {
					b.Errorf("GOAL MISSED: %s takes %.2f times as long at p99 as with %d rows, at most %v are wanted", name, got/base, fewRows.Rows(), goal)
				}
			}
		}
	}
	for _, x := range all {
		x.stop(b)
	}
}

func percentile(all []float64, p float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return all[min(len(all)-1, int(p*float64(len(all))))]
}

// BenchmarkStartAfterKill measures starts after a kill -9, with many rows and with few,
// in turns. Both lost power with the same number of fragments fresh.
func BenchmarkStartAfterKill(b *testing.B) {
	const turns, each, goal = 9, 100, 1.2
	few, deep := newIndexed(b, fewRows), newIndexed(b, deepRows)
	took := map[*indexed][]float64{}
	for b.Loop() {
		for range turns {
			for _, x := range []*indexed{few, deep} {
				x.launch(b)
				if n := x.write(b, each, nil); n != each*writers {
					b.Fatalf("%d fragments persisted", n)
				}
				_ = x.command.Process.Kill()
				_ = x.command.Wait()
				x.launch(b)
				took[x] = append(took[x], ms(x.ready))
				x.stop(b)
			}
		}
		b.ReportMetric(median(took[few]), "few-ms")
		b.ReportMetric(median(took[deep]), "deep-ms")
		got := median(took[deep]) / median(took[few])
		b.ReportMetric(got, "ratio")
		if got > goal {
			b.Errorf("GOAL MISSED: a start takes %.0f ms, %.2f times as long with %d rows as with %d, at most %v are wanted", median(took[deep]), got, deepRows.Rows(), fewRows.Rows(), goal)
		}
	}
}
