// Package archive is the durable, time-indexed log of fragments.
//
// Fragments of all streams are appended to a few large files, the segments; a SQLite
// index beside them finds a fragment by number, server time or producer time. The
// bytes are drawn in docs/design/archive-format.md. A fragment counts as stored when
// its record is synced and its index row is committed; the index itself may lose its
// last rows in a power failure, and [Open] reads them again from the segments.
//
// One goroutine, started by [Archive.Run], writes: it takes everything that waits,
// writes it, syncs each touched segment once and commits all rows in one transaction
// (group commit), so the number of syncs does not grow with the number of streams.
// All methods may be called from any number of goroutines.
package archive

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/db"
	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/journal"
	"github.com/millrace/millrace/internal/keyring"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/recall"
	"github.com/millrace/millrace/internal/staging"
	"github.com/millrace/millrace/internal/tally"
)

// Options say where the archive is and how it behaves. Dir and Keys are needed.
type Options struct {
	// Dir holds index.db and the folder segments. It is made if missing. The caller
	// makes sure that no other process uses it.
	Dir string

	// WarmDir has a folder segments too, for sealed segments of the tier WARM; "" = they
	// stay in Dir. Without it segments that were moved there are missing.
	WarmDir string

	// Keys are the data keys that records are sealed with; needed.
	Keys *keyring.Ring

	// Policy returns what a stream keeps now. An error of kind NotFound means that the
	// stream was deleted and all it stored may go; any other error leaves the stream
	// alone until the next pass. nil: nothing ever expires.
	Policy func(ctx context.Context, id kvs.StreamID) (Policy, error)

	// ExpireEvery is the time between two expiry passes of Run; 0 = one minute.
	ExpireEvery time.Duration

	// FreeDisk is how much of the disks of Dir and WarmDir stays free.
	FreeDisk FreeDisk

	// SegmentBytes is the size at which a segment is sealed and the next one begun;
	// 0 = 256 MiB. One batch may go beyond it.
	SegmentBytes int64

	// Reserve is how many bytes of the disk are kept in a file, to be given back when it is
	// full; 0 = none.
	Reserve int64

	Observer Observer         // nil = nobody looks
	Now      func() time.Time // nil = time.Now
	Logger   *slog.Logger     // nil = silent

	Disk disk.FS // nil = the operating system's
}

// Observer is told what the archive does, for metrics. Its methods are called from the
// goroutine that did the work and must be quick.
type Observer interface {
	// Synced: one batch of fragments was made durable. bytes counts what was written;
	// took covers writing and syncing the segments, commit the index transaction.
	Synced(fragments int, bytes int64, took, commit time.Duration)
	// Failed: fragments of one batch could not be stored.
	Failed(fragments int)
	// Removed: fragments are gone, with the bytes of their records. why is expired, deleted,
	// erased or limit.
	Removed(why string, fragments, bytes int64)
	// Freed: bytes were given back to the disk, with whole files or as holes in others.
	Freed(files int, bytes int64)
	// Forwarded: what was left of a segment was written to another, so many bytes.
	Forwarded(bytes int64)
	// Moved: a segment went to the warm folder.
	Moved(bytes int64)
	// Damaged: a record was found whose checksum is wrong, or a file that cannot be read.
	Damaged()
}

// Stats are figures at one moment.
type Stats struct {
	Queued       int           // fragments that wait to be written
	QueuedBytes  int64         // their bytes
	OldestWait   time.Duration // since the oldest fragment that is not stored yet was appended
	Segments     int           // files, open ones included
	OpenSegments int
	Fragments    int64 // stored now
	Bytes        int64 // bytes of their records
}

// nobody is the observer when none is given.
type nobody struct{}

func (nobody) Synced(int, int64, time.Duration, time.Duration) {}
func (nobody) Failed(int)                                      {}
func (nobody) Removed(string, int64, int64)                    {}
func (nobody) Freed(int, int64)                                {}
func (nobody) Forwarded(int64)                                 {}
func (nobody) Moved(int64)                                     {}
func (nobody) Damaged()                                        {}

