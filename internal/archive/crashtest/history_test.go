package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/archive"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/disk/disktest"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
)

// history is the life of one archive through failures of processes, disks and power. All
// of it follows from a seed.
type history struct {
	r    *rand.Rand
	temp string // its folder
	dirs int
	drop string // calls from this line are left out

	moment                    // where it is now
	ids     kvs.StreamID      // given
	moments []*moment         // that a power failure left
	sites   map[string]string // lines that synced or renamed
	gate    atomic.Pointer[chan struct{}]
	looking atomic.Bool // the test itself reads
	struck  atomic.Bool // an operation failed
	dead    atomic.Bool // the process does nothing more
}

// moment is what is there when power fails or a process ends, and what must be found.
type moment struct {
	name  string
	alive bool // the system is: a process ended, and nothing is lost that it wrote
	disk  *disktest.Crash
	index image
	truth *truth
}

func newHistory(seed uint64, temp, drop string) *history {
	h := &history{
		r: rand.New(rand.NewPCG(seed, 17)), temp: temp, drop: drop,
		moment: moment{disk: disktest.NewCrash(temp), index: empty(), truth: newTruth()}, sites: map[string]string{},
	}
	for range 3 {
		h.create()
	}
	for id := range int64(h.r.IntN(8) / 5) {
		if err := h.inherit(id+1, h.r.IntN(2) == 0); err != nil {
			panic(err) // of a disk in memory
		}
	}
	return h
}

// create makes a stream.
func (h *history) create() {
	h.ids++
	h.truth.setPolicy(h.ids, h.anyPolicy())
}

func (h *history) anyPolicy() archive.Policy {
	p := archive.Policy{Hours: []int{1, 24, 100, 5000, 87600}[h.r.IntN(5)]}
	if h.r.IntN(3) == 0 {
		p.Tier = kvs.Warm
	}
	if h.r.IntN(5) == 0 {
		p.Bytes = int64(1 + h.r.IntN(40_000))
	}
	if h.r.IntN(5) == 0 {
		p.Holds = []archive.Hold{{Clock: h.anyClock(), Range: h.truth.anyRange(h.r)}}
	}
	return p
}

// anyCommit is where the log of the index ends.
func (h *history) anyCommit(m *moment) int {
	ends := m.index.commits()
	if m.alive {
		return ends[len(ends)-1]
	}
	return ends[h.r.IntN(len(ends))]
}

// place puts a disk and an index to a new folder, the index as it was at one of its
// commits.
func (h *history) place(m *moment, commit int) (dir string, err error) {
	h.dirs++
	dir = filepath.Join(h.temp, strconv.Itoa(h.dirs))
	m.disk.Move(dir)
	return dir, errors.Join(os.Mkdir(dir, 0o700), m.index.put(dir, commit))
}

