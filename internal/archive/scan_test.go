package archive

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

const testSalt = 0x0123456789abcdef

// segmentOf lays out a segment with these fragments in memory, all behind one header
// record, and returns where each record ends.
func segmentOf(recs ...Record) (b []byte, ends []int64) {
	s := segment.Head{Version: 1, Class: 1, ID: 7, Salt: testSalt, Created: 1000}
	b = encodeHead(s)
	header := int64(len(b))
	b = append(append(b, headerRecordBytes([]byte("header"), testSalt, header)...), "header"...)
	for _, r := range recs {
		p, err := prepare(r, nil)
		if err != nil {
			panic(err)
		}
		p.place(&active{Head: s}, int64(len(b)), header)
		b = append(append(b, *p.head...), bytes.Join(r.Body, nil)...)
		ends = append(ends, int64(len(b)))
	}
	return b, ends
}

// scanAll returns the fragments a scan finds.
func scanAll(t testing.TB, b []byte, deep bool) ([]kvs.Fragment, *scanner) {
	t.Helper()
	s := newScanner(bytes.NewReader(b), int64(len(b)), testSalt, segmentHeadSize, deep)
	var found []kvs.Fragment
	for {
		ok, err := s.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return found, s
		}
		found = append(found, s.head.fragment)
	}
}

func fragments(recs ...Record) (f []kvs.Fragment) {
	for _, r := range recs {
		f = append(f, r.Fragment)
	}
	return f
}

func TestHeadsSurviveEncoding(t *testing.T) {
	want := segment.Head{Version: 1, Class: 3, ID: 99, Salt: 1 << 63, Created: 123456}
	if got, ok := segment.ParseHead(encodeHead(want)); !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
	rec := recordHead{kind: fragmentRecord, body: 70000, fragment: sample(3, 4, 5).Fragment, timecode: -6, header: 64, table: 9}
	b := make([]byte, recordHeadSize)
	rec.put(b, testSalt, 4096)
	if got, ok := parseRecordHead(b, testSalt, 4096); !ok || got != rec {
		t.Errorf("%+v, %v", got, ok)
	}
	for i := range b {
		c := slices.Clone(b)
		c[i] ^= 1
		if _, ok := parseRecordHead(c, testSalt, 4096); ok {
			t.Errorf("a change of byte %d passes", i)
		}
	}
	if _, ok := parseRecordHead(b, testSalt, 4097); ok {
		t.Error("valid in another place")
	}
	if _, ok := parseRecordHead(b, testSalt+1, 4096); ok {
		t.Error("valid in another segment")
	}
}

func TestScanOfASegmentCutAtEveryByteOfItsLastRecord(t *testing.T) {
	recs := []Record{sample(1, 1, 200), sample(2, 1, 10), sample(1, 2, 300)}
	b, ends := segmentOf(recs...)
	for cut := ends[1]; cut < ends[2]; cut++ {
		got, s := scanAll(t, b[:cut], true)
		if diff := cmp.Diff(fragments(recs[:2]...), got); diff != "" || s.good != ends[1] {
			t.Fatalf("cut at %d: good up to %d, want %d\n%s", cut, s.good, ends[1], diff)
		}
	}
	if got, s := scanAll(t, b, true); len(got) != 3 || s.good != ends[2] || s.damaged != 0 {
		t.Fatalf("whole: %d fragments, good up to %d, %d damaged", len(got), s.good, s.damaged)
	}
}

func TestScanStepsOverOneDamagedByteAnywhere(t *testing.T) {
	recs := []Record{sample(1, 1, 200), sample(1, 2, 150), sample(1, 3, 100)}
	b, ends := segmentOf(recs...)
	want := fragments(recs[0], recs[2])
	for i := ends[0]; i < ends[1]; i++ {
		c := slices.Clone(b)
		c[i] ^= 0x80
		got, s := scanAll(t, c, true)
		if diff := cmp.Diff(want, got); diff != "" || s.damaged != 1 || s.good != ends[2] {
			t.Fatalf("byte %d: %d damaged, good up to %d\n%s", i, s.damaged, s.good, diff)
		}
	}
}

func TestFragmentsWithoutTheirHeaderAreNotIntact(t *testing.T) {
	b, _ := segmentOf(sample(1, 1, 200))
	b[segmentHeadSize+recordHeadSize+4] ^= 1 // the first byte of the header's bytes
	if got, _ := scanAll(t, b, true); len(got) != 0 {
		t.Fatalf("found %v", got)
	}
}

func TestMediaThatLooksLikeARecordIsNotOne(t *testing.T) {
	inner, _ := segmentOf(sample(9, 9, 100))
	bait := sample(1, 1, 0)
	bait.Body = [][]byte{inner}
	b, ends := segmentOf(bait, sample(1, 2, 10))
	b[segmentHeadSize+recordHeadSize+4+len("header")] ^= 1 // the head of the bait: the scan looks into its body
	got, s := scanAll(t, b, true)
	if diff := cmp.Diff(fragments(sample(1, 2, 10)), got); diff != "" || s.good != ends[1] {
		t.Fatal(diff)
	}
}

func TestScanIsShallowOnRequest(t *testing.T) {
	b, ends := segmentOf(sample(1, 1, 200), sample(1, 2, 200))
	b[ends[1]-1] ^= 1
	if got, _ := scanAll(t, b, false); len(got) != 2 {
		t.Errorf("shallow: %d fragments", len(got))
	}
	if got, _ := scanAll(t, b, true); len(got) != 1 {
		t.Errorf("deep: %d fragments", len(got))
	}
}

// FuzzScan gives the scanner any bytes. What it reports must lie inside, must not
// overlap, and must be the same when only the good part is scanned again. With sign,
// every head gets a valid checksum first, so that wild lengths and kinds come through.
func FuzzScan(f *testing.F) {
	b, ends := segmentOf(sample(1, 1, 40), sample(2, 1, 7), sample(1, 2, 0))
	f.Add(b, false)
	f.Add(b, true)
	f.Add(b[:ends[1]+50], true)
	f.Add(b[:segmentHeadSize], false)
	damaged := slices.Clone(b)
	damaged[ends[0]+9] ^= 1
	f.Add(damaged, false)
	f.Add(damaged, true)
	f.Add(append(slices.Clone(b[:ends[0]]), make([]byte, 100)...), false)
	f.Add(append(bytes.Repeat([]byte(recordMagic), 10), b...), false)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign {
			b = signed(b)
		}
		segment.ParseHead(b)
		size := int64(len(b))
		s := newScanner(bytes.NewReader(b), size, testSalt, segmentHeadSize, true)
		var found []kvs.Fragment
		for end := int64(segmentHeadSize); ; end = s.pos {
			ok, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if s.at < end || s.at+s.head.recordSize() > size {
				t.Fatalf("record at %d of %d bytes, after %d of %d", s.at, s.head.recordSize(), end, size)
			}
			found = append(found, s.head.fragment)
		}
		if s.good > max(size, segmentHeadSize) {
			t.Fatalf("good up to %d of %d", s.good, size)
		}
		again, _ := scanAll(t, b[:min(size, s.good)], true)
		if !slices.Equal(found, again) {
			t.Fatalf("first %v, then %v", found, again)
		}
	})
}

// signed returns b with a valid checksum in everything that begins like a record.
func signed(b []byte) []byte {
	b = slices.Clone(b)
	for i := 0; i+recordHeadSize <= len(b); i++ {
		if bytes.HasPrefix(b[i:], []byte(recordMagic)) {
			binary.LittleEndian.PutUint32(b[i+92:], headChecksum(b[i:], testSalt, int64(i)))
		}
	}
	return b
}
