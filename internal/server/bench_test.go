package server

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/config"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
	"github.com/millrace/millrace/sigv4"
)

// The benchmarks of this file are the whole server over TLS, with producers and
// consumers in the same process. They run for a fixed time, so b.N means nothing:
// run them with -benchtime 1x. docs/design/performance.md has the tables.

// bench is a running server with a client of it.
type bench struct {
	*Server
	client *client.Client
}

func startBench(b *testing.B) *bench {
	b.Helper()
	c := config.Default()
	c.ForDev()
	c.Dev = false // no camera
	c.Data, c.HTTP, c.HTTPS, c.Shutdown = b.TempDir(), "", "127.0.0.1:0", time.Second
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	if err := s.keys.EnsureKey(ctx, config.DevAccount, config.DevAccessKey, config.DevSecret); err != nil {
		b.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return &bench{s, benchClient(b, s.URL("https"), filepath.Join(c.Data, "ca.pem"))}
}

func benchClient(b *testing.B, endpoint, ca string) *client.Client {
	pem, err := os.ReadFile(ca)
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	h := client.NewHTTP(roots)
	h.Transport.(*http.Transport).MaxIdleConnsPerHost = -1
	return &client.Client{Endpoint: endpoint, Region: "us-east-1", HTTP: h,
		Credentials: sigv4.Credentials{AccessKey: config.DevAccessKey, Secret: config.DevSecret}}
}

// streams makes n streams with the given retention.
func (s *bench) streams(b *testing.B, n int, hours int64) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("bench-%04d", i)
		in := &wire.CreateStreamInput{StreamName: &names[i], DataRetentionInHours: &hours}
		if err := s.client.Call(context.Background(), wire.ByName("CreateStream"), in, nil); err != nil {
			b.Fatal(err)
		}
	}
	return names
}

// source is a producer's camera: frames of a fixed size at a fixed rate, each carrying
// the time it was written.
type source struct {
	frame    int // bytes
	rate     int // frames a second
	perGroup int // frames a fragment
	phase    time.Duration
}

// film writes frames to w until ctx ends. cluster is called before a cluster's head is
// written, whole after the mark that ends it was.
func (s source) film(ctx context.Context, w io.Writer, cluster, whole func(timecode int64)) error {
	b := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "Kinesis Video SDK bench"})
	b = mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	end := mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "AWS_KINESISVIDEO_END_OF_FRAGMENT"}}}})
	payload := make([]byte, s.frame)
	start := time.Now().Add(s.phase)
	var timecode int64
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(s.rate))
		if !waitUntil(ctx, due) {
			return nil
		}
		first := n%s.perGroup == 0
		if first {
			timecode = due.UnixMilli()
			b = mkv.AppendClusterUnknown(b, uint64(timecode))
			cluster(timecode)
		}
		binary.BigEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		b = mkv.AppendSimpleBlock(b, mkv.BlockHeader{Track: 1, Time: int16(due.UnixMilli() - timecode), Key: first}, payload)
		last := n%s.perGroup == s.perGroup-1
		if last {
			b = append(b, end...)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if last {
			whole(timecode)
		}
		b = b[:0]
	}
}

func waitUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// latencies collects durations from many goroutines.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	l.all = append(l.all, d)
	l.mu.Unlock()
}

// at is a quantile.
func (l *latencies) at(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return 0
	}
	slices.Sort(l.all)
	return l.all[min(len(l.all)-1, int(q*float64(len(l.all))))]
}

// ms is a duration as benchmarks report it.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// goal reports a figure, and says so when it is above its goal: figures of a machine that
// does other things at the same time are worth reading, too.
func goal(b *testing.B, name string, got, most float64) {
	b.Helper()
	b.ReportMetric(got, name)
	if got > most {
		b.Logf("GOAL MISSED: %s is %.3f, at most %v was wanted", name, got, most)
	}
}

// warmUp is left out of what is measured of producers: all of them connect at once.
const warmUp = 4 * time.Second

// produce sends one stream until ctx ends and measures its acknowledgements, from the
// cluster's head written to BUFFERING read, and from the last byte written to PERSISTED
// read.
func (s *bench) produce(ctx context.Context, stream string, src source, buffering, persisted *latencies) error {
	var mu sync.Mutex
	begun, ended := map[int64]time.Time{}, map[int64]time.Time{}
	note := func(m map[int64]time.Time) func(int64) {
		return func(timecode int64) {
			mu.Lock()
			defer mu.Unlock()
			m[timecode] = time.Now()
		}
	}
	since := func(m map[int64]time.Time, timecode int64) (time.Duration, bool) {
		mu.Lock()
		defer mu.Unlock()
		t, ok := m[timecode]
		delete(m, timecode)
		return time.Since(t), ok
	}
	steady := time.Now().Add(warmUp).UnixMilli()
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(src.film(ctx, w, note(begun), note(ended))) }()
	up, err := s.client.PutMedia(context.WithoutCancel(ctx), client.PutMediaRequest{StreamName: stream, Body: r})
	if err != nil {
		return err
	}
	defer func() { _ = up.Close() }()
	for {
		a, err := up.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case a.Type == client.Failed:
			return fmt.Errorf("%s: %s", stream, a.Raw)
		case a.Timecode < steady:
		case a.Type == client.Buffering:
			if d, ok := since(begun, a.Timecode); ok {
				buffering.add(d)
			}
		case a.Type == client.Persisted:
			if d, ok := since(ended, a.Timecode); ok {
				persisted.add(d)
			}
		}
	}
}
