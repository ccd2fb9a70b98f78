package playback

import (
	"bytes"
	"testing"

	"github.com/millrace/millrace/internal/live"
	"github.com/millrace/millrace/mkv"
)

// A consumer that stops in the middle of a large header keeps none of it in memory: the
// rest comes from the archive.
func TestSlowReadersGoOnInTheHeader(t *testing.T) {
	s := newStudio(t)
	s.head = &live.Header{Bytes: mkv.AppendVoid(documentHead[:len(documentHead):len(documentHead)], 5*bufferSize)}
	o := newSink()
	o.gate = make(chan struct{})
	k := s.stored(100)
	r := s.follow(earliest, o)
	for range 3 {
		o.gate <- struct{}{}
	}
	s.evict()
	if _, _, err := k.HeaderAt(nil, 0); err == nil {
		t.Error("the header is still there")
	}
	close(o.gate)
	r.until(len(s.head.Bytes) + len(k.sent))
	wantChunks(t, r.stop(), k)
	if !bytes.HasPrefix(r.bytes(), s.head.Bytes) {
		t.Error("the header is not the producer's")
	}
}

// Without retention there is no archive to go on in: the body ends. One of which nothing was
// sent is passed over.
func TestSlowReadersInTheHeaderWithoutRetention(t *testing.T) {
	s := newStudio(t)
	s.stream.setRetention(0)
	s.head = &live.Header{Bytes: mkv.AppendVoid(documentHead[:len(documentHead):len(documentHead)], 5*bufferSize)}
	host := func() *take {
		k := s.open(true)
		k.frame(0, 100)
		k.complete(true)
		return k
	}
	host()
	o := newSink()
	o.gate = make(chan struct{})
	r := s.follow(earliest, o)
	o.gate <- struct{}{}
	s.evict()
	close(o.gate)
	<-r.done
	if n := len(r.bytes()); r.err != nil || r.chunks != 0 || n == 0 || n > len(s.head.Bytes) {
		t.Errorf("%d chunks, %d bytes, %v", r.chunks, n, r.err)
	}
}
