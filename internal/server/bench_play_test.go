package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/client"
	"github.com/millrace/millrace/internal/codec"
	"github.com/millrace/millrace/internal/mediatest"
	"github.com/millrace/millrace/internal/wire"
	"github.com/millrace/millrace/mkv"
)

// longFilm is a document of n fragments of a second, small ones: lists do not read them.
func longFilm(b *testing.B, n int) []byte {
	b.Helper()
	tracks, err := codec.Tracks(mediatest.Bytes("gstreamer-h264"))
	if err != nil {
		b.Fatal(err)
	}
	film := mkv.AppendEBML(nil, mkv.Header{DocType: "matroska"})
	film = mkv.AppendInfo(mkv.AppendSegmentUnknown(film), &mkv.Info{MuxingApp: "bench", WritingApp: "bench"})
	film = mkv.AppendTracks(film, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: mediatest.AVC, CodecPrivate: tracks[0].Config}})
	for i := range n {
		film = mkv.AppendClusterUnknown(film, uint64(1000*i))
		for f := range 5 {
			film = mkv.AppendSimpleBlock(film, mkv.BlockHeader{Track: 1, Time: int16(200 * f), Key: f == 0}, make([]byte, 50))
		}
	}
	return film
}

// stored makes a stream of so many fragments.
func (s *bench) stored(b *testing.B, n int) string {
	b.Helper()
	name := s.streams(b, 1, 24)[0]
	u, err := s.client.PutMedia(context.Background(), client.PutMediaRequest{StreamName: name, TimecodeType: client.Relative, ProducerStart: premiere, Body: bytes.NewReader(longFilm(b, n))})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	for {
		if a, err := u.Next(); err == io.EOF {
			return name
		} else if err != nil || a.Type == client.Failed {
			b.Fatalf("%v, %s", err, a.Raw)
		}
	}
}

// viewer asks a handler without a network.
type viewer struct {
	http.Handler
	head http.Header
	size int
	code int
}

func (v *viewer) Header() http.Header         { return v.head }
func (v *viewer) WriteHeader(code int)        { v.code = code }
func (v *viewer) Write(p []byte) (int, error) { v.size += len(p); return len(p), nil }

// ask answers a request and forgets the answer.
func (v *viewer) ask(b *testing.B, r *http.Request) {
	v.head, v.size, v.code = http.Header{}, 0, 200
	v.ServeHTTP(v, r)
	if v.code != 200 {
		b.Fatalf("status %d", v.code)
	}
}

// playlist asks for the media playlist of a session, once for all the benchmark does.
func (s *bench) playlist(b *testing.B, in *wire.GetHLSStreamingSessionURLInput) *http.Request {
	b.Helper()
	var out wire.GetHLSStreamingSessionURLOutput
	if err := s.client.Call(context.Background(), wire.ByName("GetHLSStreamingSessionURL"), in, &out); err != nil {
		b.Fatal(err)
	}
	address := strings.Replace(*out.HLSStreamingSessionURL, "getHLSMasterPlaylist", "getHLSMediaPlaylist", 1)
	return httptest.NewRequest("GET", address+"&TrackNumber=1", nil)
}

// cpuTime is what the process has used of its processors, whatever else the machine does.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLivePlaylist is what the list of five fragments at the live edge costs one
// core, from the request's head to the last byte of the answer, without the network. The
// log is written to nowhere.
func BenchmarkLivePlaylist(b *testing.B) {
	s := startBench(b)
	r := s.playlist(b, &wire.GetHLSStreamingSessionURLInput{StreamName: new(s.stored(b, 10))})
	v := &viewer{Handler: s.Handler()}
	b.ReportAllocs()
	start := cpuTime(b)
	for b.Loop() {
		v.ask(b, r)
	}
	goal(b, "cpu-ms", ms((cpuTime(b)-start)/time.Duration(b.N)), 0.2)
}

// BenchmarkArchivedPlaylist is what a list of 1,000 stored fragments costs.
func BenchmarkArchivedPlaylist(b *testing.B) {
	s := startBench(b)
	in := &wire.GetHLSStreamingSessionURLInput{StreamName: new(s.stored(b, 1000))}
	if err := wire.Decode([]byte(`{`+rangeOf("ON_DEMAND", "HLSFragmentSelector", premiere, premiere.Add(time.Hour))+`}`), in); err != nil {
		b.Fatal(err)
	}
	plain := s.playlist(b, in)
	v := &viewer{Handler: s.Handler()}
	for _, c := range []struct {
		name, coding string
		most         float64 // ms
	}{{"plain", "identity", 3}, {"gzip", "gzip", 10}} {
		b.Run(c.name, func(b *testing.B) {
			plain.Header.Set("Accept-Encoding", c.coding)
			b.ReportAllocs()
			start := cpuTime(b)
			for b.Loop() {
				v.ask(b, plain)
			}
			b.ReportMetric(float64(v.size), "bytes")
			goal(b, "cpu-ms", ms((cpuTime(b)-start)/time.Duration(b.N)), c.most)
		})
	}
}
