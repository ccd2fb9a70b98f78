package archive

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/keyring/keyringtest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
	"github.com/millrace/millrace/internal/segment/segmenttest"
)

// planted is an archive whose files are laid out by hand.
type planted struct {
	t *testing.T
	o Options
}

func plant(t *testing.T) *planted {
	dir := t.TempDir()
	p := &planted{t, Options{Dir: filepath.Join(dir, "hot"), WarmDir: filepath.Join(dir, "warm"), Keys: keyringtest.New(t)}}
	for _, d := range []string{p.o.Dir, p.o.WarmDir} {
		if err := os.MkdirAll(filepath.Join(d, "segments"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *planted) key(id kvs.StreamID) segment.DataKey {
	k, err := p.o.Keys.Current(context.Background(), id, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

// sheet is a segment being laid out.
type sheet struct {
	*segmenttest.File
	p       *planted
	headers map[kvs.StreamID]int64
	ends    []int64
	lengths []int64
}

func (p *planted) segment(id int64) *sheet {
	h := segment.Head{Version: 2, ID: id, Salt: uint64(id) * 0x9e3779b97f4a7c15, Created: 1000}
	return &sheet{File: segmenttest.New(h), p: p, headers: map[kvs.StreamID]int64{}}
}

// factsOf follow from the number, so that they can be looked for.
func factsOf(r *Record) segment.Facts {
	n := r.Fragment.Number.N
	return segment.Facts{LiveSeq: n, Changes: 1, ServerGaps: uint32(n), ProducerGaps: 2, Millis: n * 2000,
		Tracks: []segment.Track{{Number: 1, Frames: uint32(n), Bytes: r.Fragment.Size, Fingerprint: 77}, {Number: 2, Frames: 3, Bytes: 4, Fingerprint: 78}}}
}

func framesOf(r *Record) []byte { return bytes.Repeat([]byte{byte(r.Fragment.Number.N)}, 300) }

// put appends records, each stream's header first.
func (s *sheet) put(copied bool, recs ...Record) *sheet {
	for _, r := range recs {
		id := r.Fragment.Stream
		key := s.p.key(id)
		if s.headers[id] == 0 {
			s.headers[id] = s.Header(id, key, r.Header)
		}
		at := int64(len(s.Bytes))
		s.Fragment(segment.Record{Copied: copied, Fragment: r.Fragment, Timecode: r.Timecode, Header: s.headers[id], Facts: factsOf(&r)},
			key, bytes.Join(r.Body, nil), framesOf(&r))
		s.ends = append(s.ends, int64(len(s.Bytes)))
		s.lengths = append(s.lengths, int64(len(s.Bytes))-at)
	}
	return s
}

// save writes the segment to a folder.
func (s *sheet) save(dir string) *sheet {
	name := filepath.Join(dir, "segments", segment.FileName(s.Head.ID))
	if err := os.WriteFile(name, s.Bytes, 0o600); err != nil {
		s.p.t.Fatal(err)
	}
	return s
}

func (s *sheet) sealed() *sheet {
	s.Seal()
	return s
}

// bury writes tombstones.
func (p *planted) bury(all ...tombstone) {
	j, err := journal.Open(disk.System{}, filepath.Join(p.o.Dir, tombstonesName), tombstoneFormat, func(int64, []byte) error { return nil })
	if err != nil {
		p.t.Fatal(err)
	}
	for _, t := range all {
		if err := j.Append(t.append(nil)); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// inOpen opens the archive for a look at it.
func (p *planted) inOpen(look func(a *Archive)) {
	p.t.Helper()
	a := open(p.t, p.o)
	look(a)
	wantCounts(p.t, a)
	if err := a.Close(); err != nil {
		p.t.Error(err)
	}
}

// forgetIndex removes the index, so that the next start makes another.
func (p *planted) forgetIndex() {
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := (disk.System{}).Remove(filepath.Join(p.o.Dir, "index.db"+end)); err != nil {
			p.t.Fatal(err)
		}
	}
}

func wantSegment(t *testing.T, a *Archive, id int64, check func(segmentRow) bool) {
	t.Helper()
	rows, err := a.index.segments(context.Background())
	if row, ok := rows[id]; err != nil || !ok || !check(row) {
		t.Errorf("segment %d: %+v, %v", id, row, err)
	}
}

func TestSealedSegmentsAreReadBackFromTheirFooters(t *testing.T) {
	p := plant(t)
	recs := numbered(1, 1, 20, 3000)
	others := numbered(2, 1, 5, 100_000)
	s := p.segment(5).put(false, recs[:10]...).put(false, others...).put(false, recs[10:]...).sealed().save(p.o.Dir)
	total := int64(0)
	for _, n := range s.lengths {
		total += n
	}
	for range 3 {
		p.inOpen(func(a *Archive) {
			wantStored(t, a, 1, recs...)
			wantStored(t, a, 2, others...)
			wantSegment(t, a, 5, func(r segmentRow) bool {
				return r.sealed && r.live == 25 && r.bytes == total && r.total == total && r.longest == 2000 && r.length == int64(len(s.Bytes))
			})
			got, _, err := a.Get(context.Background(), 1, recs[7].Fragment.Number, 0)
			if diff := cmp.Diff(factsOf(&recs[7]), got.Facts, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
		p.forgetIndex()
	}
	if b, err := os.ReadFile(filepath.Join(p.o.Dir, "segments", segment.FileName(5))); err != nil || !bytes.Equal(b, s.Bytes) {
		t.Errorf("the sealed file was changed; %v", err)
	}
}

func TestADamagedFooterIsNotNeeded(t *testing.T) {
	p := plant(t)
	recs := numbered(1, 1, 5, 3000)
	s := p.segment(5).put(false, recs...).sealed()
	s.Bytes[s.ends[4]+200] ^= 1
	s.save(p.o.Dir)
	p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs...) })
}

func TestATornTailIsCutAndSealed(t *testing.T) {
	recs := numbered(1, 1, 4, 400)
	p := plant(t)
	whole := p.segment(5).put(false, recs...)
	want := p.segment(5).put(false, recs[:3]...)
	ends := whole.ends
	whole.Seal()
	for cut := ends[2]; cut < ends[3]; cut += 130 {
		p := plant(t)
		s := p.segment(5).put(false, recs...)
		s.Bytes = s.Bytes[:cut]
		s.save(p.o.Dir)
		p.inOpen(func(a *Archive) {
			wantStored(t, a, 1, recs[:3]...)
			wantSegment(t, a, 5, func(r segmentRow) bool { return r.sealed && r.live == 3 })
		})
		b, err := os.ReadFile(filepath.Join(p.o.Dir, "segments", segment.FileName(5)))
		if err != nil {
			t.Fatal(err)
		}
		listed := 0
		ok, err := segment.ReadFooter(bytes.NewReader(b), whole.Head, int64(len(b)), func(int64, *segment.Record) error { listed++; return nil })
		if !ok || err != nil || listed != 3 || len(want.Bytes) != int(ends[2]) {
			t.Fatalf("cut at %d: a footer of %d records: %v, %v", cut, listed, ok, err)
		}
		p.forgetIndex()
		p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs[:3]...) })
	}
	for cut := ends[3]; cut < int64(len(whole.Bytes)); cut += 290 { // a torn footer
		p := plant(t)
		s := p.segment(5).put(false, recs...).sealed()
		s.Bytes = s.Bytes[:cut]
		s.save(p.o.Dir)
		p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs...) })
	}
}

