package segment_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

func headOf(version int) segment.Head {
	return segment.Head{Version: version, Class: 1, ID: 7, Salt: 0x0123456789abcdef, Created: 1000}
}

func numberOf(n int64) kvs.FragmentNumber {
	return kvs.FragmentNumber{N: n, Server: kvs.Millis(n * 1000), Random: uint32(n)}
}

// layOut makes a segment of one stream with fragments 1, 2, 3 ... of these sizes behind
// one header record, and returns where each ends.
func layOut(version int, sizes ...int) (*segmenttest.File, []int64) {
	f := segmenttest.New(headOf(version))
	key := segmenttest.Key(1)
	header := f.Header(1, key, []byte("header"))
	var ends []int64
	for i, size := range sizes {
		n := int64(i + 1)
		rec := segment.Record{
			Fragment: kvs.Fragment{Stream: 1, Number: numberOf(n), Producer: 5, Duration: 6, Size: 7}, Header: header,
			Facts: segment.Facts{LiveSeq: n, Millis: 2 * n, Tracks: []segment.Track{{Number: 1, Frames: uint32(n)}}},
		}
		var frames []byte
		if version == segment.Version {
			frames = []byte("frames")
		}
		f.Fragment(rec, key, bytes.Repeat([]byte{byte(n), 1, 2, 3, 5}, size/5), frames)
		ends = append(ends, int64(len(f.Bytes)))
	}
	return f, ends
}

// scan returns the counters of the intact fragments.
func scan(t testing.TB, h segment.Head, b []byte, deep bool) ([]int64, *segment.Scanner) {
	t.Helper()
	s := segment.NewScanner(bytes.NewReader(b), h, segment.HeadSize, int64(len(b)), deep)
	var found []int64
	for {
		ok, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return found, s
		}
		if s.Finding == segment.Intact && s.Record.Kind == segment.FragmentRecord {
			found = append(found, s.Record.Fragment.Number.N)
		}
	}
}

// bothVersions runs a test for each version.
func bothVersions(t *testing.T, test func(t *testing.T, version int)) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) { test(t, version) })
	}
}

func TestScanOfASegmentCutAtEveryByteOfItsLastRecord(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		f, ends := layOut(version, 200, 10, 300)
		for cut := ends[1]; cut < ends[2]; cut++ {
			got, s := scan(t, f.Head, f.Bytes[:cut], true)
			if !slices.Equal(got, []int64{1, 2}) || s.Good != ends[1] {
				t.Fatalf("cut at %d: %d, good up to %d, want %d", cut, got, s.Good, ends[1])
			}
		}
		if got, s := scan(t, f.Head, f.Bytes, true); len(got) != 3 || s.Good != ends[2] || s.Lost != 0 || s.Sealed {
			t.Fatalf("whole: %d, good up to %d, %d lost, sealed %v", got, s.Good, s.Lost, s.Sealed)
		}
		f.Seal()
		for cut := ends[2]; cut <= int64(len(f.Bytes)); cut++ {
			got, s := scan(t, f.Head, f.Bytes[:cut], true)
			if len(got) != 3 || s.Good != ends[2] || s.Sealed != (cut == int64(len(f.Bytes))) {
				t.Fatalf("sealed and cut at %d: %d, good up to %d, sealed %v", cut, got, s.Good, s.Sealed)
			}
		}
	})
}

func TestScanStepsOverOneDamagedByteAnywhere(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		f, ends := layOut(version, 200, 150, 100)
		for i := ends[0]; i < ends[1]; i++ {
			c := slices.Clone(f.Bytes)
			c[i] ^= 0x80
			got, s := scan(t, f.Head, c, true)
			if !slices.Equal(got, []int64{1, 3}) || s.Lost != 1 || s.Good != ends[2] {
				t.Fatalf("byte %d: found %d, %d lost, good up to %d", i, got, s.Lost, s.Good)
			}
		}
	})
}

func TestScanIsShallowOnRequest(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		f, ends := layOut(version, 200, 200)
		f.Bytes[ends[1]-1] ^= 1
		if got, _ := scan(t, f.Head, f.Bytes, false); len(got) != 2 {
			t.Errorf("shallow: %d fragments", len(got))
		}
		if got, _ := scan(t, f.Head, f.Bytes, true); len(got) != 1 {
			t.Errorf("deep: %d fragments", len(got))
		}
	})
}

