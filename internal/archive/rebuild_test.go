package archive

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

// BenchmarkRebuild makes the index of a million fragments of 100 streams anew, from the
// footers of 20 sealed segments. The bodies are empty: nobody reads them.
func BenchmarkRebuild(b *testing.B) {
	const segments, streams, perSegment = 20, 100, 50_000
	dir := b.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "segments"), 0o700); err != nil {
		b.Fatal(err)
	}
	n := int64(0)
	for id := int64(1); id <= segments; id++ {
		if err := os.WriteFile(filepath.Join(dir, "segments", segment.FileName(id)), emptyFragments(id, streams, perSegment, &n), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		a := open(b, Options{Dir: dir})
		s, err := a.Stats(b.Context())
		if err != nil || s.Fragments != segments*perSegment {
			b.Fatal(s, err)
		}
		if err := a.Close(); err != nil {
			b.Fatal(err)
		}
		size := int64(0)
		names, _ := filepath.Glob(filepath.Join(dir, "index.db*"))
		for _, name := range names {
			if info, err := os.Stat(name); err == nil {
				size += info.Size()
			}
			if err := os.Remove(name); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(size)/segments/perSegment, "index-B/row")
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/rebuild")
}

// emptyFragments lays out a sealed segment of fragments of all streams in turn, numbered
// on from *n.
func emptyFragments(id int64, streams, count int, n *int64) []byte {
	f := segmenttest.New(segment.Head{Version: 2, ID: id, Salt: uint64(id), Created: 1000})
	key := segmenttest.Key(1)
	headers := map[kvs.StreamID]int64{}
	f.Bytes = append(make([]byte, 0, count*512), f.Bytes...)
	for range count {
		stream := kvs.StreamID(*n%int64(streams) + 1)
		if headers[stream] == 0 {
			headers[stream] = f.Header(stream, key, fmt.Append(nil, "header", stream))
		}
		r := sample(stream, *n/int64(streams)+1, 0)
		f.Fragment(segment.Record{Fragment: r.Fragment, Timecode: r.Timecode, Header: headers[stream], Facts: factsOf(&r)}, key, nil, nil)
		*n++
	}
	f.Seal()
	return f.Bytes
}
