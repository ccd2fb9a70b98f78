package archive

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// spans are the longest retentions of the classes; the last has no end.
var spans = [segment.Classes]time.Duration{
	24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 365 * 24 * time.Hour, 0,
}

// classOf returns the class for a retention in hours.
func classOf(hours int) segment.Class {
	for c, span := range spans[:segment.Classes-1] {
		if time.Duration(hours)*time.Hour <= span {
			return segment.Class(c)
		}
	}
	return segment.Classes - 1
}

// maxAge is how long a segment of the class may stay open: a small part of the time
// its fragments live, so that the first of them does not wait long for the last.
func maxAge(c segment.Class) time.Duration {
	if c == segment.Classes-1 {
		return 30 * 24 * time.Hour
	}
	return min(spans[c]/24, 15*24*time.Hour)
}

// shelf is a class and a tier: what segments are kept apart by.
type shelf uint8

const shelves = segment.Classes * segment.Tiers

func shelfOf(c segment.Class, t segment.Tier) shelf { return shelf(c)*segment.Tiers + shelf(t) }

func (s shelf) class() segment.Class { return segment.Class(s / segment.Tiers) }
func (s shelf) tier() segment.Tier   { return segment.Tier(s % segment.Tiers) }

// active is an open segment. It belongs to whoever holds Archive.mu.
type active struct {
	segment.Head
	f       disk.File
	end     int64 // everything before is synced and in the index
	longest int64 // milliseconds
	dirty   bool  // bytes may lie behind end that must not be found
	whole   bool  // footer and end record are durable
	closed  bool  // its row says that it is sealed
	headers map[headerID]int64
	listed  []byte // what the footer will say of the fragments before end; nil = it is to be read again
}

func (s *active) shelf() shelf { return shelfOf(s.Class, s.Tier) }

func (a *Archive) segmentPath(id int64) string { return filepath.Join(a.dir, segment.FileName(id)) }

// newSegmentID never returns an id twice, not even after the newest file was removed:
// ids follow the clock in seconds unless segments are made faster.
func (a *Archive) newSegmentID() int64 {
	a.lastID = max(a.lastID+1, a.now().Unix())
	return a.lastID
}

// newSegment makes a segment: file and directory are durable and its row exists before
// the first record is written to it.
func (a *Archive) newSegment(ctx context.Context, on shelf) (*active, error) {
	if err := a.settle(ctx); err != nil {
		return nil, err
	}
	var salt [8]byte
	rand.Read(salt[:])
	s := &active{
		Head: segment.Head{Version: segment.Version, Class: on.class(), Tier: on.tier(), ID: a.newSegmentID(),
			Salt: binary.LittleEndian.Uint64(salt[:]), Created: kvs.MillisOf(a.now())},
		end:     segment.HeadSize,
		headers: make(map[headerID]int64),
		listed:  []byte{},
	}
	f, err := a.disk.Create(a.segmentPath(s.ID))
	if err != nil {
		return nil, err
	}
	s.f = f
	if err = a.begin(ctx, s); err != nil {
		// What cannot be removed either is found empty at the next start and removed then.
		return nil, errors.Join(err, f.Close(), a.disk.Remove(a.segmentPath(s.ID)))
	}
	return s, nil
}

// begin writes the head of a new segment and makes it known.
func (a *Archive) begin(ctx context.Context, s *active) error {
	if err := s.f.Write([][]byte{s.Encode()}, 0); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	if err := a.disk.SyncDir(a.dir); err != nil {
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	return a.index.addSegment(ctx, segmentRow{Head: s.Head, length: s.end})
}

// full reports whether the next batch should go to another segment.
func (s *active) full(limit int64, now time.Time) bool {
	return s.end >= limit || now.Sub(s.Created.Time()) >= maxAge(s.Class)
}

// seal ends a segment: footer and end record behind the last good byte, and a row that
// says so. What does not work now is tried again by settle.
func (a *Archive) seal(ctx context.Context, s *active) {
	if on := s.shelf(); a.open[on] == s {
		a.open[on] = nil
	}
	if err := a.end(ctx, s); err != nil {
		a.log.Warn("segment not sealed; it is tried again, also at the next start", "segment", s.ID, "error", err)
		a.unsettled = append(a.unsettled, s)
	}
}

// end ends a segment as far as it can. When the segment is dirty, what lies behind its
// end belongs to fragments whose callers were told that they are lost; either the cut or
// the row keeps recovery from finding them.
func (a *Archive) end(ctx context.Context, s *active) error {
	err := s.cut()
	if err == nil {
		err = s.sealFile()
	}
	if err != nil && !s.dirty {
		return err // the row stays open: the next start seals the file
	}
	how := int64(isSealed)
	if err != nil {
		how = isClosed
	}
	rowErr := a.index.sealSegment(ctx, s.ID, s.end, how)
	s.closed = s.closed || rowErr == nil
	if err != nil || rowErr != nil {
		return errors.Join(err, rowErr)
	}
	if err := s.f.Close(); err != nil { // all of it is synced
		a.log.Warn("segment not closed", "segment", s.ID, "error", err)
	}
	return nil
}

// cut removes what must not be found. s.dirty stays true if that failed.
func (s *active) cut() error {
	if !s.dirty {
		return nil
	}
	if err := s.f.Truncate(s.end); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		return err
	}
	s.dirty = false
	return nil
}