func TestFragmentsWithoutTheirHeaderAreOrphans(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		f, _ := layOut(version, 200)
		f.Bytes[segment.HeadSize+150] ^= 1 // of the bytes or checksums of the header record, or the first head in version 1
		if version == 1 {
			f.Bytes[segment.HeadSize+150] ^= 1
			f.Bytes[segment.HeadSize+100] ^= 1
		}
		for _, deep := range []bool{false, true} {
			if got, s := scan(t, f.Head, f.Bytes, deep); len(got) != 0 || s.Finding != segment.Orphan {
				t.Errorf("deep %v: found %v and %d", deep, got, s.Finding)
			}
		}
	})
	f := segmenttest.New(headOf(2))
	key := segmenttest.Key(1)
	other := f.Header(2, key, []byte("header of another stream"))
	f.Fragment(segment.Record{Fragment: kvs.Fragment{Stream: 1}, Header: other}, key, nil, nil)
	f.Fragment(segment.Record{Fragment: kvs.Fragment{Stream: 1}, Header: int64(len(f.Bytes))}, key, nil, nil)
	if _, s := scan(t, f.Head, f.Bytes, true); s.Lost != 2 {
		t.Errorf("a header of another stream, and none: %d lost", s.Lost)
	}
}

func TestMediaThatLooksLikeARecordIsNotOne(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		inner, _ := layOut(version, 100)
		f := segmenttest.New(headOf(version))
		key := segmenttest.Key(1)
		header := f.Header(1, key, []byte("header"))
		bait := int64(len(f.Bytes))
		f.Fragment(segment.Record{Fragment: kvs.Fragment{Stream: 1, Number: numberOf(1)}, Header: header}, key, inner.Bytes, nil)
		copy(f.Bytes[bait+160:], inner.Bytes) // sealed bytes may be anything
		f.Fragment(segment.Record{Fragment: kvs.Fragment{Stream: 1, Number: numberOf(2)}, Header: header}, key, nil, nil)
		f.Bytes[bait] ^= 1 // the scan looks into the body
		got, s := scan(t, f.Head, f.Bytes, true)
		if !slices.Equal(got, []int64{2}) || s.Good != int64(len(f.Bytes)) {
			t.Fatalf("found %d", got)
		}
	})
}

func TestScanStepsOverHoles(t *testing.T) {
	f, ends := layOut(2, 100, 600_000, 100, 600_000, 100)
	f.Seal()
	for _, from := range []int64{ends[0], ends[0] + 4096, ends[2] + 128} { // with the head and without
		c := slices.Clone(f.Bytes)
		first := (from + 4095) / 4096 * 4096
		clear(c[first : first+400<<10])
		s := segment.NewScanner(bytes.NewReader(c), f.Head, segment.HeadSize, int64(len(c)), true)
		holes := 0
		for {
			ok, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if s.Finding == segment.Damaged || s.Finding == segment.Garbage && s.Hole {
				holes++
			}
		}
		if holes != 1 || s.Lost != 1 || !s.Sealed {
			t.Errorf("hole from %d: %d holes, %d lost, sealed %v", first, holes, s.Lost, s.Sealed)
		}
	}
	c := slices.Clone(f.Bytes)
	clear(c[ends[0] : ends[0]+128])
	clear(c[(ends[0]+4095)/4096*4096 : ends[1]/4096*4096])
	got, s := scan(t, f.Head, c, true)
	if !slices.Equal(got, []int64{1, 3, 4, 5}) || s.Lost != 1 {
		t.Errorf("without its head: found %d, %d lost", got, s.Lost)
	}
}

// A file full of what looks like heads must not cost more than its length.
func TestScanOfNothingButMagic(t *testing.T) {
	bothVersions(t, func(t *testing.T, version int) {
		magic := []string{"", "\xa7MRr", "\xa7MRs"}[version]
		b := append(segmenttest.New(headOf(version)).Bytes, bytes.Repeat([]byte(magic), 1<<20)...)
		if got, s := scan(t, headOf(version), b, true); len(got) != 0 || s.Good != segment.HeadSize || s.Lost != 1 {
			t.Errorf("found %d, %d lost", got, s.Lost)
		}
	})
}

