package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// BenchmarkPutSessions runs 500 producers of 1 Mbit/s with spread phases.
func BenchmarkPutSessions(b *testing.B) {
	const sessions, length = 500, 30 * time.Second
	s := startBench(b)
	names := s.streams(b, sessions, 1)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), length)
		var buffering, persisted latencies
		var g errgroup.Group
		for i, name := range names {
			src := source{frame: 5000, rate: 25, perGroup: 50, phase: time.Duration(i) * 2 * time.Second / sessions}
			g.Go(func() error { return s.produce(ctx, name, src, &buffering, &persisted) })
		}
		err := g.Wait()
		cancel()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(ms(buffering.at(.5)), "buffering-p50-ms")
		goal(b, "buffering-p99.9-ms", ms(buffering.at(.999)), 100)
		b.ReportMetric(ms(persisted.at(.5)), "persisted-p50-ms")
		goal(b, "persisted-p99.9-ms", ms(persisted.at(.999)), 500)
		b.ReportMetric(float64(len(persisted.all)), "fragments")
	}
}

// BenchmarkPutMemory compares the memory of an open PutMedia session with that of a
// bare TLS handler that reads and writes at the same time.
func BenchmarkPutMemory(b *testing.B) {
	const sessions = 500
	s := startBench(b)
	names := s.streams(b, sessions, 1)
	for b.Loop() {
		bare, _ := s.bareMemory(b, sessions)
		ours, buffers := s.memoryOf(b, sessions, func(i int, body io.Reader) (*client.Upload, error) {
			return s.client.PutMedia(context.Background(), client.PutMediaRequest{StreamName: names[i], Body: body})
		})
		b.ReportMetric(float64(bare)/1024, "bare-KB/session")
		b.ReportMetric(float64(buffers)/1024, "fragment-buffer-KB/session")
		b.ReportMetric(float64(ours-buffers)/1024, "millrace-KB/session")
		goal(b, "above-KB/session", float64(ours-buffers-bare)/1024, 48)
	}
}

// bareMemory is the memory of a session with a handler that does nothing with what it
// reads but answer each read with a line.
func (s *bench) bareMemory(b *testing.B, sessions int) (session, buffers int64) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.certs.Config())
	if err != nil {
		b.Fatal(err)
	}
	h := &http.Server{Handler: http.HandlerFunc(bareHandler)}
	go func() { _ = h.Serve(l) }()
	defer func() { _ = h.Close() }()
	c := s.client.At("https://" + l.Addr().String())
	return s.memoryOf(b, sessions, func(_ int, body io.Reader) (*client.Upload, error) {
		return c.PutMedia(context.Background(), client.PutMediaRequest{StreamName: "bare", Body: body})
	})
}

func bareHandler(w http.ResponseWriter, r *http.Request) {
	ctrl := http.NewResponseController(w)
	_ = ctrl.EnableFullDuplex()
	_ = ctrl.Flush()
	buf := make([]byte, 512)
	for {
		_, err := r.Body.Read(buf)
		if err != nil {
			return
		}
		_, _ = fmt.Fprintln(w, `{"EventType":"BUFFERING","FragmentTimecode":1,"FragmentNumber":"1"}`)
		_ = ctrl.Flush()
	}
}

