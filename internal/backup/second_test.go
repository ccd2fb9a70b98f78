package backup

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// sealed returns the sealed segments of the source with rows, by id.
func (s *source) sealed() (all []archive.SegmentInfo) {
	s.t.Helper()
	pool, err := db.OpenReader(filepath.Join(s.data, indexFile))
	if err != nil {
		s.t.Fatal(err)
	}
	defer pool.Close()
	rows, err := archive.Segments(s.t.Context(), pool)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range rows {
		if r.Sealed && r.Fragments > 0 {
			all = append(all, r)
		}
	}
	return all
}

// Segments in the warm folder are in a backup, and come back into the data directory,
// where the start finds them.
func TestWarmSegments(t *testing.T) {
	s := newSource(t)
	s.store(12)
	s.stop()
	moved := s.sealed()[1]
	if err := errors.Join(os.MkdirAll(filepath.Join(s.warm(), "segments"), 0o700),
		os.Rename(filepath.Join(s.data, segmentsDir, segment.FileName(moved.ID)), filepath.Join(s.warm(), "segments", segment.FileName(moved.ID)))); err != nil {
		t.Fatal(err)
	}
	s.open()
	o := s.options()
	r := s.backup(o)
	if len(r.Warnings) > 0 {
		t.Error(r.Warnings)
	}
	verified(t, o.Dir, 1)
	same(t, "the restored archive", s.contents(), s.restored(o.Dir, r.ID))
	// One that moves while the backup looks for it.
	second := s.sealed()[2]
	s.stop()
	o.step = func(name string) {
		if name == "pinning" {
			_ = os.Rename(filepath.Join(s.data, segmentsDir, segment.FileName(second.ID)), filepath.Join(s.warm(), "segments", segment.FileName(second.ID)))
		}
	}
	o.Dir += "-2"
	if r = s.backup(o); len(r.Warnings) > 0 || exists(filepath.Join(s.data, segmentsDir, segment.FileName(second.ID))) {
		t.Error(r.Warnings)
	}
	// Without the folder that is missing which lies there.
	o.Dir, o.Warm, o.step = o.Dir+"-3", "", nil
	if r = s.backup(o); len(r.Warnings) != 2 {
		t.Errorf("without the warm folder: %v", r.Warnings)
	}
}

// A sealed segment gets holes where its fragments died. The copy from before serves on,
// and a copy of the segment with its holes is as good for what lives.
func TestHoles(t *testing.T) {
	s := newSource(t)
	o, later := s.options(), s.options()
	later.Dir += "-later"
	s.store(20)
	whole := s.backup(o)
	before := s.contents()
	s.expire(4) // a part of the second segment, all of the first
	at := s.sealed()[0]
	s.punch(at)
	r := s.backup(o)
	if r.Copied > 100_000 || len(r.Warnings) > 0 { // the open one
		t.Errorf("%d bytes were copied again: %v", r.Copied, r.Warnings)
	}
	o.Verify = true
	if r = s.backup(o); len(r.Warnings) > 0 {
		t.Errorf("a hole is called damage: %v", r.Warnings)
	}
	verified(t, o.Dir, 3)
	same(t, "the restored archive", s.contents(), s.restored(o.Dir, r.ID))
	same(t, "the older archive", before, s.restored(o.Dir, whole.ID))
	r = s.backup(later)
	verified(t, later.Dir, 1)
	same(t, "the archive from a copy with holes", s.contents(), s.restored(later.Dir, r.ID))
}

// punch takes the pages of the dead fragments at the beginning of a segment.
func (s *source) punch(at archive.SegmentInfo) {
	s.t.Helper()
	pool, err := db.OpenReader(filepath.Join(s.data, indexFile))
	if err != nil {
		s.t.Fatal(err)
	}
	defer pool.Close()
	var first, header int64
	if err := pool.QueryRow(`SELECT MIN(position), MAX(header) FROM fragments WHERE segment = $1`, at.ID).Scan(&first, &header); err != nil {
		s.t.Fatal(err)
	}
	f, err := disk.System{}.Open(filepath.Join(s.data, segmentsDir, segment.FileName(at.ID)))
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	const page = 4096
	from, to := (header+200+page)/page*page, first/page*page
	if to <= from {
		s.t.Fatalf("nothing is dead between %d and %d", from, to)
	}
	if err := f.Punch(from, to-from); err != nil {
		s.t.Fatal(err)
	}
}

// Keys and tombstones are younger than the media: what dies, and loses its bytes, while its
// segment is copied is dead in the copy. What was in segments that went as a whole comes
// back, with its bytes, and expires again.
func TestJournalsAreYoungerThanMedia(t *testing.T) {
	s := newSource(t)
	s.store(20)
	o := s.options()
	o.step = func(name string) {
		if name == "copying open segments" {
			s.expire(4)
			s.store(1)
			s.punch(s.sealed()[0])
		}
	}
	r := s.backup(o)
	verified(t, o.Dir, 1)
	got := s.restored(o.Dir, r.ID)
	for id := range s.contents() {
		if _, listed := got[id][4]; listed || len(got[id]) < 16 {
			t.Errorf("stream %d has %d fragments; is the dead one listed? %v", id, len(got[id]), listed)
		}
	}
}

// A copy of a segment with holes takes no more room than the segment.
func TestHolesTakeNoRoom(t *testing.T) {
	dir := t.TempDir()
	from, err := disk.System{}.Create(filepath.Join(dir, "from"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	text := bytes.Repeat([]byte("media"), 5*chunk/5)
	if err := from.Write([][]byte{text}, 0); err != nil {
		t.Fatal(err)
	}
	if err := from.Punch(chunk, 3*chunk); err != nil {
		return // this system makes no holes
	}
	c := copier{volume: realVolume{}, progress: func(Progress) {}, now: time.Now}
	n, digest, err := c.to(t.Context(), filepath.Join(dir, "to"), from, 5*chunk)
	if err != nil || n != 5*chunk {
		t.Fatal(n, err)
	}
	if ok, err := c.holds(t.Context(), filepath.Join(dir, "to"), n, digest); err != nil || !ok {
		t.Errorf("the copy is not what was copied: %v", err)
	}
	to, err := disk.System{}.Open(filepath.Join(dir, "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if took, err := to.Allocated(); err != nil || took > 3*chunk {
		t.Errorf("the copy takes %d bytes, %v", took, err)
	}
}