func TestTheStartGoesOnWhereTheIndexEnds(t *testing.T) {
	p := plant(t)
	recs := numbered(1, 1, 9, 400)
	s := p.segment(5).put(false, recs...)
	p.inOpen(func(a *Archive) { // an index that knows four of them
		err := a.index.addSegment(context.Background(), segmentRow{Head: s.Head, length: segment.HeadSize})
		if err != nil {
			t.Fatal(err)
		}
		var found []finding
		for i, r := range recs[:4] {
			found = append(found, finding{Stored: Stored{Fragment: r.Fragment, Timecode: r.Timecode, segment: 5,
				position: s.ends[i] - s.lengths[i], length: s.lengths[i], header: s.headers[1]}})
		}
		if n, err := a.index.replay(context.Background(), 5, s.ends[3], found); n != 4 || err != nil {
			t.Fatal(n, err)
		}
	})
	s.Bytes[s.ends[2]+20] ^= 1 // in front of the place, so nobody looks
	s.save(p.o.Dir)
	p.inOpen(func(a *Archive) {
		wantSegment(t, a, 5, func(r segmentRow) bool { return r.live == 9 && r.total == r.bytes && r.sealed })
	})
}

func TestACopyWinsOverWhatItWasCopiedFrom(t *testing.T) {
	recs := numbered(1, 1, 6, 400)
	for _, known := range []bool{false, true} { // the index knew the old segment, or nothing
		p := plant(t)
		p.segment(5).put(false, recs...).sealed().save(p.o.Dir)
		if known {
			p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs...) })
		}
		p.segment(9).put(true, recs[1], recs[4]).sealed().save(p.o.Dir)
		for range 2 {
			p.inOpen(func(a *Archive) {
				wantStored(t, a, 1, recs...)
				wantSegment(t, a, 5, func(r segmentRow) bool { return r.live == 4 && r.bytes == r.total/6*4 })
				wantSegment(t, a, 9, func(r segmentRow) bool { return r.live == 2 && r.bytes == r.total })
			})
		}
	}
}

