// Package staging seals records and writes them to their segments.
//
// Media are sealed chunk by chunk into one of two buffers of fixed size while the other is
// being written, so that a batch of any size needs the same memory and the disk works
// while the processor does. A [Writer] is for one goroutine.
package staging

import (
	"sync"

	"github.com/millrace/millrace/internal/disk"
	"github.com/millrace/millrace/internal/segment"
)

// Size is a good size for each of the two buffers: long enough that between two writes the
// disk waits little, and where they are copied, what was sealed is still in the processor's
// cache. With 4 MiB copying takes two to five times as long.
const Size = 2 << 20

// least is the smallest buffer that works: a chunk, what else a piece can bring, and what
// is there of two pages.
const least = 2*segment.SealedChunk + 2*disk.PageBytes

// Writer writes records. Make it with [New].
type Writer struct {
	sealer  segment.Sealer
	size    int
	free    chan []byte // empty buffers; nil before their first use
	jobs    chan job
	running sync.WaitGroup

	run   *Run   // the current one
	whole []byte // the buffer being filled; nil before the first byte
	buf   []byte // the part of it that has bytes, which lies there as in the pages of the file
	off   int64  // where buf begins in the file
	tail  []byte // of a full buffer, behind its last whole page
}

// Run is what is appended to one file. Members are set before [Writer.Begin].
type Run struct {
	File disk.File
	Salt uint64 // of the segment
	At   int64  // where the first record goes

	// Err is what went wrong, and Unsynced says that it was the sync: then nobody knows
	// what is on the disk. Both are valid after [Writer.Wait].
	Err      error
	Unsynced bool
}

// job is a full buffer, or the end of a run.
type job struct {
	run   *Run
	whole []byte
	data  []byte // of whole
	off   int64
	end   bool
}

// New makes a writer with two buffers of size bytes.
func New(size int) *Writer {
	w := &Writer{size: max(size, least), free: make(chan []byte, 2)}
	for range cap(w.free) {
		w.free <- nil
	}
	return w
}

// Start begins a batch. [Writer.Wait] ends it.
func (w *Writer) Start() {
	w.jobs = make(chan job)
	w.running.Go(func() { w.work(w.jobs) })
}

// work writes buffers, and syncs each file as soon as all of its bytes are written.
func (w *Writer) work(jobs <-chan job) {
	for j := range jobs {
		if j.whole != nil {
			if j.run.Err == nil {
				j.run.Err = j.run.File.Write([][]byte{j.data}, j.off)
			}
			w.free <- j.whole
		}
		if j.end && j.run.Err == nil {
			w.running.Go(j.run.sync)
		}
	}
}

func (r *Run) sync() {
	r.Err = r.File.Sync()
	r.Unsynced = r.Err != nil
}

// Begin begins a run: the records that follow go to r, one behind the other. r must not
// be touched until Wait has returned.
func (w *Writer) Begin(r *Run) { w.run, w.off = r, r.At }

// End ends the run: what was put is written and synced.
func (w *Writer) End() {
	w.jobs <- job{run: w.run, whole: w.whole, data: w.buf, off: w.off, end: true}
	w.run, w.whole, w.buf = nil, nil, nil
}

// Wait ends the batch: all runs are written and synced, or have an error.
func (w *Writer) Wait() {
	close(w.jobs)
	w.running.Wait()
}

// Put seals a record behind those before it. body and frames must have the lengths that r
// says. An error means that key is not the one r names, and that nothing was put.
func (w *Writer) Put(r *segment.Record, key segment.DataKey, body [][]byte, frames []byte) error {
	if err := w.sealer.Start(key, r); err != nil {
		return err
	}
	w.head(r)
	for _, piece := range body {
		w.seal(w.sealer.Body, piece)
	}
	w.seal(w.sealer.Frames, frames)
	w.room(int(4 * (r.Body/segment.ChunkSize + r.FrameTable/segment.ChunkSize + 3)))
	w.buf = w.sealer.Checksums(w.buf)
	return nil
}

// head puts head and facts of a record.
func (w *Writer) head(r *segment.Record) {
	w.room(int(r.BodyAt()))
	w.buf = r.Append(w.buf, w.run.Salt, w.off+int64(len(w.buf)))
}

// seal puts a piece of a body or frame table.
func (w *Writer) seal(part func(dst, piece []byte) (sealed, rest []byte), piece []byte) {
	for len(piece) > 0 {
		w.room(segment.SealedChunk)
		w.buf, piece = part(w.buf, piece)
	}
}

// room makes room for n more bytes: if the buffer has none, its whole pages go to be
// written and the other one comes.
func (w *Writer) room(n int) {
	if w.whole != nil && cap(w.buf)-len(w.buf) >= n {
		return
	}
	w.tail = w.tail[:0]
	if w.whole != nil {
		full := len(w.buf) - int((w.off+int64(len(w.buf)))%disk.PageBytes)
		w.tail = append(w.tail, w.buf[full:]...)
		w.jobs <- job{run: w.run, whole: w.whole, data: w.buf[:full], off: w.off}
		w.off += int64(full)
	}
	if w.whole = <-w.free; w.whole == nil {
		w.whole = disk.Aligned(w.size)
	}
	at := w.off % disk.PageBytes
	w.buf = append(w.whole[at:at], w.tail...)
}
