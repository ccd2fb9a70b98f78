package archive

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// mill is an archive whose streams have policies that a test changes, and one clock.
type mill struct {
	*running
	shop     *shop
	o        Options
	policies map[kvs.StreamID]Policy
	freed    int64
	forwards int64
	moves    int64
}

func newMill(t *testing.T, change func(*Options)) *mill {
	t.Helper()
	m := &mill{shop: &shop{}, policies: map[kvs.StreamID]Policy{}}
	m.o = m.shop.options(t)
	m.o.SegmentBytes = 1 << 20
	m.o.Policy = func(_ context.Context, id kvs.StreamID) (Policy, error) {
		p, ok := m.policies[id]
		if !ok {
			return p, kvs.Errorf(kvs.NotFound, "no stream %d", id)
		}
		return p, nil
	}
	m.o.Observer = tap{m: m}
	if change != nil {
		change(&m.o)
	}
	m.running = start(t, m.o)
	return m
}

// tap adds up what the archive gives back.
type tap struct {
	nobody
	m *mill
}

func (o tap) Freed(_ int, bytes int64) { o.m.freed += bytes }
func (o tap) Forwarded(int64)          { o.m.forwards++ }
func (o tap) Moved(int64)              { o.m.moves++ }

// fill stores fragments from to to of a stream, 20 KB each, one in each minute.
func (m *mill) fill(id kvs.StreamID, from, to int64) (recs []Record) {
	m.t.Helper()
	for n := from; n <= to; n++ {
		r := sample(id, n, 20_000)
		r.Fragment.Number.Server = kvs.Millis(n * 60_000)
		r.Tier = m.policies[id].Tier
		m.mustStore(r)
		recs = append(recs, r)
	}
	return recs
}

