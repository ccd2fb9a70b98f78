package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/mkv"
)

// recording is what one run of a producer sent; testdata/producers/README.md has the
// format.
type recording struct {
	name        string
	clock       time.Time
	connections []recorded
}

// recorded is one connection: the bytes as the producer handed them to the network.
type recorded struct{ segments [][]byte }

func loadRecording(t *testing.T, name string) recording {
	t.Helper()
	base := filepath.Join("testdata", "producers", name)
	index, err := os.ReadFile(base + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := os.ReadFile(base + ".bin")
	if err != nil {
		t.Fatal(err)
	}
	r := recording{name: name}
	for line := range strings.Lines(string(index)) {
		var at float64
		var n int
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "clock":
			_, err = fmt.Sscan(rest, &at)
			r.clock = time.UnixMilli(int64(at*1000 + 0.5)).UTC()
		case "connection":
			r.connections = append(r.connections, recorded{})
		case ">":
			_, err = fmt.Sscan(rest, &at, &n)
			c := &r.connections[len(r.connections)-1]
			c.segments = append(c.segments, sent[:n])
			sent = sent[n:]
		}
		if err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
	}
	if len(sent) > 0 {
		t.Fatalf("%s: %d bytes are in no segment", name, len(sent))
	}
	return r
}

// bytes is everything the producer sent over the connection.
func (c recorded) bytes() []byte { return slices.Concat(c.segments...) }

// request is the connection's one request; its body ends with io.ErrUnexpectedEOF
// when the producer was interrupted.
func (c recorded) request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.bytes())))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lastChunk ends a chunked body.
const lastChunk = "0\r\n\r\n"

// interrupted reports whether the body ends without its last chunk.
func (c recorded) interrupted() bool {
	return string(c.segments[len(c.segments)-1]) != lastChunk
}

// film is the Matroska of one PutMedia body, cut at its clusters by what the
// specification says, not by what the server does.
type film struct {
	ebml, header []byte // header: what stands between the Segment's head and the first cluster
	scenes       []scene
}

// scene is one fragment: its cluster and what follows it.
type scene struct {
	timecode int64
	data     []byte
	tags     []string // names, END_OF_FRAGMENT included
}

func readFilm(t *testing.T, body io.Reader) film {
	t.Helper()
	var f film
	r := mkv.NewReader(body, mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			return f
		}
		if it.Kind == mkv.ClusterStart {
			f.scenes = append(f.scenes, scene{})
		}
		if len(f.scenes) == 0 {
			f.head(it)
			continue
		}
		s := &f.scenes[len(f.scenes)-1]
		s.data = append(s.data, it.Raw...)
		if it.Kind == mkv.ClusterTimecode {
			s.timecode = int64(it.Timecode)
		}
		for _, tag := range it.Tags {
			for _, simple := range tag.Simple {
				s.tags = append(s.tags, simple.Name)
			}
		}
	}
}

func (f *film) head(it *mkv.Item) {
	switch it.Kind {
	case mkv.EBML:
		f.ebml = append(f.ebml, it.Raw...)
	case mkv.SegmentStart:
	default:
		f.header = append(f.header, it.Raw...)
	}
}
