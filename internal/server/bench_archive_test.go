package server

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/disk"
)

// BenchmarkPersisted runs 200 producers of 250 KB/s in fragments of a second, first with
// spread phases, then all in phase, and compares PERSISTED with writing 250 KB and
// fdatasync, which go on beside them on the same disk. PERSISTED is measured by the server,
// from the fragment's last byte read to the acknowledgement written; what a producer sees,
// from its last byte written to the acknowledgement read, is reported as well.
func BenchmarkPersisted(b *testing.B) {
	const streams, length = 200, 40 * time.Second
	s := startBench(b)
	names := s.streams(b, streams, 24)
	var current atomic.Pointer[latencies] // nil while producers connect
	s.metrics.AckSeconds.Each = func(label string, d time.Duration) {
		if l := current.Load(); l != nil && label == "PERSISTED" {
			l.add(d)
		}
	}
	run := func(spread time.Duration) (persisted, seen, synced *latencies) {
		ctx, cancel := context.WithTimeout(context.Background(), length)
		defer cancel()
		var buffering latencies
		persisted, seen, synced = &latencies{}, &latencies{}, &latencies{}
		time.AfterFunc(warmUp, func() { current.Store(persisted) })
		// All producers end at once, which is a burst and not what is measured here.
		time.AfterFunc(length-time.Second, func() { current.Store(nil) })
		var g errgroup.Group
		for i, name := range names {
			src := source{frame: 10_000, rate: 25, perGroup: 25, phase: time.Duration(i) * spread / streams}
			g.Go(func() error { return s.produce(ctx, name, src, &buffering, seen) })
		}
		g.Go(func() error { return syncBeside(ctx, s.config.Data, synced) })
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		return persisted, seen, synced
	}
	for b.Loop() {
		persisted, seen, synced := run(time.Second)
		for _, q := range []struct {
			name string
			at   float64
			most float64
		}{{"p50", .5, 2.5}, {"p99", .99, 4}} {
			b.ReportMetric(ms(persisted.at(q.at)), "persisted-"+q.name+"-ms")
			b.ReportMetric(ms(seen.at(q.at)), "seen-"+q.name+"-ms")
			b.ReportMetric(ms(synced.at(q.at)), "fdatasync-"+q.name+"-ms")
			goal(b, q.name+"-ratio", float64(persisted.at(q.at))/float64(synced.at(q.at)), q.most)
		}
		b.ReportMetric(float64(len(persisted.all)), "fragments")
		burst, _, _ := run(0)
		b.ReportMetric(ms(burst.at(.5)), "burst-p50-ms")
		b.ReportMetric(ms(burst.at(.99)), "burst-p99-ms")
	}
}

// syncBeside writes 250 KB and syncs them ten times a second.
func syncBeside(ctx context.Context, dir string, synced *latencies) error {
	f, err := disk.System{}.Create(filepath.Join(dir, ".beside"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close(); _ = os.Remove(filepath.Join(dir, ".beside")) }()
	b := make([]byte, 250_000)
	_, _ = rand.Read(b)
	start := time.Now()
	for n := 0; waitUntil(ctx, start.Add(time.Duration(n)*100*time.Millisecond)); n++ {
		before := time.Now()
		if err := f.Write([][]byte{b}, int64(n)*int64(len(b))); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if time.Since(start) > warmUp {
			synced.add(time.Since(before))
		}
	}
	return nil
}