// Archive is an open archive. Make it with [Open].
type Archive struct {
	dir          string // of the segments
	warmDir      string // of the segments that moved; "" = none do
	disk         disk.FS
	keys         *keyring.Ring
	log          *slog.Logger
	observer     Observer
	now          func() time.Time
	segmentBytes int64
	policy       func(context.Context, kvs.StreamID) (Policy, error)
	expireEvery  time.Duration
	freeDisk     FreeDisk

	index   index
	queries *queries
	files   *files
	ill     sync.Map // ids of segments whose damaged head was told

	tombstones *journal.Journal

	queue    *queue
	pressure pressure
	longest  atomic.Int64 // no stored fragment lasts longer, in milliseconds
	changes  changes
	removals changes

	// maintenance is held while something is removed or moved to another place. It is
	// taken before mu.
	maintenance sync.Mutex
	upkeep      *upkeep

	recalls *recall.Book[Erasure]
	running atomic.Bool // fragments may be on their way

	rearranging sync.Mutex // held while segments are copied; taken before maintenance

	mu        sync.Mutex // guards what follows; held while a batch is stored
	sums      *tally.Book
	stage     *staging.Writer
	placing   placing // memory kept between batches
	open      [shelves]*active
	runs      [shelves]run // memory kept between batches
	unsettled []*active    // not cut or sealed yet
	lastID    int64        // of a segment
	complaint complaint
}

// Open opens or makes the archive in o.Dir and brings its index up to date with the
// segments. It starts no goroutine of its own; nothing is written before [Archive.Run].
// ctx bounds only the opening.
func Open(ctx context.Context, o Options) (*Archive, error) {
	a := &Archive{
		dir:          filepath.Join(o.Dir, "segments"),
		disk:         o.Disk,
		keys:         o.Keys,
		log:          cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		observer:     o.Observer,
		now:          o.Now,
		segmentBytes: cmp.Or(o.SegmentBytes, 256<<20),
		policy:       o.Policy,
		expireEvery:  cmp.Or(o.ExpireEvery, time.Minute),
		freeDisk:     o.FreeDisk,
		queue:        newQueue(),
		pressure:     pressure{dir: o.Dir, reserve: o.Reserve, expire: make(chan struct{}, 1), shortages: make(map[string]shortage)},
		upkeep:       newUpkeep(),
		recalls:      recall.NewBook[Erasure](),
		sums:         tally.NewBook(rememberedStreams),
		stage:        staging.New(staging.Size),
		placing:      newPlacing(),
	}
	if a.keys == nil {
		return nil, errors.New("open archive: no data keys are given")
	}
	if a.disk == nil {
		a.disk = disk.System{}
	}
	if a.observer == nil {
		a.observer = nobody{}
	}
	if a.now == nil {
		a.now = time.Now
	}
	if o.WarmDir != "" {
		a.warmDir = filepath.Join(o.WarmDir, "segments")
	}
	a.files = newFiles(a.disk, a.dirs(), a.headOf)
	if err := a.start(ctx, o.Dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open archive in %s: %w", o.Dir, err), a.Close())
	}
	return a, nil
}

// dirs are the folders of the segments.
func (a *Archive) dirs() []string {
	if a.warmDir == "" {
		return []string{a.dir}
	}
	return []string{a.dir, a.warmDir}
}

