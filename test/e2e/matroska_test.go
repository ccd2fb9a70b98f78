package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/millrace/millrace/mkv"
)

// head is the Matroska before the first cluster: one video track, millisecond timecodes.
func head() []byte {
	b := mkv.AppendEBML(nil, mkv.Header{Version: 1, ReadVersion: 1, MaxIDLength: 4, MaxSizeLength: 8,
		DocType: "matroska", DocTypeVersion: 2, DocTypeReadVersion: 2})
	b = mkv.AppendSegmentUnknown(b)
	b = mkv.AppendInfo(b, &mkv.Info{TimecodeScale: 1_000_000, MuxingApp: "millrace e2e", WritingApp: "millrace e2e"})
	return mkv.AppendTracks(b, []mkv.Track{{Number: 1, UID: 1, Type: mkv.VideoTrack, CodecID: "V_MPEG4/ISO/AVC",
		CodecPrivate: []byte{1, 66, 0, 30, 255}, Video: &mkv.Video{PixelWidth: 64, PixelHeight: 36}}})
}

// cluster is a fragment of one second with frames of so many bytes, whose content is
// drawn from the seed.
func cluster(timecode int64, frames, size int, seed uint64) []byte {
	b := mkv.AppendClusterUnknown(nil, uint64(timecode))
	for i := range frames {
		b = append(b, block(i, frames, size, seed)...)
	}
	return b
}

func block(i, frames, size int, seed uint64) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(i), byte(i >> 8)})
	data := make([]byte, size)
	_, _ = r.Read(data)
	return mkv.AppendSimpleBlock(nil, mkv.BlockHeader{Track: 1, Time: int16(i * 1000 / frames), Key: i == 0}, data)
}

// frame is one coded frame as a consumer finds it.
type frame struct {
	track    uint64
	timecode int64
	key      bool
	data     string
}

func (f frame) String() string {
	return fmt.Sprintf("track %d at %d: %d bytes, key %t", f.track, f.timecode, len(f.data), f.key)
}

// chunk is one fragment in an answer, or one cluster of a file.
type chunk struct {
	number, token, server, producer, behind string // service tags, "" when absent
	tags                                    [][2]string
	timecode                                uint64
	cluster                                 []byte // from the cluster's id to its end
	header                                  []byte // before the cluster, without the service's tags
}

// chunks reads fragments as they arrive.
type chunks struct {
	r       *mkv.Reader
	pending *chunk
	began   bool           // the pending chunk has a cluster
	arrived func(c *chunk) // told of each piece of a cluster as it arrives
}

func newChunks(r io.Reader) *chunks { return &chunks{r: mkv.NewReader(r, mkv.Options{})} }

// next returns the next whole chunk, io.EOF after the last one. In an answer a chunk is a
// document; in a file it is a cluster.
func (c *chunks) next() (*chunk, error) {
	for {
		it, err := c.r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) && c.began {
				c.began = false
				return c.pending, nil
			}
			return nil, err
		}
		done := c.add(it)
		if done != nil {
			return done, nil
		}
	}
}

// add takes an item and returns the chunk before it when the item begins another one.
func (c *chunks) add(it *mkv.Item) (done *chunk) {
	if c.began && (it.Kind == mkv.EBML || it.Kind == mkv.ClusterStart) {
		done, c.began = c.pending, false
		c.pending = nil
	}
	if c.pending == nil || it.Kind == mkv.EBML {
		c.pending = &chunk{}
	}
	p := c.pending
	switch {
	case it.InCluster:
		c.began = true
		p.cluster = append(p.cluster, it.Raw...)
		if it.Kind == mkv.ClusterTimecode {
			p.timecode = it.Timecode
		}
		if c.arrived != nil {
			c.arrived(p)
		}
	case it.Kind == mkv.TagsElement && !it.More && p.take(it.Tags):
	case !c.began:
		p.header = append(p.header, it.Raw...)
	}
	return done
}

// take reads tags and reports whether they are the service's.
func (c *chunk) take(tags []mkv.Tag) (service bool) {
	for _, t := range tags {
		for _, s := range t.Simple {
			c.tags = append(c.tags, [2]string{s.Name, s.Value})
			switch s.Name {
			case "AWS_KINESISVIDEO_FRAGMENT_NUMBER":
				c.number = s.Value
			case "AWS_KINESISVIDEO_SERVER_TIMESTAMP":
				c.server = s.Value
			case "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP":
				c.producer = s.Value
			case "AWS_KINESISVIDEO_MILLIS_BEHIND_NOW":
				c.behind = s.Value
			case "AWS_KINESISVIDEO_CONTINUATION_TOKEN":
				c.token = s.Value
			default:
				continue
			}
			service = true
		}
	}
	return service
}

// all reads chunks to the end.
func all(t *testing.T, r io.Reader) []*chunk {
	t.Helper()
	var found []*chunk
	for c := newChunks(r); ; {
		k, err := c.next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("after %d chunks: %v", len(found), err)
		}
		found = append(found, k)
	}
}

// frames are all coded frames of Matroska, in their order.
func frames(t *testing.T, r io.Reader) []frame {
	t.Helper()
	var found []frame
	fs := mkv.NewFrames(mkv.NewReader(r, mkv.Options{}))
	for {
		f, err := fs.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("after %d frames: %v", len(found), err)
		}
		found = append(found, frame{f.Track, f.Timecode, f.Key, string(f.Data)})
	}
}

// joined is the clusters of chunks one after another.
func joined(cs []*chunk) []byte {
	var b []byte
	for _, c := range cs {
		b = append(b, c.cluster...)
	}
	return b
}

// sameClusters fails the test unless the chunks hold these clusters.
func sameClusters(t *testing.T, got []*chunk, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d chunks, want %d", len(got), len(want))
	}
	for i, c := range got {
		if !bytes.Equal(c.cluster, want[i]) {
			t.Fatalf("chunk %d (%s): cluster of %d bytes differs from that sent, of %d", i, c.number, len(c.cluster), len(want[i]))
		}
	}
}

// numbered is what each chunk of the list must hold beside its cluster.
func numbered(t *testing.T, c *chunk) {
	t.Helper()
	if len(c.number) != 47 {
		t.Errorf("fragment number %q has not 47 digits", c.number)
	}
	for _, stamp := range []string{c.server, c.producer} {
		if v, err := strconv.ParseFloat(stamp, 64); err != nil || v < 0 || len(stamp) < 5 || stamp[len(stamp)-4] != '.' {
			t.Errorf("timestamp %q is not seconds with three decimals", stamp)
		}
	}
}

func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
