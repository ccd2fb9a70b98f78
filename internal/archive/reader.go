package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
	"github.com/millrace/millrace/internal/segment"
)

// Reader reads one stored fragment. Every byte it returns was unsealed or, in segments
// of version 1, checked against the checksum of its 64-KiB chunk first, whatever the
// order of reading. ReadAt may be called from several goroutines at once; Close when no
// other call runs.
type Reader struct {
	archive *Archive
	file    *sharedFile
	size    int64 // of the file
	stored  Stored

	header part
	body   part
	frames part

	mu      sync.Mutex // guards the chunk kept for small reads
	chunk   *[]byte    // from buffers, nil until needed
	chunkNo int64
	chunkOK bool
}

// part is a stretch of a segment in chunks that can be checked by themselves.
type part struct {
	name     string // for errors
	at, size int64  // where the first chunk is; bytes before sealing

	which  segment.Part
	opener *segment.Opener
	sums   []byte // of version 1, which is not sealed
}

// stride is the length of a whole chunk on the disk.
func (p *part) stride() int64 {
	if p.opener == nil {
		return segment.ChunkSize
	}
	return segment.SealedChunk
}

// runChunks is how many chunks are read at once. More of them are no faster, and who waits
// for a slow consumer holds their memory.
const runChunks = 2

// buffers are of so many chunks, kept between readers.
var buffers = sync.Pool{New: func() any { b := make([]byte, runChunks*segment.SealedChunk); return &b }}

// OpenRecord opens the bytes of a stored fragment. The error has the kind NotFound
// when the fragment has expired in the meantime; an error of the stream's key is that of
// the key ring. Close the reader in any case.
func (a *Archive) OpenRecord(ctx context.Context, s Stored) (*Reader, error) {
	for {
		r, err := a.openRecord(ctx, s)
		if err == nil {
			return r, nil
		}
		// The record may have moved to another segment, or gone, since its row was read.
		now, ok, rowErr := a.Get(ctx, s.Stream, s.Number, 0)
		switch {
		case rowErr != nil:
			return nil, errors.Join(err, rowErr)
		case !ok:
			return nil, gone(err)
		case now.segment == s.segment && now.position == s.position:
			if a.deleted(ctx, s.Stream) { // its data keys are gone already, and its rows go soon
				return nil, gone(err)
			}
			return nil, a.noted(err)
		}
		s = now
	}
}