// memoryOf opens sessions, sends each the head of a document and a frame, and returns
// the memory of one when all have answered, client and server together, and how much
// of it are fragment buffers.
func (s *bench) memoryOf(b *testing.B, sessions int, open func(i int, body io.Reader) (*client.Upload, error)) (session, buffers int64) {
	head := mkv.AppendSegmentUnknown(mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"}))
	head = mkv.AppendInfo(head, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "Kinesis Video SDK bench"})
	head = mkv.AppendTracks(head, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	head = mkv.AppendClusterUnknown(head, uint64(time.Now().UnixMilli()))
	head = mkv.AppendSimpleBlock(head, mkv.BlockHeader{Track: 1, Key: true}, make([]byte, 5000))
	before := memory()
	var closers []io.Closer
	for i := range sessions {
		r, w := io.Pipe()
		go func() { _, _ = w.Write(head) }()
		up, err := open(i, r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := up.Next(); err != nil {
			b.Fatal(err)
		}
		closers = append(closers, w, up)
	}
	after := memory()
	used, _, _, _ := s.budget.Use()
	defer func() {
		for _, c := range closers {
			_ = c.Close()
		}
	}()
	return (after - before) / int64(sessions), used / int64(sessions)
}

// memory is what the process holds in heap and stacks after a collection.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkSlowConsumers compares PERSISTED without and with three consumers that read
// nothing for a minute, and checks that they miss nothing when they read on.
func BenchmarkSlowConsumers(b *testing.B) {
	const producers, stall = 20, 60 * time.Second
	s := startBench(b)
	names := s.streams(b, producers, 1)
	for b.Loop() {
		ctx, cancel := context.WithCancel(context.Background())
		var g errgroup.Group
		var unused latencies
		phase := [3]latencies{}
		current := make(chan *latencies, 1)
		current <- &phase[0]
		for i, name := range names {
			g.Go(func() error { return s.produceInto(ctx, name, i, producers, current, &unused) })
		}
		waitUntil(ctx, time.Now().Add(stall/2))
		stalled := s.stall(b, names[0], 3)
		<-current
		current <- &phase[1]
		waitUntil(ctx, time.Now().Add(stall))
		<-current
		current <- &phase[2]
		used, _, limit, _ := s.budget.Use()
		for _, resp := range stalled {
			checkNoGap(b, resp, 25)
		}
		waitUntil(ctx, time.Now().Add(stall/2))
		cancel()
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		phase[0].all = append(phase[0].all, phase[2].all...)
		b.ReportMetric(ms(phase[0].at(.99)), "alone-p99-ms")
		b.ReportMetric(ms(phase[1].at(.99)), "stalled-p99-ms")
		goal(b, "p99-ratio", float64(phase[1].at(.99))/float64(phase[0].at(.99)), 1.5)
		b.ReportMetric(float64(used)/float64(limit), "budget-used")
	}
}

// produceInto runs a producer of 4 Mbit/s whose PERSISTED go to the phase now current.
func (s *bench) produceInto(ctx context.Context, name string, i, n int, current chan *latencies, buffering *latencies) error {
	src := source{frame: 20_000, rate: 25, perGroup: 25, phase: time.Duration(i) * time.Second / time.Duration(n)}
	var all latencies
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // hands what was measured to the phase of its moment
		defer close(done)
		t := time.NewTicker(50 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-stop:
				return
			}
			all.mu.Lock()
			got := all.all
			all.all = nil
			all.mu.Unlock()
			phase := <-current
			for _, d := range got {
				phase.add(d)
			}
			current <- phase
		}
	}()
	err := s.produce(ctx, name, src, buffering, &all)
	close(stop)
	<-done
	return err
}

// stall opens consumers that read nothing.
func (s *bench) stall(b *testing.B, name string, n int) []*http.Response {
	var all []*http.Response
	for range n {
		in := &wire.GetMediaInput{StreamName: &name, StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}}
		resp, err := s.client.Stream(context.Background(), wire.ByName("GetMedia"), in)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, resp)
	}
	return all
}

// checkNoGap reads fragments and fails unless their numbers follow each other.
func checkNoGap(b *testing.B, resp *http.Response, fragments int) {
	defer func() { _ = resp.Body.Close() }()
	r := mkv.NewReader(resp.Body, mkv.Options{})
	last := int64(0)
	for seen := 0; seen < fragments; {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			b.Fatalf("a stalled consumer was cut after %d fragments", seen)
		}
		if err != nil {
			b.Fatal(err)
		}
		for _, t := range it.Tags {
			for _, tag := range t.Simple {
				if tag.Name != "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP" {
					continue
				}
				seconds, err := strconv.ParseFloat(tag.Value, 64)
				at := int64(seconds*1000 + .5)
				if err != nil || last != 0 && at-last > 1002 {
					b.Fatalf("producer time %s follows %d: a fragment is missing (%v)", tag.Value, last, err)
				}
				last = at
				seen++
			}
		}
	}
}