func (a *Archive) start(ctx context.Context, dir string) error {
	for _, dir := range a.dirs() {
		if err := a.disk.MakeDir(dir); err != nil {
			return err
		}
		if err := a.disk.SyncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	d, err := db.Open(ctx, db.Options{Path: filepath.Join(dir, "index.db"), Migrations: migrations, Logger: a.log})
	if db.IsDamaged(err) {
		return fmt.Errorf("the index is damaged; millrace check --repair makes it again from the media, of which nothing is lost by that: %w", err)
	}
	if err != nil {
		return err
	}
	a.index.db = d
	if err := a.recoverWithRoom(ctx); err != nil {
		return err
	}
	a.queries, err = prepareQueries(ctx, d.Read())
	return err
}

// Run stores what is appended and lets expire what is old, until ctx ends and every
// accepted fragment was answered. Call it once.
func (a *Archive) Run(ctx context.Context) error {
	a.running.Store(true)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.expireLoop(ctx) })
	wg.Go(func() { a.copyLoop(ctx) })
	wg.Go(func() { a.guard(ctx) })
	a.write(ctx)
	return nil
}

// Close closes the index and the files; call it after Run has returned. Readers that
// are open may read on and be closed later. Fragments still queued get an error.
func (a *Archive) Close() error {
	a.queue.close()
	for _, p := range a.queue.take(nil) {
		p.answer(errClosed())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	errs := []error{a.files.close()}
	for c, s := range a.open {
		if s != nil {
			errs = append(errs, s.f.Close())
			a.open[c] = nil
		}
	}
	for _, s := range a.unsettled {
		errs = append(errs, s.f.Close())
	}
	a.unsettled = nil
	if a.tombstones != nil {
		errs = append(errs, a.tombstones.Close())
	}
	if a.index.db != nil {
		errs = append(errs, a.index.db.Close())
	}
	return errors.Join(errs...)
}

// Stats returns figures of this moment.
func (a *Archive) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	s.Queued, s.QueuedBytes = a.queue.length()
	s.OldestWait = a.queue.oldest(time.Now())
	var open, live, bytes sql.NullInt64
	err := a.index.db.Read().QueryRowContext(ctx,
		`SELECT COUNT(*), SUM(CASE WHEN sealed = 1 THEN 0 ELSE 1 END), SUM(live), SUM(bytes) FROM segments`).
		Scan(&s.Segments, &open, &live, &bytes)
	s.OpenSegments = int(open.Int64)
	s.Fragments, s.Bytes = live.Int64, bytes.Int64
	return s, err
}

// Policy says what a stream keeps. It is asked for again before anything is removed, so
// that a change holds from the next look on.
type Policy struct {
	Hours int             // retention; 0 = nothing is kept
	Bytes int64           // records beyond this many bytes go, the oldest first; 0 = no limit
	Tier  kvs.StorageTier // of the segments that new fragments go to; "" = HOT
	Holds []Hold          // what stays whatever the other members say
}

// Hold keeps fragments from being removed: by expiry, by limits and by erasure.
type Hold struct {
	Clock kvs.Clock
	Range kvs.TimeRange // both ends inclusive
}

// Covers reports whether some of the fragment lies in the range. An instant belongs to
// the fragment that begins there, not to the one that ends there.
func (h Hold) Covers(f *kvs.Fragment) bool {
	from := f.At(h.Clock)
	return from <= h.Range.End && (from >= h.Range.Start || from+kvs.Millis(f.Duration) > h.Range.Start)
}

// held reports whether a hold covers the fragment.
func (p *Policy) held(f *kvs.Fragment) bool {
	return slices.ContainsFunc(p.Holds, func(h Hold) bool { return h.Covers(f) })
}

// horizon is the oldest server timestamp that the retention still covers.
func (p *Policy) horizon(now kvs.Millis) kvs.Millis {
	return kvs.Stream{Retention: p.Hours}.Horizon(now)
}

// lookup returns the policy of a stream and the horizon it means now. gone says that
// the stream was deleted: then everything is behind the horizon.
func (a *Archive) lookup(ctx context.Context, id kvs.StreamID) (p Policy, horizon kvs.Millis, gone bool, err error) {
	p, err = a.policy(ctx, id)
	if err != nil && kvs.KindOf(err) == kvs.NotFound {
		return Policy{}, math.MaxInt64, true, nil
	}
	return p, p.horizon(kvs.MillisOf(a.now())), false, err
}
