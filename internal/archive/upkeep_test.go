package archive

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/kvs"
)

// stuck is a disk on which writing to a folder takes until it is let go.
type stuck struct {
	disk.FS
	dir   string
	begun chan struct{} // closed by the first write
	once  sync.Once
	let   chan struct{}
}

func (d *stuck) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	if err == nil && filepath.Dir(name) == d.dir && filepath.Base(name)[0] == '.' {
		f = stuckFile{f, d}
	}
	return f, err
}

type stuckFile struct {
	disk.File
	d *stuck
}

func (f stuckFile) Write(pieces [][]byte, off int64) error {
	f.d.once.Do(func() { close(f.d.begun) })
	<-f.d.let
	return f.File.Write(pieces, off)
}

// TestNobodyWaitsForACopy: while a segment is copied to a warm folder that hardly moves,
// streams expire, are erased and deleted, holds are set; and what dies there meanwhile
// is dead in the copy, too.
func TestNobodyWaitsForACopy(t *testing.T) {
	warm := t.TempDir()
	slow := &stuck{FS: disk.System{}, dir: filepath.Join(warm, "segments"), begun: make(chan struct{}), let: make(chan struct{})}
	m := newMill(t, func(o *Options) { o.Disk, o.WarmDir = slow, warm })
	m.policies[1], m.policies[2], m.policies[3] = Policy{Hours: 1 << 20, Tier: kvs.Warm}, Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20, Tier: kvs.Warm}
	recs := m.fill(1, 1, 30)
	m.fill(3, 31, 60)
	m.fill(2, 1, 10)
	m.shop.now.Store(61 * 60_000)
	moved := make(chan error, 1)
	go func() { moved <- m.rearrange(t.Context()) }()
	<-slow.begun
	// From here on nothing would come back if it waited for the copy.
	if err := m.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	e := Erasure{Range: kvs.TimeRange{Start: recs[9].Fragment.Number.Server, End: recs[14].Fragment.Number.Server}, Through: 30}
	if toll, err := m.Erase(t.Context(), 1, e); err != nil || toll.Fragments != 6 {
		t.Errorf("%+v, %v", toll, err)
	}
	if err := m.DeleteStream(t.Context(), 3); err != nil {
		t.Error(err)
	}
	delete(m.policies, 3)
	m.policies[2] = Policy{}
	if err := m.Archive.pass(t.Context()); err != nil {
		t.Error(err)
	}
	wantStored(t, m.Archive, 2)
	kept := append(append([]Record{}, recs[:9]...), recs[15:]...)
	wantStored(t, m.Archive, 1, kept...)
	close(slow.let)
	if err := <-moved; err != nil {
		t.Error(err)
	}
	if len(segmentFiles(t, warm)) == 0 {
		t.Error("nothing moved")
	}
	if err := m.Expire(t.Context()); err != nil {
		t.Error(err)
	}
	wantStored(t, m.Archive, 1, kept...)
	if taken := onDisk(t, warm); taken > 35*20_000 {
		t.Errorf("%d bytes are in the warm folder for 24 fragments of 20 kB", taken)
	}
	m.again(m.withoutIndex)
	wantStored(t, m.Archive, 1, kept...)
	wantStored(t, m.Archive, 3)
}

// TestASegmentThatDiesWhileItIsCopied leaves nothing in the warm folder.
func TestASegmentThatDiesWhileItIsCopied(t *testing.T) {
	warm := t.TempDir()
	slow := &stuck{FS: disk.System{}, dir: filepath.Join(warm, "segments"), begun: make(chan struct{}), let: make(chan struct{})}
	m := newMill(t, func(o *Options) { o.Disk, o.WarmDir = slow, warm })
	m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
	m.fill(1, 1, 60)
	moved := make(chan error, 1)
	go func() { moved <- m.rearrange(t.Context()) }()
	<-slow.begun
	if err := errors.Join(m.DeleteStream(t.Context(), 1), m.clearDead(t.Context())); err != nil {
		t.Error(err)
	}
	close(slow.let)
	if err := <-moved; err != nil {
		t.Error(err)
	}
	if names, err := (disk.System{}).List(slow.dir); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// TestAPassWithNothingToDo keeps nobody from removing anything, and asks one index for
// one row of each stream.
func TestAPassWithNothingToDo(t *testing.T) {
	m := newMill(t, nil)
	for id := kvs.StreamID(1); id <= 20; id++ {
		m.policies[id] = Policy{Hours: 1 << 20, Bytes: 1 << 40}
		m.fill(id, 1, 3)
	}
	m.maintenance.Lock()
	err := m.expireRows(t.Context()) // would not come back
	m.maintenance.Unlock()
	if err != nil {
		t.Error(err)
	}
	rows, err := m.index.db.Read().QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+oldestQuery, 0, maxVisited)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	all := strings.Join(plan, "; ")
	if rows.Err() != nil || !strings.Contains(all, "f USING COVERING INDEX fragments_server (stream=?)") || strings.Contains(all, "TEMP B-TREE") || strings.Contains(all, "SCAN f") {
		t.Errorf("%s, %v", all, rows.Err())
	}
}