// sealFile appends footer and end record and makes them durable.
func (s *active) sealFile() error {
	if s.whole {
		return nil
	}
	size, err := s.footer()
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return errors.Join(err, s.f.Truncate(s.end)) // half a footer hinders nobody
	}
	s.end, s.whole = size, true
	return nil
}

// footer writes the footer and the end record.
func (s *active) footer() (size int64, err error) {
	if s.listed == nil {
		return segment.Seal(s.f, s.Head, s.end)
	}
	footer := segment.NewFooter(s.f, s.Head, s.end)
	if err := footer.Add(s.listed); err != nil {
		return 0, err
	}
	return footer.Close()
}

// maxUnsettled is how many segments may wait to be sealed. With more the disk is too ill
// to be given new ones.
const maxUnsettled = 16

// settle tries again to end segments that seal could not. The error says that no segment
// may be opened: refused fragments could be found, or too many wait.
func (a *Archive) settle(ctx context.Context) error {
	waiting := a.unsettled
	a.unsettled = nil
	var errs []error
	for _, s := range waiting {
		err := a.end(ctx, s)
		if err == nil {
			a.log.Info("segment sealed at last", "segment", s.ID)
			continue
		}
		a.unsettled = append(a.unsettled, s)
		if s.dirty && !s.closed || len(a.unsettled) >= maxUnsettled {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// maxIdleFiles is how many segments stay open for reading while nobody reads them.
const maxIdleFiles = 64

// files shares open segments among readers. A file that is removed while somebody
// reads it stays open, and so readable, until the last reader closes it.
type files struct {
	disk disk.FS
	dirs []string // where segments are

	// headOf returns the head that a segment should have, and is told what its file has
	// instead.
	headOf func(id int64, wrong error) (segment.Head, error)

	mu    sync.Mutex
	open  map[int64]*sharedFile
	idle  list.List // of *sharedFile without readers, longest idle first
	taken map[int64]*claim
}

// claim keeps others away from a segment while it is opened, or has one user.
type claim struct {
	over    chan struct{} // closed when it is
	removed bool          // the file was removed meanwhile; guarded by files.mu
}

// sharedFile is a segment open for reading. All but f and head is guarded by files.mu.
type sharedFile struct {
	f    disk.File
	head segment.Head

	id      int64
	readers int
	removed bool
	idle    *list.Element // nil while there are readers
}

func newFiles(fs disk.FS, dirs []string, headOf func(int64, error) (segment.Head, error)) *files {
	return &files{disk: fs, dirs: dirs, headOf: headOf, open: make(map[int64]*sharedFile), taken: make(map[int64]*claim)}
}

// acquire opens a segment or joins its readers. A slow disk holds up only those who want
// this segment.
func (c *files) acquire(id int64) (*sharedFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if other := c.taken[id]; other != nil {
			c.mu.Unlock()
			<-other.over
			c.mu.Lock()
			continue
		}
		s := c.open[id]
		if s == nil {
			return c.first(id)
		}
		if s.idle != nil {
			c.idle.Remove(s.idle)
			s.idle = nil
		}
		s.readers++
		return s, nil
	}
}

// first opens a segment for its first reader. The caller holds mu, which is free while the
// disk works; a file that is removed meanwhile is not kept for others.
func (c *files) first(id int64) (*sharedFile, error) {
	mine := c.take(id)
	c.mu.Unlock()
	s, err := c.openShared(id)
	c.mu.Lock()
	c.giveBack(id, mine)
	if err != nil {
		return nil, err
	}
	s.readers = 1
	if s.removed = mine.removed; !s.removed {
		c.open[id] = s
	}
	return s, nil
}

// take claims a segment. The caller holds mu.
func (c *files) take(id int64) *claim {
	mine := &claim{over: make(chan struct{})}
	c.taken[id] = mine
	return mine
}

// giveBack ends a claim. The caller holds mu.
func (c *files) giveBack(id int64, mine *claim) {
	delete(c.taken, id)
	close(mine.over)
}

// busy reports whether somebody reads the segment.
func (c *files) busy(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.open[id]
	return s != nil && s.readers > 0
}

// exclusive calls f while nobody reads the segment; who wants to meanwhile waits. It
// reports false, without a call, when somebody does.
func (c *files) exclusive(id int64, f func() error) (quiet bool, err error) {
	c.mu.Lock()
	if s := c.open[id]; s != nil && s.readers > 0 || c.taken[id] != nil {
		c.mu.Unlock()
		return false, nil
	}
	mine := c.take(id)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.giveBack(id, mine)
		c.mu.Unlock()
	}()
	return true, f()
}

func (c *files) openShared(id int64) (*sharedFile, error) {
	f, err := c.find(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, gone(err)
	}
	if err != nil {
		return nil, err
	}
	h, err := segment.ReadHead(f)
	if err == nil && h.ID != id {
		err = fmt.Errorf("the file says it is segment %d", h.ID)
	}
	if err != nil {
		if h, err = c.headOf(id, err); err != nil {
			return nil, errors.Join(fmt.Errorf("open segment %d: %w", id, err), f.Close())
		}
	}
	return &sharedFile{f: f, head: h, id: id}, nil
}

// find opens a segment wherever it is. While it moves it is in both folders, and either
// file will do.
func (c *files) find(id int64) (f disk.File, err error) {
	for _, dir := range c.dirs {
		f, err = c.disk.Open(filepath.Join(dir, segment.FileName(id)))
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return f, err
}

// release ends one reader's use.
func (c *files) release(s *sharedFile) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.readers--
	if s.readers > 0 {
		return nil
	}
	if s.removed {
		return s.f.Close()
	}
	s.idle = c.idle.PushBack(s)
	if c.idle.Len() <= maxIdleFiles {
		return nil
	}
	return c.drop(c.idle.Front().Value.(*sharedFile))
}

// drop closes an idle file. The caller holds mu.
func (c *files) drop(s *sharedFile) error {
	c.idle.Remove(s.idle)
	delete(c.open, s.id)
	return s.f.Close()
}

// forget makes sure that a removed file is closed as soon as nobody reads it.
func (c *files) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.taken[id]; other != nil {
		other.removed = true
	}
	s := c.open[id]
	switch {
	case s == nil:
	case s.readers == 0:
		_ = c.drop(s) // only read from: nothing can be lost
	default:
		s.removed = true
		delete(c.open, id)
	}
}

