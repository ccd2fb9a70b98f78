package playback

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/mkv"
)

var update = flag.Bool("update", false, "write the golden files anew")

// dump draws elements as a tree of ids, sizes and texts; what a golden file can show.
func dump(b []byte) string {
	var out strings.Builder
	r := mkv.NewReader(bytes.NewReader(b), mkv.Options{})
	for {
		it, err := r.Next()
		if err != nil {
			return out.String()
		}
		head := it.Raw
		if len(head) > 24 {
			head = head[:24]
		}
		fmt.Fprintf(&out, "%-15v %4d bytes  %s\n", it.Kind, len(it.Raw), hex.EncodeToString(head))
		for _, t := range it.Tags {
			for _, s := range t.Simple {
				fmt.Fprintf(&out, "    %s = %q\n", s.Name, s.Value)
			}
		}
	}
}

func golden(t *testing.T, name string, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; with -update it becomes\n%s", path, got)
	}
}

// A chunk is the header, tags, the cluster, what followed it, tags (wire-media section
// 5.4), from the archive as from the live buffer.
func TestTheShapeOfAChunk(t *testing.T) {
	s := newStudio(t)
	k := s.open(true)
	k.frame(0, 8)
	k.frame(40, 8)
	// What came between this cluster and the next ends this chunk.
	k.add(mkv.AppendVoid(nil, 5))
	k.add(mkv.AppendTags(nil, []mkv.Tag{{Simple: []mkv.SimpleTag{{Name: "Motion", Value: "true"}}}}))
	k.store()
	fromLive := s.follow(kvs.Selector{Type: kvs.StartEarliest}, newSink())
	full := len(documentHead) + len(k.sent)
	fromLive.until(full)
	fromLive.stop()
	golden(t, "chunk.txt", dump(fromLive.bytes()))

	s.evict()
	stored := s.follow(kvs.Selector{Type: kvs.StartEarliest}, newSink())
	stored.until(full)
	stored.stop()
	if !bytes.Equal(stored.bytes(), fromLive.bytes()) {
		t.Error("the archive gives other bytes than the live buffer")
	}
	if !bytes.HasPrefix(fromLive.bytes(), documentHead) {
		t.Error("the header is not the producer's")
	}
	if !bytes.Contains(documentHead, []byte{0x18, 0x53, 0x80, 0x67, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}) {
		t.Error("the Segment has not the service's size")
	}
}

// The service's tags have sizes of four bytes, no Targets, and name before value.
func TestTagsByteForByte(t *testing.T) {
	f := kvs.Fragment{Number: kvs.FragmentNumber{N: 5, Server: 1_511_852_109_126, Random: 77}, Producer: 5}
	var want []byte
	sized := func(id []byte, n int) { want = append(append(want, id...), 0x10, byte(n>>16), byte(n>>8), byte(n)) }
	number := f.Number.String()
	simple := func(name, value string) {
		sized([]byte{0x67, 0xC8}, 6+len(name)+6+len(value))
		sized([]byte{0x45, 0xA3}, len(name))
		want = append(want, name...)
		sized([]byte{0x44, 0x87}, len(value))
		want = append(want, value...)
	}
	pairs := [][2]string{{"AWS_KINESISVIDEO_FRAGMENT_NUMBER", number}, {"AWS_KINESISVIDEO_SERVER_TIMESTAMP", "1511852109.126"}, {"AWS_KINESISVIDEO_PRODUCER_TIMESTAMP", "0.005"}}
	n := 0
	for _, p := range pairs {
		n += 6 + 12 + len(p[0]) + len(p[1])
	}
	sized([]byte{0x12, 0x54, 0xC3, 0x67}, n+6)
	sized([]byte{0x73, 0x73}, n)
	for _, p := range pairs {
		simple(p[0], p[1])
	}
	if got := appendHead(nil, f); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if len(number) != 47 {
		t.Errorf("the number has %d digits", len(number))
	}
	if got := dump(appendTail(appendDocument(nil), f, -3)); !strings.Contains(got, `MILLIS_BEHIND_NOW = "0"`) || !strings.Contains(got, `CONTINUATION_TOKEN = "`+number) {
		t.Errorf("tail:\n%s", got)
	}
}

// Readers tell an error from a fragment by the missing server timestamp, and want a
// number, an id and a text (wire-media section 5.2).
func TestTheShapeOfErrors(t *testing.T) {
	after := kvs.FragmentNumber{N: 5, Server: 1_511_852_109_126, Random: 77}
	golden(t, "errors.txt", dump(appendError(nil, after, fragmentNotFound, "The stream was deleted."))+
		dump(appendPickError(nil, "123", internalError, "The fragment could not be read.")))
}