func TestFooter(t *testing.T) {
	sizes := slices.Repeat([]int{50}, 700) // a footer of several chunks
	f, ends := layOut(2, sizes...)
	if ok, err := segment.ReadFooter(f, f.Head, int64(len(f.Bytes)), nil); ok || err != nil {
		t.Errorf("open: %v, %v", ok, err)
	}
	end := int64(len(f.Bytes))
	f.Seal()
	size := int64(len(f.Bytes))
	if at, ok, err := segment.EndsSealed(f, f.Head, size); at != end || !ok || err != nil {
		t.Errorf("footer at %d, %v, %v", at, ok, err)
	}
	var got []int64
	ok, err := segment.ReadFooter(f, f.Head, size, func(position int64, rec *segment.Record) error {
		want, there, err := segment.ReadRecord(f, f.Head, position, size)
		if diff := cmp.Diff(want.Facts, rec.Facts); diff != "" || !there || err != nil || want.Fragment != rec.Fragment || want.Salt != rec.Salt {
			t.Fatal(there, err, diff)
		}
		got = append(got, position+rec.Size())
		return nil
	})
	if !ok || err != nil || !slices.Equal(got, ends) {
		t.Fatalf("%v, %v, %d records of %d", ok, err, len(got), len(ends))
	}
	if _, s := scan(t, f.Head, f.Bytes, false); !s.Sealed || s.Good != end {
		t.Errorf("sealed %v, good up to %d", s.Sealed, s.Good)
	}
	for i := end; i < size; i += 97 {
		c := slices.Clone(f.Bytes)
		c[i] ^= 1
		if ok, err := segment.ReadFooter(bytes.NewReader(c), f.Head, size, func(int64, *segment.Record) error { return nil }); ok || err != nil {
			t.Fatalf("byte %d changed: %v, %v", i, ok, err)
		}
		if got, s := scan(t, f.Head, c, false); s.Sealed || s.Good != end || len(got) != len(sizes) {
			t.Fatalf("byte %d changed: sealed %v, good up to %d", i, s.Sealed, s.Good)
		}
	}
}

// The files were written by the last program that wrote version 1.
func TestFilesOfVersion1AreReadable(t *testing.T) {
	for name, want := range map[string][]int64{"001750000000.seg": {1, 1, 2, 3}, "001750003600.seg": {4, 2}} {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", name))
		if err != nil {
			t.Fatal(err)
		}
		h, err := segment.ReadHead(bytes.NewReader(b))
		if err != nil || h.Version != 1 || segment.FileName(h.ID) != name {
			t.Fatal(h, err)
		}
		got, s := scan(t, h, b, true)
		if sealed := name == "001750000000.seg"; !slices.Equal(got, want) || s.Sealed != sealed {
			t.Errorf("%s: fragments %d, sealed %v", name, got, s.Sealed)
		}
		if _, sealed, err := segment.EndsSealed(bytes.NewReader(b), h, int64(len(b))); sealed != s.Sealed || err != nil {
			t.Errorf("%s: ends sealed: %v, %v", name, sealed, err)
		}
	}
}

// FuzzScan gives the scanner any bytes. What it reports must lie inside and follow each
// other without gaps, and must be the same when only the good part is scanned again. With
// sign, every head gets a valid checksum first, so that wild lengths and kinds come
// through.
func FuzzScan(f *testing.F) {
	for _, version := range []int{1, 2} {
		g, ends := layOut(version, 40, 5, 0)
		f.Add(slices.Clone(g.Bytes), version, true)
		f.Add(g.Bytes[:ends[1]+50], version, true)
		f.Add(append(slices.Clone(g.Bytes[:ends[0]]), make([]byte, 100)...), version, false)
		g.Seal()
		f.Add(g.Bytes, version, true)
		damaged := slices.Clone(g.Bytes)
		damaged[ends[0]+9] ^= 1
		f.Add(damaged, version, false)
		f.Add(damaged, version, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, version int, sign bool) {
		h := headOf(1 + version&1)
		if sign {
			b = signed(b, h)
		}
		size := int64(len(b))
		s := segment.NewScanner(bytes.NewReader(b), h, segment.HeadSize, size, true)
		var found []int64
		for end := int64(segment.HeadSize); ; end = s.End {
			ok, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if s.Position != end || s.End <= s.Position || s.End > size {
				t.Fatalf("from %d to %d of %d, after %d", s.Position, s.End, size, end)
			}
			if s.Finding == segment.Intact && s.Record.Kind == segment.FragmentRecord {
				found = append(found, s.Record.Fragment.Number.N)
			}
		}
		if s.Good > max(size, segment.HeadSize) {
			t.Fatalf("good up to %d of %d", s.Good, size)
		}
		again, _ := scan(t, h, b[:min(size, s.Good)], true)
		if !slices.Equal(found, again) {
			t.Fatalf("first %v, then %v", found, again)
		}
	})
}