func TestWhatTombstonesNameStaysDead(t *testing.T) {
	recs := numbered(1, 1, 8, 400)
	p := plant(t)
	p.segment(5).put(false, recs...).sealed().save(p.o.Dir)
	p.segment(7).put(true, recs[2]).put(false, numbered(2, 1, 3, 10)...).save(p.o.Dir)
	p.bury(tombstone{5, 1, 1, 2, expired}, tombstone{5, 1, 2, 3, erased}, tombstone{7, 2, 2, 2, erased}, tombstone{7, 1, 8, 8, erased})
	want := append([]Record{recs[2]}, recs[3:]...)
	look := func(a *Archive) {
		wantStored(t, a, 1, want...)
		wantStored(t, a, 2, sample(2, 1, 10), sample(2, 3, 10))
		wantSegment(t, a, 5, func(r segmentRow) bool { return r.live == 5 && r.total == r.bytes/5*8 })
	}
	p.inOpen(look)
	p.inOpen(look)
	// An index that lost the removal, but not the rows.
	p.bury(tombstone{5, 1, 4, 6, limited}, tombstone{7, 2, 1, 3, deleted})
	want = append([]Record{recs[2]}, recs[6:]...)
	for range 2 {
		p.inOpen(func(a *Archive) {
			wantStored(t, a, 1, want...)
			wantStored(t, a, 2)
			wantSegment(t, a, 7, func(r segmentRow) bool { return r.live == 1 })
			salt, position, err := a.index.buried(context.Background())
			if err != nil || salt != a.tombstones.Salt() || position != a.tombstones.End() {
				t.Errorf("%x %d, %v", salt, position, err)
			}
		})
	}
}

func TestSegmentsOfBothFolders(t *testing.T) {
	recs := numbered(1, 1, 9, 400)
	p := plant(t)
	p.segment(5).put(false, recs[:3]...).sealed().save(p.o.Dir)
	p.segment(6).put(false, recs[3:6]...).sealed().save(p.o.WarmDir)
	p.segment(7).put(false, recs[6:]...).sealed().save(p.o.Dir).save(p.o.WarmDir)
	unfinished := filepath.Join(p.o.WarmDir, "segments", "."+segment.FileName(5))
	if err := os.WriteFile(unfinished, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(a *Archive) {
		wantStored(t, a, 1, recs...)
		for id, warm := range map[int64]bool{5: false, 6: true, 7: true} {
			wantSegment(t, a, id, func(r segmentRow) bool { return r.warm == warm && r.live == 3 })
		}
	}
	p.inOpen(look)
	for name, want := range map[string]bool{unfinished: false, filepath.Join(p.o.Dir, "segments", segment.FileName(7)): false,
		filepath.Join(p.o.WarmDir, "segments", segment.FileName(7)): true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.segment(5).put(false, recs[:3]...).sealed().save(p.o.WarmDir) // moved since
	p.inOpen(func(a *Archive) {
		wantStored(t, a, 1, recs...)
		wantSegment(t, a, 5, func(r segmentRow) bool { return r.warm && r.live == 3 })
	})
}

func TestFilesOfVersion1AreReadForEver(t *testing.T) {
	p := plant(t)
	for _, id := range []int64{1750000000, 1750003600} {
		copyFile(t, filepath.Join("testdata", "v1", "segments", segment.FileName(id)), filepath.Join(p.o.Dir, "segments", segment.FileName(id)))
	}
	for range 2 {
		p.inOpen(func(a *Archive) {
			wantStored(t, a, 1, sample(1, 1, 200), sample(1, 2, 300), sample(1, 3, 0), sample(1, 4, 70))
			wantStored(t, a, 2, sample(2, 1, 66000), sample(2, 2, 100))
			s, ok, err := a.Get(context.Background(), 1, sample(1, 1, 0).Fragment.Number, 0)
			if err != nil || !ok || s.Facts.LiveSeq != 0 {
				t.Fatal(s, ok, err)
			}
			r, err := a.OpenRecord(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := r.Frames(); b != nil || err != nil {
				t.Errorf("frames %x, %v", b, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
		p.forgetIndex()
	}
}