// BenchmarkAPassWithNothingToDo visits a thousand streams.
func BenchmarkAPassWithNothingToDo(b *testing.B) {
	a := open(b, Options{Dir: b.TempDir(), Policy: func(context.Context, kvs.StreamID) (Policy, error) { return Policy{Hours: 1 << 20}, nil }})
	defer a.Close()
	for id := kvs.StreamID(1); id <= 1000; id++ {
		var batch []pending
		for n := int64(1); n <= 100; n++ {
			p, err := prepare(sealed(a, sample(id, n, 50)), func(error) {})
			if err != nil {
				b.Fatal(err)
			}
			batch = append(batch, p)
		}
		a.store(batch)
	}
	for b.Loop() {
		if err := a.expireRows(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAFragmentThatComesLate behind a hold's cursor expires like any other.
func TestAFragmentThatComesLate(t *testing.T) {
	y := newYard(t, 10)
	y.policy = Policy{Hours: 1, Holds: []Hold{hoursHeld(1, 8)}}
	y.expire(20)
	late := hourly(1, 9)
	late.Fragment.Number.N = 11
	y.mustStore(late)
	y.expire(200)
	if u := usage(t, y.Archive, 1, 0); u.Fragments != 8 {
		t.Errorf("%d fragments are left, 8 are held", u.Fragments)
	}
}

// TestCursorsKnowWhatComesMeanwhile: a fragment that is stored while its stream is looked
// at.
func TestCursorsKnowWhatComesMeanwhile(t *testing.T) {
	holds := []Hold{hoursHeld(1, 8)}
	for _, at := range []kvs.Millis{50, 100, 150} {
		c := newCursors()
		seen := c.begin(1, holds)
		seen.at = Position{Time: 100, N: 7}
		p := &pending{}
		p.Stream, p.Number.Server = 1, at
		c.arrived([]*run{{records: []*pending{p}}})
		c.end(map[kvs.StreamID]cursor{1: seen})
		if stays := c.begin(1, holds).at == seen.at; stays != (at > 100) {
			t.Errorf("at %d: the cursor stays: %v", at, stays)
		}
	}
}

// TestNothingNamedIsCopied: tombstones that the index could not follow are followed before
// a segment is copied forward, or what they name would live on in the copy.
func TestNothingNamedIsCopied(t *testing.T) {
	m := newMill(t, nil)
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	var kept []Record
	for n := int64(1); n <= 120; n++ {
		if n%20 == 0 {
			kept = append(kept, m.fill(1, n, n)...)
		} else {
			m.fill(2, n, n)
		}
	}
	delete(m.policies, 2)
	m.pass(121)
	m.exec(`CREATE TRIGGER broken BEFORE DELETE ON fragments BEGIN SELECT RAISE(ABORT, 'injected'); END`)
	e := Erasure{Range: kvs.TimeRange{Start: kept[0].Fragment.Number.Server, End: kept[0].Fragment.Number.Server}, Through: 120}
	if _, err := m.Erase(t.Context(), 1, e); err == nil {
		t.Fatal("erased without the index")
	}
	m.exec(`DROP TRIGGER broken`)
	m.shop.now.Store((121 + 61) * 60_000)
	if err := m.rearrange(t.Context()); err != nil || m.forwards != 1 {
		t.Errorf("%d copied, %v", m.forwards, err)
	}
	wantStored(t, m.Archive, 1, kept[1:]...)
	m.again(m.withoutIndex)
	wantStored(t, m.Archive, 1, kept[1:]...)
}

// TestWhatIsReadIsNotWeighed: as long as somebody reads a segment no pass reads its footer
// and rows to find that out.
func TestWhatIsReadIsNotWeighed(t *testing.T) {
	faulty := &disktest.Faulty{FS: disk.System{}}
	m := newMill(t, func(o *Options) { o.Disk = faulty })
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
	delete(m.policies, 2)
	m.pass(61)
	reads := 0
	m.freed = 0
	faulty.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Read {
			reads++
		}
		return nil
	})
	if err := m.punchHoles(t.Context()); err != nil || reads > 0 || m.freed > 0 {
		t.Errorf("%d reads, %d bytes freed, %v", reads, m.freed, err)
	}
	faulty.Heal()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.punchHoles(t.Context()); err != nil || m.freed == 0 {
		t.Errorf("%d bytes freed, %v", m.freed, err)
	}
}

// TestAFolderWithoutHoles does not keep holes from the other one.
func TestAFolderWithoutHoles(t *testing.T) {
	warm := t.TempDir()
	faulty := &disktest.Faulty{FS: disk.System{}}
	m := newMill(t, func(o *Options) { o.Disk, o.WarmDir = faulty, warm })
	m.policies[1], m.policies[3] = Policy{Hours: 1 << 20, Tier: kvs.Warm}, Policy{Hours: 1 << 20, Tier: kvs.Warm}
	m.policies[2], m.policies[4] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	for id := kvs.StreamID(1); id <= 2; id++ {
		m.fill(id, 1, 20)
		m.fill(id+2, 21, 60)
	}
	m.pass(61)
	faulty.Fail(func(o disktest.Op) error {
		if o.Kind == disktest.Punch && strings.HasPrefix(o.Name, warm) {
			return errors.ErrUnsupported
		}
		return nil
	})
	delete(m.policies, 3)
	m.pass(62)
	delete(m.policies, 4)
	m.freed = 0
	m.pass(63)
	if m.freed < 30*20_000 {
		t.Errorf("%d bytes came back on the disk that takes holes", m.freed)
	}
}

// peeking opens a segment just before its file is removed, as a reader may.
type peeking struct {
	disk.FS
	peek func(name string)
}

func (d *peeking) Remove(name string) error {
	if d.peek != nil {
		d.peek(name)
	}
	return d.FS.Remove(name)
}

// TestAReaderInTheMiddleOfAMove does not keep the old file.
func TestAReaderInTheMiddleOfAMove(t *testing.T) {
	warm := t.TempDir()
	d := &peeking{FS: disk.System{}}
	m := newMill(t, func(o *Options) { o.Disk, o.WarmDir = d, warm })
	m.policies[1] = Policy{Hours: 1 << 20, Tier: kvs.Warm}
	recs := m.fill(1, 1, 60)
	peeked := int64(0)
	d.peek = func(name string) {
		stored, ok, err := m.Get(t.Context(), 1, recs[0].Fragment.Number, 0)
		if err != nil || !ok || name != m.segmentPath(stored.segment) {
			return
		}
		s, err := m.files.acquire(stored.segment)
		if err == nil {
			peeked, err = stored.segment, m.files.release(s)
		}
		if err != nil {
			t.Error(err)
		}
	}
	m.pass(61)
	if m.files.mu.Lock(); peeked == 0 || m.files.open[peeked] != nil {
		t.Errorf("segment %d is open in the old folder", peeked)
	}
	m.files.mu.Unlock()
	wantStored(t, m.Archive, 1, recs...)
}

// TestNobodyWaitsForACopyForward either, and what dies while it is copied stays dead.
func TestNobodyWaitsForACopyForward(t *testing.T) {
	slow := &stuck{FS: disk.System{}, begun: make(chan struct{}), let: make(chan struct{})}
	m := newMill(t, func(o *Options) { o.Disk, slow.dir = slow, filepath.Join(o.Dir, "segments") })
	m.policies[1], m.policies[2] = Policy{Hours: 1 << 20}, Policy{Hours: 1 << 20}
	var kept []Record
	for n := int64(1); n <= 120; n++ {
		if n%20 == 0 {
			kept = append(kept, m.fill(1, n, n)...)
		} else {
			m.fill(2, n, n)
		}
	}
	delete(m.policies, 2)
	m.pass(121)
	m.shop.now.Store((121 + 61) * 60_000)
	copied := make(chan error, 1)
	go func() { copied <- m.rearrange(t.Context()) }()
	<-slow.begun
	e := Erasure{Range: kvs.TimeRange{Start: kept[0].Fragment.Number.Server, End: kept[0].Fragment.Number.Server}, Through: 120}
	if toll, err := m.Erase(t.Context(), 1, e); err != nil || toll.Fragments != 1 {
		t.Errorf("%+v, %v", toll, err)
	}
	if err := m.Archive.pass(t.Context()); err != nil {
		t.Error(err)
	}
	close(slow.let)
	if err := <-copied; err != nil || m.forwards != 0 {
		t.Errorf("%d copied, %v", m.forwards, err)
	}
	if err := m.rearrange(t.Context()); err != nil || m.forwards != 1 {
		t.Errorf("%d copied, %v", m.forwards, err)
	}
	wantStored(t, m.Archive, 1, kept[1:]...)
	m.again(m.withoutIndex)
	wantStored(t, m.Archive, 1, kept[1:]...)
}
