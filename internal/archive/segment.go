package archive

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"path/filepath"
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

// active is an open segment. It belongs to whoever holds Archive.mu.
type active struct {
	segment.Head
	f       disk.File
	end     int64 // everything before is synced and in the index
	longest int64 // milliseconds
	dirty   bool  // bytes may lie behind end that must not be found
	headers map[[sha256.Size]byte]int64
}

// maxHeaders bounds what is remembered of the headers in a segment. Beyond it a header
// is simply written again.
const maxHeaders = 4096

func (a *Archive) segmentPath(id int64) string { return filepath.Join(a.dir, segment.FileName(id)) }

// newSegmentID never returns an id twice, not even after the newest file was removed:
// ids follow the clock in seconds unless segments are made faster.
func (a *Archive) newSegmentID() int64 {
	a.lastID = max(a.lastID+1, a.now().Unix())
	return a.lastID
}

// openSegment makes a new segment: file and directory are durable and its row exists
// before the first record is written to it.
func (a *Archive) openSegment(ctx context.Context, c segment.Class) (*active, error) {
	if err := a.settle(ctx); err != nil {
		return nil, err
	}
	var salt [8]byte
	rand.Read(salt[:])
	s := &active{
		Head:    segment.Head{Version: 1, Class: c, ID: a.newSegmentID(), Salt: binary.LittleEndian.Uint64(salt[:]), Created: kvs.MillisOf(a.now())},
		end:     segmentHeadSize,
		headers: make(map[[sha256.Size]byte]int64),
	}
	f, err := a.disk.Create(a.segmentPath(s.ID))
	if err != nil {
		return nil, err
	}
	s.f = f
	err = f.Write([][]byte{encodeHead(s.Head)}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = a.disk.SyncDir(a.dir)
	}
	if err == nil {
		err = a.index.addSegment(ctx, segmentRow{Head: s.Head, length: s.end})
	}
	if err != nil {
		// What cannot be removed either is found empty at the next start and removed then.
		return nil, errors.Join(err, f.Close(), a.disk.Remove(a.segmentPath(s.ID)))
	}
	return s, nil
}

// full reports whether the next batch should go to another segment.
func (s *active) full(limit int64, now time.Time) bool {
	return s.end >= limit || now.Sub(s.Created.Time()) >= maxAge(s.Class)
}

// seal ends a segment: an end record behind the last good byte, a row that says so.
// When the segment is dirty, what lies behind its end belongs to fragments whose
// callers were told that they are lost; either the cut or the row keeps recovery from
// finding them. While neither works the segment stays in a.unsettled and no other is
// opened.
func (a *Archive) seal(ctx context.Context, s *active) {
	if a.open[s.Class] == s {
		a.open[s.Class] = nil
	}
	err := sealFile(s)
	rowErr := a.index.sealSegment(ctx, s.ID, s.end)
	if s.dirty && rowErr != nil {
		a.unsettled = append(a.unsettled, s)
		return
	}
	if err = errors.Join(err, rowErr, s.f.Close()); err != nil {
		a.log.Warn("segment not sealed cleanly; the next start does it", "segment", s.ID, "error", err)
	}
}

// sealFile cuts what must not be found and appends the end record. s.dirty stays true
// only if the cut failed.
func sealFile(s *active) error {
	if s.dirty {
		if err := s.f.Truncate(s.end); err != nil {
			return err
		}
		s.dirty = false
	}
	if err := writeEnd(s.f, s.Salt, s.end); err != nil {
		return err
	}
	s.end += recordHeadSize
	return nil
}

// writeEnd appends an end record and makes the file durable.
func writeEnd(f disk.File, salt uint64, at int64) error {
	b := make([]byte, recordHeadSize)
	(&recordHead{kind: endRecord}).put(b, salt, at)
	if err := f.Write([][]byte{b}, at); err != nil {
		return errors.Join(err, f.Truncate(at))
	}
	return f.Sync()
}

// settle tries again to end segments that seal could not.
func (a *Archive) settle(ctx context.Context) error {
	for len(a.unsettled) > 0 {
		s := a.unsettled[0]
		err := sealFile(s)
		if rowErr := a.index.sealSegment(ctx, s.ID, s.end); s.dirty && rowErr != nil {
			return errors.Join(err, rowErr)
		}
		a.unsettled = a.unsettled[1:]
		if err := s.f.Close(); err != nil {
			a.log.Warn("segment not closed", "segment", s.ID, "error", err)
		}
	}
	return nil
}

// SegmentName is the name of a segment's file, in the folder segments of an archive.
func SegmentName(id int64) string { return segment.FileName(id) }

// SegmentID reads a name made by [SegmentName] and reports false for any other.
func SegmentID(name string) (id int64, ok bool) { return segment.ParseFileName(name) }

// Identify reads the head of a segment's file: which segment it is. The error says that
// it is none.
func Identify(r io.ReaderAt) (id int64, salt uint64, err error) {
	h, err := segment.ReadHead(r)
	return h.ID, h.Salt, err
}