// pass sets the clock to a minute and makes a pass.
func (m *mill) pass(minute int64) {
	m.t.Helper()
	m.shop.now.Store(minute * 60_000)
	if err := m.Expire(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// again closes the archive and opens it, after change.
func (m *mill) again(change func()) {
	m.t.Helper()
	m.stop()
	if change != nil {
		change()
	}
	m.running = start(m.t, m.o)
}

func (m *mill) withoutIndex() {
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := (disk.System{}).Remove(filepath.Join(m.o.Dir, "index.db"+end)); err != nil {
			m.t.Fatal(err)
		}
	}
}

// onDisk is what the segments of a folder take.
func onDisk(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, name := range segmentFiles(t, dir) {
		f, err := disk.System{}.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := f.Allocated()
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
		_ = f.Close()
	}
	return bytes
}

// TestHolesArePunched where most of a segment is dead, and nothing that lives is touched:
// not by a start without an index either.
func TestHolesArePunched(t *testing.T) {
	m := newMill(t, nil)
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	var kept []Record
	for n := int64(1); n <= 200; n++ {
		id := kvs.StreamID(1)
		if n%10 >= 4 { // runs of six: some pages are dead as a whole
			id = 2
		}
		recs := m.fill(id, n, n)
		if id == 1 {
			kept = append(kept, recs...)
		}
	}
	before := onDisk(t, m.o.Dir)
	delete(m.policies, 2)
	m.pass(201)
	after := onDisk(t, m.o.Dir)
	if limit := before * 6 / 10; after > limit || m.freed == 0 {
		t.Errorf("%d bytes before, %d after, at most %d; observed %d", before, after, limit, m.freed)
	}
	wantStored(t, m.Archive, 1, kept...)
	wantStored(t, m.Archive, 2)
	m.again(m.withoutIndex)
	wantStored(t, m.Archive, 1, kept...)
	m.pass(202)
	wantStored(t, m.Archive, 1, kept...)
	wantStored(t, m.Archive, 2)
	if again := onDisk(t, m.o.Dir); again > after {
		t.Errorf("%d bytes after another start", again)
	}
}

// TestAReaderKeepsHolesAway: who reads goes on reading, and the holes come with the next pass.
func TestAReaderKeepsHolesAway(t *testing.T) {
	m := newMill(t, nil)
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	m.fill(1, 1, 2)
	recs := m.fill(2, 3, 60) // seals a segment
	stored, _, err := m.Get(t.Context(), 2, recs[0].Fragment.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.OpenRecord(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	before := onDisk(t, m.o.Dir)
	delete(m.policies, 2)
	m.pass(61)
	var got bytes.Buffer
	if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), bytes.Join(recs[0].Body, nil)) {
		t.Errorf("the reader got %d bytes, %v", got.Len(), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	m.pass(62)
	if after := onDisk(t, m.o.Dir); after > before/3 {
		t.Errorf("%d bytes of %d are left", after, before)
	}
}

// TestARowFoundBeforeItsHole leads to a fragment that has expired, not to damage.
func TestARowFoundBeforeItsHole(t *testing.T) {
	m := newMill(t, nil)
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	kept := m.fill(1, 1, 2)
	recs := m.fill(2, 3, 60)
	stored, _, err := m.Get(t.Context(), 2, recs[1].Fragment.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	delete(m.policies, 2)
	m.pass(61)
	r, err := m.OpenRecord(t.Context(), stored)
	if err == nil {
		_, err = r.WriteTo(io.Discard)
		_ = r.Close()
	}
	if kvs.KindOf(err) != kvs.NotFound {
		t.Errorf("got %v", err)
	}
	wantStored(t, m.Archive, 1, kept...)
}

// TestErasedBytesLeaveTheDisk at once, also those of the segment that was open.
func TestErasedBytesLeaveTheDisk(t *testing.T) {
	m := newMill(t, func(o *Options) { o.SegmentBytes = 64 << 20 })
	m.policies[1] = Policy{Hours: 1 << 20}
	m.shop.now.Store(30 * 60_000)
	recs := m.fill(1, 1, 30)
	before := onDisk(t, m.o.Dir)
	e := Erasure{Range: kvs.TimeRange{Start: recs[9].Fragment.Number.Server, End: recs[10].Fragment.Number.Server}, Through: 30}
	if toll, err := m.Erase(t.Context(), 1, e); err != nil || toll.Fragments != 2 {
		t.Fatalf("%+v, %v", toll, err)
	}
	if after := onDisk(t, m.o.Dir); after > before-20_000 {
		t.Errorf("%d bytes before, %d after 40 kB were erased", before, after)
	}
	wantStored(t, m.Archive, 1, append(append([]Record{}, recs[:9]...), recs[11:]...)...)
}

// TestLittleIsCopiedForward: what is left of thin segments goes to one new segment, when
// it was not about to die anyway; readers go on, and so does everything after a start.
func TestLittleIsCopiedForward(t *testing.T) {
	m := newMill(t, nil)
	m.policies[1], m.policies[2], m.policies[3] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	var kept []Record
	for n := int64(1); n <= 300; n++ {
		switch {
		case n%20 == 0:
			kept = append(kept, m.fill(1, n, n)...)
		default:
			m.fill(2, n, n)
		}
	}
	files := len(segmentFiles(t, m.o.Dir))
	stored, _, err := m.Get(t.Context(), 1, kept[0].Fragment.Number, 0)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.OpenRecord(t.Context(), stored)
	if err != nil {
		t.Fatal(err)
	}
	delete(m.policies, 2)
	m.pass(301)
	if m.forwards != 0 {
		t.Error("copied what may be dead soon")
	}
	m.pass(301 + 61) // a class of a day has segments open for an hour
	left := len(segmentFiles(t, m.o.Dir))
	if m.forwards != 1 || files < 5 || left > 2 {
		t.Errorf("%d copied; %d files before, %d after", m.forwards, files, left)
	}
	wantStored(t, m.Archive, 1, kept...)
	if n, err := r.WriteTo(io.Discard); n != 20_000 || err != nil {
		t.Errorf("a reader of the old file got %d bytes, %v", n, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	r, err = m.OpenRecord(t.Context(), stored) // found before, opened after
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	m.again(m.withoutIndex)
	wantStored(t, m.Archive, 1, kept...)
	// What dies in the copy stays dead.
	m.policies[1] = Policy{Bytes: 5 * stored.length, Hours: 1 << 20}
	m.pass(400)
	wantStored(t, m.Archive, 1, kept[len(kept)-5:]...)
	m.again(m.withoutIndex)
	m.policies[1] = Policy{Hours: 1 << 20}
	wantStored(t, m.Archive, 1, kept[len(kept)-5:]...)
	if s, err := m.Stats(t.Context()); err != nil || s.Fragments != 5 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCopiesAreAllOrNothing: whatever operation of a pass fails, and wherever the process
// ends behind it, a start without an index finds exactly what is kept.
func TestCopiesAreAllOrNothing(t *testing.T) {
	for n := 1; ; n += slowness {
		faulty := &disktest.Faulty{FS: disk.System{}, SkipSync: true}
		m := newMill(t, func(o *Options) { o.Disk, o.SegmentBytes = faulty, 256<<10 })
		m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
		var kept []Record
		for i := int64(1); i <= 40; i++ {
			if i%8 == 0 {
				kept = append(kept, m.fill(1, i, i)...)
			} else {
				m.fill(2, i, i)
			}
		}
		delete(m.policies, 2)
		m.pass(41)
		faulty.FailNth(n)
		m.shop.now.Store((41 + 61) * 60_000)
		err := m.Expire(t.Context())
		hits := faulty.Heal()
		wantStored(t, m.Archive, 1, kept...)
		// One dies after the failure: no copy may bring it back.
		e := Erasure{Range: kvs.TimeRange{Start: kept[1].Fragment.Number.Server, End: kept[1].Fragment.Number.Server}, Through: 1 << 40}
		if toll, eraseErr := m.Erase(t.Context(), 1, e); eraseErr != nil || toll.Fragments != 1 {
			t.Fatalf("operation %d: %+v, %v", n, toll, eraseErr)
		}
		left := append([]Record{kept[0]}, kept[2:]...)
		wantStored(t, m.Archive, 1, left...)
		if n%2 == 0 {
			m.again(m.withoutIndex)
		} else {
			m.again(nil)
		}
		wantStored(t, m.Archive, 1, left...)
		m.stop()
		if hits == 0 {
			if err != nil {
				t.Fatal(err)
			}
			if n < 20 {
				t.Errorf("a pass has only %d operations", n)
			}
			return
		}
	}
}

// smallDisk has room for so many bytes of segments.
type smallDisk struct {
	disk.FS
	t    *testing.T
	dir  string
	size int64
}

func (d *smallDisk) Free(string) (free, total int64, err error) {
	return d.size - onDisk(d.t, d.dir), d.size, nil
}

// TestAFullDiskLosesTheOldest of all streams, but nothing on hold, until there is room.
func TestAFullDiskLosesTheOldest(t *testing.T) {
	var full *smallDisk
	m := newMill(t, func(o *Options) {
		full = &smallDisk{FS: disk.System{}, t: t, dir: o.Dir, size: 100 << 20}
		o.Disk, o.FreeDisk, o.SegmentBytes = full, FreeDisk{Percent: 10}, 200_000
	})
	m.policies[1] = Policy{Hours: 1 << 20}
	m.policies[2] = Policy{Hours: 1 << 20, Holds: []Hold{{Range: kvs.TimeRange{Start: 0, End: 4 * 60_000}}}}
	var one, two []Record
	for n := int64(1); n <= 60; n++ {
		m.shop.now.Store(n * 1000)
		one = append(one, m.fill(1, n, n)...)
		two = append(two, m.fill(2, n, n)...)
	}
	if err := m.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStored(t, m.Archive, 1, one...)
	full.size = onDisk(t, m.o.Dir) // free must be a tenth of it
	if err := m.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	free, total, _ := full.Free("")
	if free < total/10 || free > total/4 {
		t.Errorf("%d of %d bytes are free", free, total)
	}
	first, _, err := m.Next(t.Context(), 1, kvs.FragmentNumber{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := first.Number.N - 1
	if k < 5 || k > 20 {
		t.Errorf("stream 1 lost %d of 60", k)
	}
	wantStored(t, m.Archive, 1, one[k:]...)
	for n := range 4 { // fragment 4 begins in the last minute of the hold
		if _, ok, err := m.Get(t.Context(), 2, two[n].Fragment.Number, 0); err != nil || !ok {
			t.Errorf("fragment %d is on hold and gone: %v", n+1, err)
		}
	}
	if _, ok, _ := m.Get(t.Context(), 2, two[4].Fragment.Number, 0); ok {
		t.Error("fragment 5 is not on hold, old, and there")
	}
}

// TestSpaceOfADay: with streams that live an hour and streams that stay, the disk never
// takes much more than what lives and the open segments.
func TestSpaceOfADay(t *testing.T) {
	m := newMill(t, func(o *Options) { o.Disk = &disktest.Faulty{FS: disk.System{}, SkipSync: true} })
	m.policies[1], m.policies[2] = Policy{Hours: 1}, Policy{Hours: 1 << 20}
	for minute := int64(1); minute <= 600; minute++ {
		m.shop.now.Store(minute * 60_000)
		m.fill(1, minute, minute)
		if minute%6 == 0 {
			m.fill(2, minute, minute)
		}
		if minute%10 != 0 {
			continue
		}
		m.pass(minute)
		s, err := m.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if used, most := onDisk(t, m.o.Dir), s.Bytes*5/4+int64(s.OpenSegments)*(1<<20+100_000); used > most {
			t.Fatalf("minute %d: %d bytes for %d that live and %d open segments", minute, used, s.Bytes, s.OpenSegments)
		}
	}
}

// TestBetween has the stretches that nobody needs.
func TestBetween(t *testing.T) {
	got := fmt.Sprint(between([]stretch{{0, 64}, {64, 100}, {150, 200}, {160, 170}, {300, 310}}))
	if got != "[{100 150} {200 300}]" {
		t.Error(got)
	}
	if got := pagesOf(make([]byte, 10_000)); got != nil {
		t.Errorf("zeros have %v", got)
	}
	b := make([]byte, 3*disk.PageBytes+10)
	b[disk.PageBytes], b[len(b)-1] = 1, 1
	if got := fmt.Sprint(pagesOf(b)); got != "[{4096 8192} {12288 12298}]" {
		t.Error(got)
	}
}

// TestALostTombstoneBringsNoHolesBack: a footer lists what was punched, and without index and
// tombstones nothing else says that it is gone.
func TestALostTombstoneBringsNoHolesBack(t *testing.T) {
	m := newMill(t, func(o *Options) { o.SegmentBytes = 64 << 20 })
	m.policies[1] = Policy{Hours: 1 << 20}
	m.shop.now.Store(30 * 60_000)
	recs := m.fill(1, 1, 30)
	before := onDisk(t, m.o.Dir)
	e := Erasure{Range: kvs.TimeRange{Start: recs[9].Fragment.Number.Server, End: recs[14].Fragment.Number.Server}, Through: 30}
	if toll, err := m.Erase(t.Context(), 1, e); err != nil || toll.Fragments != 6 {
		t.Fatalf("%+v, %v", toll, err)
	}
	if onDisk(t, m.o.Dir) == before {
		return // there are no holes here
	}
	for range 2 {
		m.again(func() {
			for _, name := range []string{"index.db", "index.db-wal", "index.db-shm", "tombstones"} {
				_ = disk.System{}.Remove(filepath.Join(m.o.Dir, name))
			}
		})
		wantStored(t, m.Archive, 1, append(append([]Record{}, recs[:9]...), recs[15:]...)...)
	}
	m.withoutIndex()
	wantStored(t, m.Archive, 1, append(append([]Record{}, recs[:9]...), recs[15:]...)...)
}
