package backup

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
)

// The media of the benchmarks: four segments.
const (
	benchFragments = 1024
	benchBody      = 1 << 20
	benchSegment   = 256 << 20
)

func benchSource(b *testing.B) (s *source, bytes int64) {
	b.Helper()
	s = newSourceOf(b, benchSegment)
	body := make([]byte, benchBody)
	for i := range body {
		body[i] = byte(i * i >> 3)
	}
	answers := make(chan error, benchFragments)
	for n := range int64(benchFragments) {
		s.archive.Append(benchRecord(b, s, n+1, body), func(err error) { answers <- err })
	}
	for range benchFragments {
		if err := <-answers; err != nil {
			b.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(s.data, segmentsDir, "*.seg"))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			b.Fatal(err)
		}
		bytes += info.Size()
	}
	return s, bytes
}

func benchRecord(b *testing.B, s *source, n int64, body []byte) archive.Record {
	id := s.streams[0].ID
	key, err := s.ring.Current(b.Context(), id, kvs.Millis(began+n*1000))
	if err != nil {
		b.Fatal(err)
	}
	return archive.Record{Retention: 24, Key: key, Header: []byte("header"), Body: net.Buffers{body},
		Fragment: kvs.Fragment{Stream: id, Number: kvs.FragmentNumber{N: n, Server: kvs.Millis(began + n*1000), Random: 7},
			Producer: kvs.Millis(n * 1000), Duration: 1000, Size: int64(len(body))}}
}

// BenchmarkBackup compares a first backup with copying and syncing the same files, and
// with hashing them, which a backup does on the way.
func BenchmarkBackup(b *testing.B) {
	s, bytes := benchSource(b)
	names, _ := filepath.Glob(filepath.Join(s.data, segmentsDir, "*.seg"))
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(bytes)
		for i := 0; b.Loop(); i++ {
			dir := b.TempDir()
			for _, name := range names {
				if err := plainCopy(name, filepath.Join(dir, filepath.Base(name))); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			_ = os.RemoveAll(dir)
			b.StartTimer()
		}
	})
	b.Run("hash", func(b *testing.B) {
		b.SetBytes(bytes)
		for b.Loop() {
			for _, name := range names {
				f, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(sha256.New(), f)
				f.Close()
			}
		}
	})
	b.Run("backup", func(b *testing.B) {
		b.SetBytes(bytes)
		for i := 0; b.Loop(); i++ {
			o := s.options()
			o.Dir += fmt.Sprint(i)
			s.backup(o)
			b.StopTimer()
			_ = os.RemoveAll(o.Dir)
			b.StartTimer()
		}
	})
	b.Run("again", func(b *testing.B) {
		o := s.options()
		s.backup(o)
		b.ResetTimer()
		for b.Loop() {
			s.backup(o)
		}
	})
}

func plainCopy(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	if err := w.Sync(); err != nil {
		return err
	}
	return w.Close()
}

// BenchmarkPersisted stores a hundred fragments of 50 kB in a second and reports how long
// each took to be durable, without and with a backup of a gigabyte on the same disk.
func BenchmarkPersisted(b *testing.B) {
	s, _ := benchSource(b)
	body := make([]byte, 50_000)
	number := int64(benchFragments)
	measure := func(b *testing.B, beside func(context.Context)) {
		var took []time.Duration
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		go func() { defer close(done); beside(ctx) }()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for b.Loop() {
			<-tick.C
			number++
			answer := make(chan error, 1)
			begun := time.Now()
			s.archive.Append(benchRecord(b, s, number, body), func(err error) { answer <- err })
			if err := <-answer; err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(begun))
		}
		cancel()
		<-done
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2])/1e6, "ms-p50")
		b.ReportMetric(float64(took[len(took)*99/100])/1e6, "ms-p99")
		b.ReportMetric(float64(took[len(took)-1])/1e6, "ms-max")
	}
	b.Run("alone", func(b *testing.B) { measure(b, func(context.Context) {}) })
	for name, rate := range map[string]int64{"beside a backup": 0, "beside a backup at 50 MB in a second": 50_000_000} {
		b.Run(name, func(b *testing.B) {
			measure(b, func(ctx context.Context) {
				for ctx.Err() == nil { // removing much at once would disturb as well
					o := s.options()
					o.Dir, o.Rate = b.TempDir(), rate
					_, _ = Run(ctx, o) // its end may cut it
				}
			})
		})
	}
	b.Run("beside a copy", func(b *testing.B) {
		names, _ := filepath.Glob(filepath.Join(s.data, segmentsDir, "*.seg"))
		measure(b, func(ctx context.Context) {
			for i := 0; ctx.Err() == nil; i++ {
				_ = plainCopy(names[i%len(names)], filepath.Join(b.TempDir(), "copy"))
			}
		})
	})
}
