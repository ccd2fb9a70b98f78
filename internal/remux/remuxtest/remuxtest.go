// Package remuxtest makes fragments for tests as the archive stores them: body, frame
// table and header of Matroska files, and of the same files with start codes. Only tests
// may import this package.
package remuxtest

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/frames"
	"github.com/millrace/millrace/mkv"
)

// Fragment is one cluster as the archive has it.
type Fragment struct {
	Header   []byte // of the document
	Body     []byte // from the cluster's head on
	Table    []byte // encoded
	Timecode int64  // milliseconds
	Length   int64  // milliseconds, by the longest track
	Frames   []Frame
}

// Frame is a frame as the producer sent it.
type Frame struct {
	Track uint64
	At    time.Duration // shown, from the fragment's start
	Key   bool
	Data  []byte
}

// Cut cuts a Matroska file into its clusters as ingest does.
func Cut(t testing.TB, file []byte) (list []Fragment) {
	t.Helper()
	r := mkv.NewReader(bytes.NewReader(file), mkv.Options{Buffer: 256})
	c := cutter{}
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			c.close()
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		c.item(it)
	}
	for i := range c.list {
		fill(t, &c.list[i])
	}
	return c.list
}

type cutter struct {
	list   []Fragment
	header []byte
	tracks []frames.Track
	each   []time.Duration
	table  *frames.Table
}

func (c *cutter) item(it *mkv.Item) {
	switch it.Kind {
	case mkv.EBML:
		c.close()
		c.header, c.tracks, c.each = nil, nil, nil
	case mkv.TracksElement:
		for i := range it.Tracks {
			d := &it.Tracks[i]
			c.tracks = append(c.tracks, frames.TrackOf(d.Number, d.CodecID, d.CodecPrivate))
			each := time.Duration(d.DefaultDuration)
			if each == 0 && d.CodecID == "A_AAC" {
				each = time.Duration(1024 * 1e9 / d.Audio.SamplingFrequency)
			}
			c.each = append(c.each, each)
		}
	case mkv.ClusterStart:
		c.close()
		c.table = frames.New(c.tracks)
		c.list = append(c.list, Fragment{Header: c.header})
	}
	if !it.InCluster {
		if c.table == nil {
			c.header = append(c.header, it.Raw...)
		}
		return
	}
	f := &c.list[len(c.list)-1]
	switch it.Kind {
	case mkv.ClusterTimecode:
		f.Timecode = int64(it.Timecode)
	case mkv.Block:
		for i, d := range c.tracks {
			if d.Number == it.Block.Track {
				c.table.Block(frames.Block{Track: i, Key: it.Block.Key, Sizes: it.Block.Sizes, Each: c.each[i],
					Time: time.Duration(it.Block.Time) * time.Millisecond, Offset: int64(len(f.Body) + it.Block.HeaderLen)})
			}
		}
		c.table.Data(it.Raw[it.Block.HeaderLen:])
	case mkv.BlockData:
		c.table.Data(it.Raw)
	case mkv.BlockDuration:
		c.table.Lasts(time.Duration(it.Duration) * time.Millisecond)
	case mkv.BlockReference:
		c.table.NotKey()
	}
	f.Body = append(f.Body, it.Raw...)
}

// close ends the fragment.
func (c *cutter) close() {
	if c.table != nil {
		c.list[len(c.list)-1].Table = c.table.Encode()
		c.table.Release()
		c.table = nil
	}
}

// fill looks the frames up, as the table tells them, and how long the fragment is.
func fill(t testing.TB, f *Fragment) {
	last, length := map[uint64]time.Duration{}, time.Duration(0)
	for r, err := range frames.Decode(f.Table, int64(len(f.Body))) {
		if err != nil {
			t.Fatal(err)
		}
		f.Frames = append(f.Frames, Frame{Track: r.Track, At: r.Presentation, Key: r.Key, Data: f.Body[r.Offset : r.Offset+r.Length]})
		end := r.Decode
		if before, ok := last[r.Track]; ok {
			end += r.Decode - before
		}
		last[r.Track], length = r.Decode, max(length, end)
	}
	f.Length = max(1, length.Round(time.Millisecond).Milliseconds())
}