// FuzzFooter gives the reader of footers any end of a segment, with valid checksums
// wherever something begins like a record.
func FuzzFooter(f *testing.F) {
	g, ends := layOut(2, 40, 5, 0)
	g.Seal()
	f.Add(g.Bytes[ends[2]:])
	f.Add(g.Bytes[ends[1]:])
	open, _ := layOut(2, 40, 5, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		h := open.Head
		all := signed(append(slices.Clone(open.Bytes), b...), h)
		size := int64(len(all))
		least := int64(segment.HeadSize)
		_, err := segment.ReadFooter(bytes.NewReader(all), h, size, func(position int64, rec *segment.Record) error {
			if position < least || position+rec.Size() > size || rec.Kind != segment.FragmentRecord {
				t.Fatalf("%+v at %d, after %d of %d", rec, position, least, size)
			}
			least = position + rec.Size()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzParse gives the parsers of heads any bytes. What passes must come out the same
// when it is written again.
func FuzzParse(f *testing.F) {
	g, _ := layOut(2, 40)
	f.Add(g.Bytes[:segment.HeadSize], int64(0))
	f.Add(g.Bytes[segment.HeadSize:], int64(segment.HeadSize))
	f.Add(g.Bytes[segment.HeadSize+172:], int64(99))
	f.Fuzz(func(t *testing.T, b []byte, position int64) {
		if h, ok := segment.ParseHead(b); ok && h.Version == 2 && !bytes.Equal(h.Encode()[:40], b[:40]) {
			t.Fatalf("%+v", h)
		}
		segment.ParseTracks(nil, b)
		b = slices.Clone(b)
		h := headOf(2)
		if len(b) >= segment.RecordHeadSize {
			facts := b[segment.RecordHeadSize:]
			facts = facts[:min(len(facts), int(binary.LittleEndian.Uint16(b[6:])))]
			binary.LittleEndian.PutUint32(b[112:], crc32.Checksum(facts, crc32.MakeTable(crc32.Castagnoli)))
			sign(b, h, position)
		}
		var rec segment.Record
		if !segment.ParseRecord(b, h, position, &rec) {
			return
		}
		var again segment.Record
		if !segment.ParseRecord(rec.Append(nil, h.Salt, position), h, position, &again) || !cmp.Equal(rec, again, cmp.AllowUnexported(segment.Record{})) {
			t.Fatalf("%+v\n%+v", rec, again)
		}
	})
}

// sign puts the checksum of a head where it belongs.
func sign(b []byte, h segment.Head, position int64) {
	at := 124
	if h.Version == 1 {
		at = 92
	}
	place := binary.LittleEndian.AppendUint64(nil, h.Salt)
	place = binary.LittleEndian.AppendUint64(place, uint64(position))
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(append(place, b[:at]...), crc32.MakeTable(crc32.Castagnoli)))
}

// signed returns b with a valid checksum in everything that begins like a record.
func signed(b []byte, h segment.Head) []byte {
	b = slices.Clone(b)
	magic, size := "\xa7MRs", segment.RecordHeadSize
	if h.Version == 1 {
		magic, size = "\xa7MRr", 96
	}
	for i := 0; i+size <= len(b); i++ {
		if bytes.HasPrefix(b[i:], []byte(magic)) {
			sign(b[i:], h, int64(i))
		}
	}
	return b
}

// BenchmarkReadFooter reads the footer of 10,000 fragments.
func BenchmarkReadFooter(b *testing.B) {
	f, _ := layOut(2, slices.Repeat([]int{0}, 10_000)...)
	f.Seal()
	b.ReportAllocs()
	for b.Loop() {
		ok, err := segment.ReadFooter(f, f.Head, int64(len(f.Bytes)), func(int64, *segment.Record) error { return nil })
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/record")
}