// close closes the idle files; those with readers close with their last reader.
func (c *files) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for id, s := range c.open {
		if s.readers == 0 {
			errs = append(errs, s.f.Close())
		}
		s.removed = true
		delete(c.open, id)
	}
	c.idle.Init()
	for _, other := range c.taken {
		other.removed = true
	}
	return errors.Join(errs...)
}

// headOf is what the index has of a segment's head where the file's own is wrong: its
// records answer to either, and a few rotten bytes take nothing from them. It is told once.
func (a *Archive) headOf(id int64, wrong error) (segment.Head, error) {
	rows, err := a.index.segmentsWhere(context.Background(), "id = "+strconv.FormatInt(id, 10))
	row, ok := rows[id]
	if err != nil || !ok {
		return segment.Head{}, errors.Join(wrong, err)
	}
	if _, told := a.ill.LoadOrStore(id, true); !told {
		a.observer.Damaged()
		a.log.Error("the head of a segment is damaged; what its row says is used instead, see millrace check", "segment", id, "error", wrong)
	}
	return row.Head, nil
}

// fileError is what one file answered, in contrast to the index or a folder.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// markedFile marks its errors.
type markedFile struct {
	disk.File
	kept bool // somebody else closes it
}

func markError(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &fileError{err}
}

func (f *markedFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	return n, markError(err)
}

func (f *markedFile) Size() (int64, error) {
	n, err := f.File.Size()
	return n, markError(err)
}

func (f *markedFile) Holes() (disk.Holes, error) {
	all, err := f.File.Holes()
	return all, markError(err)
}

func (f *markedFile) Write(b [][]byte, off int64) error { return markError(f.File.Write(b, off)) }
func (f *markedFile) Sync() error                       { return markError(f.File.Sync()) }
func (f *markedFile) Truncate(size int64) error         { return markError(f.File.Truncate(size)) }