func (a *Archive) openRecord(ctx context.Context, s Stored) (*Reader, error) {
	f, err := a.files.acquire(s.segment)
	if err != nil {
		return nil, err
	}
	r := &Reader{archive: a, file: f, stored: s}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// deleted reports whether a stream is known to be deleted.
func (a *Archive) deleted(ctx context.Context, id kvs.StreamID) bool {
	if a.policy == nil {
		return false
	}
	_, err := a.policy(ctx, id)
	return kvs.KindOf(err) == kvs.NotFound
}

// gone is the answer when the row of a fragment is no longer there.
func gone(cause error) error {
	return &kvs.Error{Kind: kvs.NotFound, Message: "the fragment is no longer stored", Cause: cause}
}

// damage says what is wrong with a stored fragment.
type damage struct {
	fragment kvs.FragmentNumber
	segment  int64
	what     string
}

func (d *damage) Error() string {
	return fmt.Sprintf("fragment %s in segment %d: %s", d.fragment, d.segment, d.what)
}

// Damaged reports whether an error of reading a fragment says that its record is damaged on
// the disk: that one cannot be read any more, others can.
func Damaged(err error) bool {
	_, ok := errors.AsType[*damage](err)
	return ok
}

func (r *Reader) damage(what string) error {
	return &damage{r.stored.Number, r.file.id, what}
}

// noted counts damage and makes the error of it that callers see.
func (a *Archive) noted(err error) error {
	d, ok := errors.AsType[*damage](err)
	if !ok {
		return err
	}
	a.observer.Damaged()
	return &kvs.Error{Kind: kvs.Internal, Message: "the stored fragment is damaged", Cause: d}
}

// failed is what a read of the open fragment failed with: what was punched before this
// reader came is not damaged.
func (r *Reader) failed(err error) error {
	if _, ok := errors.AsType[*damage](err); !ok {
		return err
	}
	ctx := context.Background()
	_, ok, rowErr := r.archive.Get(ctx, r.stored.Stream, r.stored.Number, 0)
	if rowErr == nil && !ok || r.archive.deleted(ctx, r.stored.Stream) {
		return gone(err)
	}
	return r.archive.noted(err)
}

// open reads the two record heads.
func (r *Reader) open(ctx context.Context) error {
	s := &r.stored
	size, err := r.file.f.Size()
	if err != nil {
		return err
	}
	r.size = size
	rec, err := r.readHead(s.position, segment.FragmentRecord)
	if err != nil {
		return err
	}
	if rec.Fragment.Stream != s.Stream || rec.Fragment.Number != s.Number || rec.Size() != s.length || rec.Header != s.header {
		return r.damage("another fragment's record is in its place")
	}
	head, err := r.readHead(s.header, segment.HeaderRecord)
	if err != nil {
		return err
	}
	if rec.Version != 1 && head.Fragment.Stream != s.Stream {
		return r.damage("another stream's header record is in its place")
	}
	if r.header, _, err = r.parts(ctx, &head, s.header); err != nil {
		return err
	}
	r.header.name = "header"
	r.body, r.frames, err = r.parts(ctx, &rec, s.position)
	return err
}

// readHead reads head and facts of the record at position.
func (r *Reader) readHead(position int64, want segment.Kind) (segment.Record, error) {
	rec, ok, err := segment.ReadRecord(r.file.f, r.file.head, position, r.size)
	if err == nil && (!ok || rec.Kind != want) {
		err = r.damage(fmt.Sprintf("the head of the record at byte %d is damaged", position))
	}
	return rec, err
}

// parts readies the parts of a record for reading.
func (r *Reader) parts(ctx context.Context, rec *segment.Record, position int64) (body, frames part, err error) {
	body = part{name: "body", at: position + rec.BodyAt(), size: rec.Body, which: segment.BodyPart}
	frames = part{name: "frame table", at: position + rec.FramesAt(), size: rec.FrameTable, which: segment.FramesPart}
	if rec.Version == 1 {
		var ok bool
		body.sums, ok, err = segment.Checksums1(r.file.f, position, rec)
		if err == nil && !ok {
			err = r.damage("its table of checksums is damaged")
		}
		return body, frames, err
	}
	key, err := r.archive.keys.Key(ctx, r.stored.Stream, rec.Key)
	if err != nil {
		return body, frames, r.archive.unlessDeleted(ctx, r.stored.Stream, err)
	}
	body.opener, err = segment.NewOpener(key, rec)
	frames.opener = body.opener
	return body, frames, err
}

// Size returns the length of the body in bytes.
func (r *Reader) Size() int64 { return r.body.size }

// WriteHeader writes the bytes that came before the producer's first cluster to w, from
// byte off on. A header may be large, so it is never in memory whole. An error that is not
// one of w comes before anything of a damaged chunk was written.
func (r *Reader) WriteHeader(w io.Writer, off int64) (n int64, err error) {
	return r.write(w, &r.header, off)
}

// WriteTo writes the whole body to w.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) { return r.write(w, &r.body, 0) }

// WriteFrom writes the body to w from byte off on. Apart from that it is
// [Reader.WriteHeader], and faster than ReadAt.
func (r *Reader) WriteFrom(w io.Writer, off int64) (n int64, err error) {
	return r.write(w, &r.body, off)
}

// Frames returns the encoded table of the body's frames (package frames); nil if the
// fragment was stored without one.
func (r *Reader) Frames() ([]byte, error) {
	if r.file == nil {
		return nil, fs.ErrClosed
	}
	if r.frames.size == 0 {
		return nil, nil
	}
	b := make([]byte, r.frames.size)
	if err := r.read(&r.frames, b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// ReadAt implements io.ReaderAt on the body. Whole chunks are unsealed into p.
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, &kvs.Error{Kind: kvs.InvalidArgument, Message: "the offset is negative"}
	}
	if r.file == nil {
		return 0, fs.ErrClosed
	}
	for n < len(p) && off < r.body.size {
		rest := p[n:min(int64(len(p)), int64(n)+r.body.size-off)]
		k := r.wholeChunks(int64(len(rest)), off)
		if k > 0 {
			err = r.read(&r.body, rest[:k], off/segment.ChunkSize)
		} else {
			k, err = r.readPart(rest, off)
		}
		if err != nil {
			return n, err
		}
		n, off = n+int(k), off+k
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// wholeChunks returns how many of the next n bytes are complete chunks.
func (r *Reader) wholeChunks(n, off int64) int64 {
	if off%segment.ChunkSize != 0 {
		return 0
	}
	if off+n == r.body.size {
		return n
	}
	return n / segment.ChunkSize * segment.ChunkSize
}

// readPart copies from one chunk, which is kept for the next small read.
func (r *Reader) readPart(p []byte, off int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.chunk == nil {
		r.chunk = buffers.Get().(*[]byte)
	}
	i := off / segment.ChunkSize
	if !r.chunkOK || r.chunkNo != i {
		r.chunkOK = false
		if _, err := r.load(&r.body, (*r.chunk)[:r.body.stride()], i); err != nil {
			return 0, err
		}
		r.chunkNo, r.chunkOK = i, true
	}
	length, _ := segment.ChunkLength(r.body.size, i)
	return int64(copy(p, (*r.chunk)[off%segment.ChunkSize:length])), nil
}

// read fills p with chunks of a part from number i on, the last of them up to the end of
// the part.
func (r *Reader) read(from *part, p []byte, i int64) error {
	if from.opener == nil {
		_, err := r.load(from, p, i)
		return err
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	for len(p) > 0 {
		n := min(runChunks, (len(p)+segment.ChunkSize-1)/segment.ChunkSize)
		sealed, err := r.pread(from, (*b)[:n*segment.SealedChunk], i)
		if err != nil {
			return err
		}
		for ; len(sealed) > 0; i++ {
			c := sealed[:min(segment.SealedChunk, len(sealed))]
			plain, err := from.opener.Chunk(p[:0], c, from.which, i)
			if err != nil {
				return r.failed(r.damage(fmt.Sprintf("chunk %d of its %s: %v", i, from.name, err)))
			}
			p, sealed = p[len(plain):], sealed[len(c):]
		}
	}
	return nil
}

// pread reads the chunks that are in b's place, from number i on, as they are on the
// disk.
func (r *Reader) pread(from *part, b []byte, i int64) ([]byte, error) {
	chunks := (from.size + segment.ChunkSize - 1) / segment.ChunkSize
	end := from.size + chunks*(from.stride()-segment.ChunkSize)
	b = b[:min(int64(len(b)), end-i*from.stride())]
	n, err := r.file.f.ReadAt(b, from.at+i*from.stride())
	switch {
	case n == len(b):
		return b, nil
	case err == nil || errors.Is(err, io.EOF):
		return nil, r.failed(r.damage("the segment is cut off within its record"))
	}
	return nil, err
}

// load reads the chunks that fit into b from number i on and checks them. Each begins a
// stride behind the one before. It returns how many there are.
func (r *Reader) load(from *part, b []byte, i int64) (n int, err error) {
	if b, err = r.pread(from, b, i); err != nil {
		return 0, err
	}
	stride := int(from.stride())
	for ; len(b) > 0; n++ {
		c := b[:min(stride, len(b))]
		k := i + int64(n)
		if from.opener != nil {
			_, err = from.opener.Chunk(c[:0], c, from.which, k)
		} else if !segment.Intact1(from.sums, k, c) {
			err = errChecksum
		}
		if err != nil {
			return n, r.failed(r.damage(fmt.Sprintf("chunk %d of its %s: %v", k, from.name, err)))
		}
		b = b[len(c):]
	}
	return n, nil
}

var errChecksum = errors.New("wrong checksum")

// write writes a part from byte off on to w. Chunks in front of a damaged one are
// written before its error.
func (r *Reader) write(w io.Writer, from *part, off int64) (n int64, err error) {
	if r.file == nil {
		return 0, fs.ErrClosed
	}
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	stride := from.stride()
	for i := off / segment.ChunkSize; i*segment.ChunkSize < from.size; {
		got, err := r.load(from, (*b)[:runChunks*stride], i)
		for k := range int64(got) {
			length, _ := segment.ChunkLength(from.size, i)
			c := (*b)[k*stride : k*stride+length]
			m, werr := w.Write(c[min(length, max(0, off-i*segment.ChunkSize)):])
			n += int64(m)
			if werr != nil {
				return n, werr
			}
			i++
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close gives the file back. Closing twice is harmless.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	if r.chunk != nil {
		buffers.Put(r.chunk)
		r.chunk = nil
	}
	return r.archive.files.release(f)
}
