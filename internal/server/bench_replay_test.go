package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// The load of BenchmarkGetMediaReplay.
const (
	replayFragments = 1000
	replayFrames    = 50 // of a fragment
	replayFrame     = 5000
	replayTurns     = 7
)

// BenchmarkGetMediaReplay compares GetMedia from EARLIEST with http.ServeContent of the
// same bytes over the same TLS. Both are in the page cache; the turns alternate and the
// median pair counts.
func BenchmarkGetMediaReplay(b *testing.B) {
	s := startBench(b)
	name := s.streams(b, 1, 24)[0]
	s.fill(b, name)
	size := int64(replayFragments * replayFrames * replayFrame)
	for b.Loop() {
		file := filepath.Join(b.TempDir(), "media.mkv")
		s.replay(b, name, size, file) // what is sent, and both are warm
		url := s.serveContent(b, file)
		var ratios, speeds []float64
		for range replayTurns {
			plain := s.fetch(b, url)
			media := s.replay(b, name, size, "")
			ratios = append(ratios, float64(plain)/float64(media))
			speeds = append(speeds, float64(size)/1e6/media.Seconds())
		}
		slices.Sort(ratios)
		slices.Sort(speeds)
		b.ReportMetric(speeds[len(speeds)/2], "MB/s")
		ratio := ratios[len(ratios)/2]
		b.ReportMetric(ratio, "of-ServeContent")
		if ratio < 0.3 {
			b.Logf("GOAL MISSED: %.2f of the speed of http.ServeContent, at least 0.3 was wanted", ratio)
		}
	}
}

// fill stores fragments of 250 KB as fast as the server takes them.
func (s *bench) fill(b *testing.B, name string) {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(filmOf(w)) }()
	up, err := s.client.PutMedia(context.Background(), client.PutMediaRequest{StreamName: name, Body: r})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = up.Close() }()
	for persisted := 0; persisted < replayFragments; {
		a, err := up.Next()
		if err != nil || a.Type == client.Failed {
			b.Fatalf("after %d fragments: %s, %v", persisted, a.Raw, err)
		}
		if a.Type == client.Persisted {
			persisted++
		}
	}
}

// filmOf writes fragments of two seconds that ended just now.
func filmOf(w io.Writer) error {
	buf := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"})
	buf = mkv.AppendSegmentUnknown(buf)
	buf = mkv.AppendInfo(buf, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "Kinesis Video SDK bench"})
	buf = mkv.AppendTracks(buf, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC"}})
	payload := bytes.Repeat([]byte{7}, replayFrame)
	start := time.Now().Add(-2 * time.Second * replayFragments).UnixMilli()
	for n := range int64(replayFragments) {
		buf = mkv.AppendClusterUnknown(buf, uint64(start+2000*n))
		for i := range replayFrames {
			buf = mkv.AppendSimpleBlock(buf, mkv.BlockHeader{Track: 1, Time: int16(i * 2000 / replayFrames), Key: i == 0}, payload)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
	}
	return nil
}

// replay reads so much media from the oldest fragment on, and keeps it if it is given a
// file.
func (s *bench) replay(b *testing.B, name string, size int64, file string) time.Duration {
	in := &wire.GetMediaInput{StreamName: &name, StartSelector: &wire.StartSelector{StartSelectorType: new("EARLIEST")}}
	begun := time.Now()
	resp, err := s.client.Stream(context.Background(), wire.ByName("GetMedia"), in)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	to := io.Discard
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		to = f
	}
	if _, err := io.CopyN(to, resp.Body, size); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}

// serveContent serves a file as the standard library does, and returns its URL.
func (s *bench) serveContent(b *testing.B, file string) string {
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.certs.Config())
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	}()
	b.Cleanup(func() { _ = server.Close() })
	return fmt.Sprintf("https://%s/media.mkv", l.Addr())
}

func (s *bench) fetch(b *testing.B, url string) time.Duration {
	begun := time.Now()
	resp, err := s.client.HTTP.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Fatal(err)
	}
	return time.Since(begun)
}
