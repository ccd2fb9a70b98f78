package inspect

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

// Files of version 1 are checked as well; they have no keys, facts and footers.
func TestAnOlderArchive(t *testing.T) {
	s := newStock(t)
	f := segmenttest.New(segment.Head{Version: 1, Class: 1, ID: 7, Salt: 99, Created: 5})
	header := f.Header(0, segment.DataKey{}, []byte("header of both"))
	var positions []int64
	for n := range int64(5) {
		for _, id := range stockStreams {
			r := segment.Record{Header: header, Fragment: kvs.Fragment{Stream: id, Number: kvs.FragmentNumber{N: -10 + n, Server: kvs.Millis(5000 + n)}, Duration: 9}}
			positions = append(positions, f.Fragment(r, segment.DataKey{}, stockBody(id, n), nil))
		}
	}
	f.Seal()
	path := filepath.Join(s.dir, "archive", "segments", segment.FileName(7))
	if err := os.WriteFile(path, f.Bytes, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(func(*archive.Archive) {})
	if r := s.check(Options{Deep: true}); !r.Clean() || r.Fragments != int64(2*s.count+10) {
		t.Errorf("%+v", r)
	}
	v := copyOf(t, s)
	v.flip(v.file(7), positions[3]+2000)
	v.flip(v.file(7), positions[5]+50)
	if r := v.check(Options{Deep: true}); r.Counts[4] != 2 || r.Total() != 2 {
		t.Errorf("%v, want two damaged records", r.Findings)
	}
	v.flip(v.file(7), header+100)
	if r := v.check(Options{}); r.Counts[3] != 9 {
		t.Errorf("%v, want nine fragments without a header", r.Findings)
	}
}

// only says that there is one stream.
func only(stream int64) func(context.Context) (map[kvs.StreamID]bool, error) {
	return func(context.Context) (map[kvs.StreamID]bool, error) {
		return map[kvs.StreamID]bool{kvs.StreamID(stream): true}, nil
	}
}

// What a deleted stream has left is no matter: its keys may be gone before its rows.
func TestADeletedStream(t *testing.T) {
	v := copyOf(t, newStock(t))
	v.setKeys(v.keyEntries()[:1])
	kept := v.number(`SELECT MIN(stream) FROM streams`)
	v.exec(`DELETE FROM fragments WHERE stream <> $1 AND n = 7`, kept)
	v.exec(`UPDATE segments SET live = (SELECT COUNT(*) FROM fragments WHERE segment = segments.id), bytes = (SELECT SUM(length) FROM fragments WHERE segment = segments.id)`)
	v.exec(`UPDATE streams SET fragments = (SELECT COUNT(*) FROM fragments AS f WHERE f.stream = streams.stream), bytes = (SELECT SUM(length) FROM fragments AS f WHERE f.stream = streams.stream)`)
	if r := v.check(Options{Deep: true}); r.Counts[12] == 0 || r.Counts[5] != 1 {
		t.Errorf("before: %v", r.Findings)
	}
	r := v.check(Options{Deep: true, Streams: only(kept)})
	if !r.Clean() || len(r.Notes) > 0 {
		t.Errorf("%v, %v", r.Findings, r.Notes)
	}
}
