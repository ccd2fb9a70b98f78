package archive

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// flip turns a bit of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	b[0] ^= 4
	if err == nil {
		_, err = f.WriteAt(b[:], at)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// wantFooter checks that a segment of an archive ends in a footer that lists so many
// fragments.
func wantFooter(t *testing.T, dir string, id int64, want int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "segments", segment.FileName(id)))
	if err != nil {
		t.Fatal(err)
	}
	f := &segmentBytes{b}
	h, err := segment.ReadHead(f)
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	ok, err := segment.ReadFooter(f, h, int64(len(b)), func(int64, *segment.Record) error { listed++; return nil })
	if !ok || err != nil || listed != want {
		t.Errorf("segment %d: the footer (%v, %v) lists %d fragments, want %d", id, ok, err, listed, want)
	}
}

type segmentBytes struct{ b []byte }

func (s *segmentBytes) ReadAt(p []byte, off int64) (int, error) {
	if n := copy(p, s.b[min(off, int64(len(s.b))):]); n < len(p) {
		return n, errors.New("behind the end")
	}
	return len(p), nil
}

// One bit of the 64 bytes in front takes nothing: the index has all they say. Without the
// index that segment is lost, but no other.
func TestARottenHeadTakesNothing(t *testing.T) {
	for at := int64(0); at < segment.HeadSize; at += 7 {
		p := plant(t)
		recs := numbered(1, 1, 9, 400)
		p.segment(5).put(false, recs[:3]...).sealed().save(p.o.Dir)
		p.segment(7).put(false, recs[3:6]...).sealed().save(p.o.WarmDir)
		p.segment(8).put(false, recs[6:]...).sealed().save(p.o.Dir)
		p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs...) })
		flip(t, filepath.Join(p.o.Dir, "segments", segment.FileName(5)), at)
		flip(t, filepath.Join(p.o.WarmDir, "segments", segment.FileName(7)), at)
		told := &watched{}
		p.o.Observer = told
		p.inOpen(func(a *Archive) {
			wantStored(t, a, 1, recs...)
			a.files.forget(5)
			wantStored(t, a, 1, recs...)
		})
		if told.damaged != 2 {
			t.Errorf("byte %d: %d told, want 2", at, told.damaged)
		}
		p.forgetIndex()
		p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs[6:]...) })
		if told.damaged != 4 {
			t.Errorf("byte %d: %d told, want 4", at, told.damaged)
		}
	}
}