// live plays some rounds and returns what is wrong.
func (h *history) live(rounds int) error {
	for round := range rounds {
		if err := h.round(round); err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

// round runs a process until it is killed, the power fails, or nothing is left to do; and
// sees to what the next one begins with.
func (h *history) round(number int) error {
	dir, err := h.place(&h.moment, h.anyCommit(&h.moment))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	faulty := &disktest.Faulty{FS: h.disk}
	h.dead.Store(false)
	end := &moment{name: "its end"}
	faulty.Fail(h.hook(number, dir, end))
	err = h.run(dir, faulty)
	for site, kind := range faulty.Sites() {
		h.sites[site] = kind
	}
	if err != nil {
		return err
	}
	if !h.dead.Load() { // it had nothing to do any more and closed
		if end, err = h.note(dir, h.disk); err != nil {
			return err
		}
	}
	h.moment = *end
	return nil
}

// note remembers how things are now.
func (h *history) note(dir string, d *disktest.Crash) (*moment, error) {
	index, err := takeImage(dir)
	return &moment{disk: d, index: index, truth: h.truth.clone()}, err
}

// run is a process.
func (h *history) run(dir string, faulty *disktest.Faulty) error {
	h.struck.Store(false)
	a, keys, err := openBoth(dir, faulty, h.truth)
	if err != nil {
		return injected(err)
	}
	if h.struck.Load() { // a start leaves a segment that fails to the next one
		return injected(errors.Join(a.Close(), keys.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	err = (&process{history: h, a: a, keys: keys}).work()
	cancel()
	if runErr := <-ended; err == nil {
		err = runErr
	}
	if closeErr := errors.Join(a.Close(), keys.Close()); err == nil {
		err = closeErr
	}
	return injected(err)
}

// openBoth opens an archive and its keys.
func openBoth(dir string, d disk.FS, t *truth) (*archive.Archive, *keyring.Ring, error) {
	keys, err := openKeys(dir, d, t)
	if err != nil {
		return nil, nil, err
	}
	a, err := archive.Open(context.Background(), archive.Options{
		Dir: dir, WarmDir: filepath.Join(dir, "warm"), SegmentBytes: 24 << 10, ExpireEvery: 1 << 40, Policy: t.policy, Now: t.time, Disk: d, Keys: keys,
	})
	if err != nil {
		return nil, nil, errors.Join(err, keys.Close())
	}
	return a, keys, nil
}

// injected lets errors pass that this test made.
func injected(err error) error {
	if errors.Is(err, disktest.ErrDead) || errors.Is(err, disktest.ErrIO) || errors.Is(err, disktest.ErrLost) {
		return nil
	}
	return err
}

// changes says whether an operation changes what is on the disk.
func changes(kind string) bool {
	switch kind {
	case disktest.Read, disktest.Size, disktest.Open, disktest.List, disktest.Free, disktest.Allocated:
		return false
	}
	return true
}

// hook decides about each operation of a round: two moments are noted that a power failure
// leaves, one operation may fail, and at the last one the process ends, by a power failure
// or alone. end becomes what the next one finds.
func (h *history) hook(round int, dir string, end *moment) func(disktest.Op) error {
	last, bad := 5+h.r.IntN(120), 1+h.r.IntN(200)
	if h.r.IntN(4) == 0 {
		last = bad + 1 + h.r.IntN(8) // soon after a failure
	}
	lost := map[int]uint64{1 + h.r.IntN(last): h.r.Uint64(), 1 + h.r.IntN(last): h.r.Uint64()}
	power, seed := h.r.IntN(3) > 0, h.r.Uint64()
	// Sometimes it ends, or an operation fails, soon after a segment got its name.
	ends, fails := 1<<30, 0
	switch h.r.IntN(6) {
	case 0:
		ends = 1 + h.r.IntN(4)
	case 1:
		fails = 1
	}
	var after [10]uint64
	for i := range after {
		after[i] = h.r.Uint64()
	}
	n := 0 // operations that change something
	return func(o disktest.Op) error {
		if gate := h.gate.Load(); gate != nil {
			<-*gate
		}
		if h.dead.Load() {
			h.struck.Store(true)
			return disktest.ErrDead
		}
		if !changes(o.Kind) {
			return nil
		}
		n++
		if o.Kind == disktest.Rename && strings.HasSuffix(o.Name, ".seg") {
			last = min(last, n+ends)
			if fails == 1 && n < bad {
				bad, fails = n+1, 0
				for i, seed := range after { // what the failure leaves must not come back later
					lost[n+2+i] = seed
				}
			}
		}
		if s, ok := lost[n]; ok {
			m, err := h.note(dir, h.disk.Clone(s, dir))
			if err != nil {
				return err
			}
			m.name = fmt.Sprintf("round %d, operation %d: %s", round, n, o.Kind)
			h.moments = append(h.moments, m)
		}
		switch {
		case n == last:
			h.struck.Store(true)
			return h.die(dir, end, power, seed)
		case h.drop != "" && o.Site == h.drop:
			return disktest.ErrDrop
		case n == bad && o.Kind == disktest.Sync:
			h.struck.Store(true)
			return disktest.ErrLost
		case n == bad:
			h.struck.Store(true)
			return disktest.ErrIO
		}
		return nil
	}
}

// die ends a process: what it still does and says counts no more.
func (h *history) die(dir string, end *moment, power bool, seed uint64) error {
	d := h.disk
	if power {
		d = d.Clone(seed, dir)
	}
	m, err := h.note(dir, d)
	if err != nil {
		return err
	}
	*end, end.alive = *m, !power
	h.dead.Store(true)
	return disktest.ErrDead
}

// process is an archive at work.
type process struct {
	*history
	a    *archive.Archive
	keys *keyring.Ring
}

// judge looks at the archive; its operations are not those that fail.
func (p *process) judge() (map[fragment]bool, error) {
	p.looking.Store(true)
	defer p.looking.Store(false)
	return p.truth.judge(p.a)
}

// work does things until the process is dead or has done enough.
func (p *process) work() error {
	found, err := p.judge()
	if p.dead.Load() {
		return nil // what it read last counts no more
	}
	if err != nil {
		return err
	}
	p.truth.adopt(found)
	for range 5 + p.r.IntN(25) {
		if p.dead.Load() {
			return nil
		}
		var err error
		switch n := p.r.IntN(21); {
		case n < 12:
			p.store()
		case n < 16:
			err = p.expire()
		case n < 17:
			err = p.erase()
		case n < 18:
			err = p.keys.Rewrap(context.Background(), p.rotation())
		case n < 19:
			p.truth.setPolicy(1+kvs.StreamID(p.r.IntN(int(p.ids))), p.anyPolicy())
		case n < 20:
			err = p.remove()
		default:
			err = p.squeeze()
		}
		if err := injected(err); err != nil {
			return err
		}
	}
	return nil
}

// store appends some fragments, the first in a batch of its own: the disk waits with it
// until the others are there, so that a seed always gives the same batches.
func (p *process) store() {
	var batch []archive.Record
	for range 1 + p.r.IntN(6) {
		batch = append(batch, p.truth.nextOf(p.r, 1+kvs.StreamID(p.r.IntN(int(p.ids)))))
	}
	p.append(batch)
}

func (p *process) append(batch []archive.Record) {
	var ready []archive.Record
	for _, r := range batch {
		var err error
		if r.Key, err = p.keys.Current(context.Background(), r.Fragment.Stream, r.Fragment.Number.Server); err != nil {
			p.truth.set(nameOf(r), refused)
			continue
		}
		ready = append(ready, r)
	}
	batch = ready
	answers := make(chan struct{}, len(batch))
	gate := make(chan struct{})
	p.gate.Store(&gate)
	for _, r := range batch {
		p.a.Append(r, func(err error) {
			if err == nil {
				p.truth.set(nameOf(r), kept)
			} else {
				p.truth.set(nameOf(r), refused)
			}
			answers <- struct{}{}
		})
	}
	p.gate.Store(nil)
	close(gate)
	for range batch {
		<-answers
	}
}

func nameOf(r archive.Record) fragment {
	return fragment{r.Fragment.Stream, r.Fragment.Number.N}
}

// rotation wraps all keys anew with one of the two wrapping keys.
func (p *process) rotation() func(keyring.Entry, keyring.Owner) ([]byte, error) {
	w := newWraps()
	if p.r.IntN(2) == 0 {
		return keyring.Rewrapper(w.Local, w.other)
	}
	return keyring.Rewrapper(w.other, w.Local)
}

// expire lets time pass and removes what is old.
func (p *process) expire() error {
	p.truth.pass(time.Duration(p.r.IntN(90)) * time.Hour * time.Duration(1+p.r.IntN(2)*20))
	return p.expireNow()
}

func (p *process) expireNow() error {
	goes, limited := p.truth.condemn()
	return p.removing(goes, limited, p.a.Expire(context.Background()))
}

// removing looks what is left after a removal that ended with err: nothing of what goes,
// and some of what a limit of bytes touches. What an earlier one failed to remove may
// still be there.
func (p *process) removing(goes, limited map[fragment]bool, err error) error {
	if err != nil || p.dead.Load() {
		return err
	}
	p.truth.change(going, gone, func(f fragment) bool { return goes[f] })
	found, err := p.judge()
	if err != nil {
		return err
	}
	return p.truth.oldestGo(limited, found)
}

// erase removes a range of a stream.
func (p *process) erase() error {
	id := 1 + kvs.StreamID(p.r.IntN(int(p.ids)))
	return p.eraseRange(id, archive.Erasure{Clock: p.anyClock(), Range: p.truth.anyRange(p.r), Through: p.truth.numbers[id] - 1})
}

func (p *process) eraseRange(id kvs.StreamID, e archive.Erasure) error {
	goes := p.truth.goes(func(f fragment) bool {
		r := p.truth.record(f)
		return f.stream == id && f.n <= e.Through && !p.truth.held(f) && archive.Hold{Clock: e.Clock, Range: e.Range}.Covers(&r.Fragment)
	})
	_, err := p.a.Erase(context.Background(), id, e)
	return p.removing(goes, nil, err)
}

// squeeze erases most of a stream and waits until what is left of its segments is copied
// forward.
func (p *process) squeeze() error {
	id := 1 + kvs.StreamID(p.r.IntN(int(p.ids)))
	e := archive.Erasure{Clock: kvs.ServerClock, Range: kvs.TimeRange{End: p.truth.now}, Through: p.truth.numbers[id] - 2}
	if err := p.eraseRange(id, e); err != nil {
		return err
	}
	for range 3 {
		p.truth.pass(31 * 24 * time.Hour)
		if err := p.expireNow(); err != nil {
			if injected(err) != nil {
				return err
			}
			e.Through = 1 << 40 // what is left goes now, whatever became of its copy
			return p.eraseRange(id, e)
		}
	}
	return nil
}

// remove deletes a stream and makes another.
func (p *process) remove() error {
	p.create()
	return p.deleteStream(1 + kvs.StreamID(p.r.IntN(int(p.ids))))
}

func (p *process) deleteStream(id kvs.StreamID) error {
	p.truth.dropPolicy(id)
	goes := p.truth.goes(func(f fragment) bool { return f.stream == id })
	return p.removing(goes, nil, p.a.DeleteStream(context.Background(), id))
}

func (h *history) anyClock() kvs.Clock {
	return []kvs.Clock{kvs.ServerClock, kvs.ProducerClock}[h.r.IntN(2)]
}
