package server

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// The load of BenchmarkGetMediaDelay: 50 streams of 4 Mbit/s. Echo and media take turns,
// so that whatever else the machine does hits both.
const (
	delayStreams = 50
	delayTurns   = 5
	delayTime    = 8 * time.Second
	delayWarmUp  = 2 * time.Second // of each turn: everybody connects, and NOW may begin with an old fragment
)

var delaySource = source{frame: 20_000, rate: 25, perGroup: 50}

// BenchmarkGetMediaDelay compares the time from a frame written by a producer to the
// same frame read by a consumer with a TLS echo of the same frames.
func BenchmarkGetMediaDelay(b *testing.B) {
	s := startBench(b)
	names := s.streams(b, delayStreams, 1)
	for b.Loop() {
		var echo, media latencies
		for range delayTurns {
			s.echoDelay(b, &echo)
			s.mediaDelay(b, names, &media)
		}
		b.ReportMetric(ms(echo.at(.5)), "echo-p50-ms")
		b.ReportMetric(ms(echo.at(.99)), "echo-p99-ms")
		b.ReportMetric(ms(media.at(.5)), "media-p50-ms")
		b.ReportMetric(ms(media.at(.99)), "media-p99-ms")
		b.ReportMetric(float64(len(media.all)), "frames")
		goal(b, "p50-ratio", float64(media.at(.5))/float64(echo.at(.5)), 4)
		goal(b, "p99-ratio", float64(media.at(.99))/float64(echo.at(.99)), 6)
	}
}

// mediaDelay runs a producer and a consumer on each stream.
func (s *bench) mediaDelay(b *testing.B, names []string, delays *latencies) {
	ctx, cancel := context.WithTimeout(context.Background(), delayTime)
	defer cancel()
	var unused latencies
	var g errgroup.Group
	for i, name := range names {
		src := delaySource
		src.phase = time.Duration(i) * time.Second / time.Duration(src.rate*len(names))
		g.Go(func() error { return s.produce(ctx, name, src, &unused, &unused) })
		g.Go(func() error { return s.consume(ctx, name, delays) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

// consume follows a stream and measures each frame by the time it carries.
func (s *bench) consume(ctx context.Context, name string, delays *latencies) error {
	steady := time.Now().Add(delayWarmUp).UnixNano()
	in := &wire.GetMediaInput{StreamName: &name, StartSelector: &wire.StartSelector{StartSelectorType: new("NOW")}}
	for ctx.Err() == nil {
		resp, err := s.client.Stream(ctx, wire.ByName("GetMedia"), in)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		frames := mkv.NewFrames(mkv.NewReader(resp.Body, mkv.Options{}))
		for err == nil {
			var f *mkv.Frame
			if f, err = frames.Next(); err != nil {
				break
			}
			if written := int64(binary.BigEndian.Uint64(f.Data)); written > steady {
				delays.add(time.Duration(time.Now().UnixNano() - written))
			}
		}
		_ = resp.Body.Close()
		if !errors.Is(err, io.EOF) {
			return ignoreEnd(ctx, err)
		}
	}
	return nil
}

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// echoDelay sends the same frames through a TLS server that returns each of them.
func (s *bench) echoDelay(b *testing.B, delays *latencies) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", s.certs.Config())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go echo(l, delaySource.frame)
	ctx, cancel := context.WithTimeout(context.Background(), delayTime)
	defer cancel()
	var g errgroup.Group
	for i := range delayStreams {
		phase := time.Duration(i) * time.Second / time.Duration(delaySource.rate*delayStreams)
		g.Go(func() error { return echoClient(ctx, l.Addr().String(), phase, delays) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}

func echo(l net.Listener, size int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			buf := make([]byte, size)
			for {
				if _, err := io.ReadFull(c, buf); err != nil {
					return
				}
				if _, err := c.Write(buf); err != nil {
					return
				}
			}
		}()
	}
}

func echoClient(ctx context.Context, addr string, phase time.Duration, delays *latencies) error {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	steady := time.Now().Add(delayWarmUp).UnixNano()
	go func() {
		buf := make([]byte, delaySource.frame)
		for {
			if _, err := io.ReadFull(c, buf); err != nil {
				return
			}
			if written := int64(binary.BigEndian.Uint64(buf)); written > steady {
				delays.add(time.Duration(time.Now().UnixNano() - written))
			}
		}
	}()
	defer func() { _ = c.Close() }()
	payload := make([]byte, delaySource.frame)
	start := time.Now().Add(phase)
	for n := 0; waitUntil(ctx, start.Add(time.Duration(n)*time.Second/time.Duration(delaySource.rate))); n++ {
		binary.BigEndian.PutUint64(payload, uint64(time.Now().UnixNano()))
		if _, err := c.Write(payload); err != nil {
			return err
		}
	}
	return nil
}