// grown is an archive whose index knows the first two of five fragments of segment 5, which
// is open, and all of segment 7.
func grown(t *testing.T) (p *planted, s *sheet, recs []Record) {
	t.Helper()
	p = plant(t)
	recs = numbered(1, 1, 8, 400)
	s = p.segment(5).put(false, recs[:2]...)
	s.save(p.o.Dir)
	p.segment(7).put(false, recs[5:]...).sealed().save(p.o.Dir)
	p.inOpen(func(a *Archive) {
		err := a.index.db.Write(context.Background(), func(tx *sql.Tx) error {
			_, err := tx.Exec(`UPDATE segments SET sealed = 0, length = $1 WHERE id = 5`, s.ends[1])
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	s.put(false, recs[2:5]...).save(p.o.Dir)
	return p, s, recs
}

// What the index lacks of a segment with a rotten head is found.
func TestAnOpenSegmentWithARottenHead(t *testing.T) {
	p, _, recs := grown(t)
	flip(t, filepath.Join(p.o.Dir, "segments", segment.FileName(5)), 30)
	told := &watched{}
	p.o.Observer = told
	for range 2 {
		p.inOpen(func(a *Archive) {
			wantStored(t, a, 1, recs...)
			wantSegment(t, a, 5, func(r segmentRow) bool { return r.sealed && r.live == 5 })
		})
	}
	if told.damaged != 2 {
		t.Errorf("%d told, want one by each start", told.damaged)
	}
}

// A file that its disk cannot read or write keeps nobody from what is in the others, and
// nothing of it is forgotten.
func TestAnIllFileIsLeftForLater(t *testing.T) {
	for _, kind := range []string{disktest.Open, disktest.Read, disktest.Size, disktest.Write, disktest.Sync, disktest.Truncate} {
		t.Run(kind, func(t *testing.T) {
			p, s, recs := grown(t)
			s.Bytes = append(s.Bytes, "torn"...)
			s.save(p.o.Dir)
			d, told := faulty(), &watched{}
			p.o.Disk, p.o.Observer = d, told
			d.Fail(func(o disktest.Op) error {
				if o.Kind == kind && filepath.Base(o.Name) == segment.FileName(5) {
					return syscall.EIO
				}
				return nil
			})
			p.inOpen(func(a *Archive) {
				s, ok, err := a.Get(context.Background(), 1, recs[7].Fragment.Number, 0)
				if err != nil || !ok {
					t.Fatal(ok, err)
				}
				if _, _, err := read(a, s); err != nil {
					t.Error(err)
				}
				wantSegment(t, a, 5, func(r segmentRow) bool { return r.live >= 2 && !r.sealed })
			})
			if d.Heal() == 0 || told.damaged == 0 && kind != disktest.Truncate {
				t.Errorf("%d told", told.damaged)
			}
			p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs...) })
			wantFooter(t, p.o.Dir, 5, 5)
			p.forgetIndex()
			p.inOpen(func(a *Archive) { wantStored(t, a, 1, recs...) })
		})
	}
}

// A start needs no room: what it cannot seal is sealed before the next segment.
func TestAStartOnAFullDisk(t *testing.T) {
	p, _, recs := grown(t)
	d := faulty()
	p.o.Disk = d
	footer := int64(0)
	d.Fail(func(o disktest.Op) error {
		// What is there already is only written again.
		if o.Kind == disktest.Write && filepath.Base(o.Name) == segment.FileName(5) {
			if footer++; footer > 1 {
				return disktest.ErrFault
			}
		}
		return nil
	})
	a := start(t, p.o)
	wantStored(t, a.Archive, 1, recs...)
	wantSegment(t, a.Archive, 5, func(r segmentRow) bool { return !r.sealed && r.live == 5 })
	if d.Heal() == 0 {
		t.Error("nothing failed")
	}
	a.mustStore(sample(2, 1, 100))
	wantSegment(t, a.Archive, 5, func(r segmentRow) bool { return r.sealed && r.live == 5 })
	a.stop()
	wantFooter(t, p.o.Dir, 5, 5)
}

// What a start cannot go on without has the reserve.
func TestAStartTakesTheReserve(t *testing.T) {
	p, s, recs := grown(t)
	p.o.Reserve = 1 << 20
	reserve := filepath.Join(p.o.Dir, "reserve")
	if err := os.WriteFile(reserve, make([]byte, p.o.Reserve), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Bytes[s.ends[3]-20] ^= 1 // its tombstone needs room
	s.save(p.o.Dir)
	d := faulty()
	p.o.Disk = d
	d.Fail(func(o disktest.Op) error {
		if _, err := os.Stat(reserve); err == nil && o.Kind == disktest.Write && strings.HasSuffix(o.Name, tombstonesName) {
			return disktest.ErrFault
		}
		return nil
	})
	want := append(append([]Record{}, recs[:3]...), recs[4:]...)
	p.inOpen(func(a *Archive) {
		wantStored(t, a, 1, want...)
		if !a.Health().Full {
			t.Error("not said to be full")
		}
	})
	if d.Heal() == 0 {
		t.Error("nothing failed")
	}
	p.forgetIndex()
	p.inOpen(func(a *Archive) { wantStored(t, a, 1, want...) })
}

// What could be neither cut nor sealed while the server ran is by the next start.
func TestAClosedSegmentIsSealedAtTheNextStart(t *testing.T) {
	d := faulty()
	o := Options{Dir: t.TempDir(), Disk: d}
	a := start(t, o)
	a.mustStore(sample(1, 1, 1000))
	d.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Truncate || o.Kind == disktest.Sync && strings.HasSuffix(o.Name, ".seg") {
			return syscall.EIO
		}
		return nil
	})
	if err := a.store(sample(1, 2, 1000)); err == nil {
		t.Fatal("stored")
	}
	rows, err := a.index.segments(context.Background())
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	for id, r := range rows {
		if !r.closed || r.sealed {
			t.Errorf("%+v", r)
		}
		defer wantFooter(t, o.Dir, id, 1)
	}
	if s, err := a.Stats(context.Background()); err != nil || s.OpenSegments != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	a.stop()
	d.Heal()
	b := open(t, o)
	wantStored(t, b, 1, sample(1, 1, 1000))
	for id := range rows {
		wantSegment(t, b, id, func(r segmentRow) bool { return r.sealed && r.live == 1 })
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// A segment that lost its end, which a disk does that lies, keeps what is before.
func TestAShortenedSegmentKeepsItsBeginning(t *testing.T) {
	_, s, recs := grown(t)
	for _, c := range []struct{ length, whole int64 }{{s.ends[1] - 5, 1}, {s.ends[0], 1}, {s.ends[0] - 5, 0}, {segment.HeadSize, 0}} {
		p, _, _ := grown(t)
		name := filepath.Join(p.o.Dir, "segments", segment.FileName(5))
		if err := os.Truncate(name, c.length); err != nil {
			t.Fatal(err)
		}
		want := append(append([]Record{}, recs[:c.whole]...), recs[5:]...)
		look := func(a *Archive) {
			wantStored(t, a, 1, want...)
			wantSegment(t, a, 5, func(r segmentRow) bool { return r.sealed && r.live == c.whole && r.total == r.bytes })
		}
		p.inOpen(look)
		wantFooter(t, p.o.Dir, 5, int(c.whole))
		p.inOpen(look)
		p.forgetIndex()
		p.inOpen(look)
	}
}

// Segments whose files are missing are forgotten in one look at the rows, and one whose
// file comes back in the middle of that is read again.
func TestManySegmentsAreMissing(t *testing.T) {
	p := plant(t)
	var kept []Record
	away := map[string]string{}
	for i := range int64(12) {
		recs := numbered(1, 1+i*600, 600+i*600, 1)
		p.segment(5+i).put(false, recs...).sealed().save(p.o.Dir)
		name := filepath.Join(p.o.Dir, "segments", segment.FileName(5+i))
		if i%4 == 3 {
			kept = append(kept, recs...)
		} else {
			away[name] = name + ".away"
		}
	}
	p.inOpen(func(*Archive) {})
	for name, aside := range away {
		if err := os.Rename(name, aside); err != nil {
			t.Fatal(err)
		}
	}
	p.inOpen(func(a *Archive) {
		wantNumbers(t, a, kept...)
		rows, err := a.index.segments(context.Background())
		if err != nil || len(rows) != 3 {
			t.Errorf("%d segments, %v", len(rows), err)
		}
	})
	for name, aside := range away {
		if err := os.Rename(aside, name); err != nil {
			t.Fatal(err)
		}
	}
	all := numbered(1, 1, 12*600, 1)
	p.inOpen(func(a *Archive) { wantNumbers(t, a, all...) })
	// The process ends while rows are removed.
	p.inOpen(func(a *Archive) {
		ctx := context.Background()
		if err := a.index.disbelieve(ctx, []int64{6, 7}); err != nil {
			t.Fatal(err)
		}
		if err := a.index.forget(ctx, `segment = 6 AND n < 1000`); err != nil {
			t.Fatal(err)
		}
		wantNumbers(t, a, append(all[:600:600], all[999:]...)...)
	})
	p.inOpen(func(a *Archive) { wantNumbers(t, a, all...) })
}

// wantNumbers is wantStored for fragments whose bytes are of no matter.
func wantNumbers(t *testing.T, a *Archive, want ...Record) {
	t.Helper()
	wantCounts(t, a)
	after := kvs.FragmentNumber{}
	for _, w := range want {
		s, ok, err := a.Next(context.Background(), 1, after, 0)
		if err != nil || !ok || s.Number != w.Fragment.Number {
			t.Fatalf("after %d: %d, %v, %v; want %d", after.N, s.Number.N, ok, err, w.Fragment.Number.N)
		}
		after = s.Number
	}
	if s, ok, err := a.Next(context.Background(), 1, after, 0); ok || err != nil {
		t.Fatalf("%d behind the last, %v", s.Number.N, err)
	}
}

// slow holds up the opening of one file.
type slow struct {
	disk.FS
	name    string
	asked   chan bool
	release chan bool
}

func (d *slow) Open(name string) (disk.File, error) {
	f, err := d.FS.Open(name)
	if filepath.Base(name) == d.name {
		d.asked <- true
		<-d.release
	}
	return f, err
}

// A disk that takes long to open a file holds up those who want that file, and a file that
// was removed meanwhile is not kept.
func TestASlowFileHoldsUpNoOther(t *testing.T) {
	p := plant(t)
	recs := numbered(1, 1, 2, 400)
	p.segment(5).put(false, recs[0]).sealed().save(p.o.Dir)
	p.segment(7).put(false, recs[1]).sealed().save(p.o.Dir)
	p.inOpen(func(*Archive) {})
	d := &slow{FS: disk.System{}, name: segment.FileName(5), asked: make(chan bool, 9), release: make(chan bool)}
	p.o.Disk = d
	p.inOpen(func(a *Archive) {
		type answer struct {
			f   *sharedFile
			err error
		}
		answers := make(chan answer, 2)
		for range 2 {
			go func() {
				f, err := a.files.acquire(5)
				answers <- answer{f, err}
			}()
		}
		<-d.asked
		other, _, err := a.Get(context.Background(), 1, recs[1].Fragment.Number, 0)
		if err == nil {
			_, _, err = read(a, other)
		}
		if err != nil {
			t.Error(err)
		}
		if quiet, err := a.files.exclusive(5, func() error { return nil }); quiet || err != nil {
			t.Error("exclusive while it is opened", err)
		}
		a.files.forget(5) // the one that is being opened is of no use to others
		d.release <- true
		one := <-answers
		<-d.asked
		d.release <- true
		two := <-answers
		if one.err != nil || two.err != nil || one.f == two.f || one.f.removed == two.f.removed {
			t.Errorf("%+v, %+v", one, two)
		}
		if err := errors.Join(a.files.release(one.f), a.files.release(two.f)); err != nil {
			t.Error(err)
		}
		if n := len(a.files.open); n != 2 {
			t.Errorf("%d files are kept", n)
		}
	})
}

// TestASegmentSealedSinceItsRowIsNotSealedAnew: a power failure may take the index back to
// when a segment could not be sealed yet. Its footer lists what holes have taken since.
func TestASegmentSealedSinceItsRowIsNotSealedAnew(t *testing.T) {
	m := newMill(t, nil)
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	kept := m.fill(1, 1, 20)
	m.fill(2, 21, 60)
	delete(m.policies, 2)
	m.pass(61)
	if m.freed == 0 {
		t.Fatal("no holes")
	}
	was, err := m.index.segments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m.again(func() {
		d, err := db.Open(t.Context(), db.Options{Path: filepath.Join(m.o.Dir, "index.db"), Migrations: migrations})
		if err != nil {
			t.Fatal(err)
		}
		for id, row := range was {
			f, err := disk.System{}.Open(filepath.Join(m.o.Dir, "segments", segment.FileName(id)))
			if err != nil {
				t.Fatal(err)
			}
			footer, ok, err := segment.EndsSealed(f, row.Head, row.length)
			if err = errors.Join(err, f.Close()); err != nil || ok != row.sealed {
				t.Fatal(ok, err)
			}
			if !ok {
				continue
			}
			x := index{db: d}
			if err := x.sealSegment(t.Context(), id, footer, isClosed); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	})
	wantStored(t, m.Archive, 1, kept...)
	for id, row := range was {
		if row.sealed {
			wantSegment(t, m.Archive, id, func(r segmentRow) bool {
				return r.sealed && r.length == row.length && r.total == row.total && r.live == row.live
			})
		}
	}
}
