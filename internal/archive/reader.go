package archive

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/millrace/millrace/internal/kvs"
)

// Reader reads one stored fragment. Every byte it returns was checked against the
// checksum of its 64-KiB chunk first, whatever the order of reading. ReadAt may be
// called from several goroutines at once; Close when no other call runs.
type Reader struct {
	files   *files
	file    *sharedFile
	damaged func() // told of each damaged chunk

	number kvs.FragmentNumber
	header part
	body   part

	mu      sync.Mutex // guards the chunk kept for small reads
	chunk   *[]byte    // from chunks, nil until needed
	chunkNo int64
	chunkOK bool
}

// part is a stretch of a segment with a checksum for each of its chunks.
type part struct {
	table    []byte
	at, size int64
}

// chunks keeps buffers of one chunk between readers.
var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

// OpenRecord opens the bytes of a stored fragment. The error has the kind NotFound
// when the fragment has expired in the meantime. Close the reader in any case.
func (a *Archive) OpenRecord(_ context.Context, s Stored) (*Reader, error) {
	f, err := a.files.acquire(s.segment)
	if err != nil {
		return nil, err
	}
	r := &Reader{files: a.files, file: f, damaged: a.observer.Damaged, number: s.Number}
	if err := r.open(s); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// open reads the two record heads and the tables.
func (r *Reader) open(s Stored) error {
	h, table, err := r.readHead(s.position, fragmentRecord)
	if err != nil {
		return err
	}
	if h.fragment.Stream != s.Stream || h.fragment.Number != s.Number || h.recordSize() != s.length || h.header != s.header {
		return r.damage("another fragment's record is in its place")
	}
	r.body = part{table, s.position + h.bodyAt(), h.body}
	h, table, err = r.readHead(s.header, headerRecord)
	if err != nil {
		return err
	}
	r.header = part{table, s.header + h.bodyAt(), h.body}
	return nil
}

// usualHead is a guess at the length of a record's head and table, so that mostly one
// read does: enough for bodies of 6 MiB.
const usualHead = 512

// readHead reads the head and table of the record at position.
func (r *Reader) readHead(position int64, want kind) (h recordHead, table []byte, err error) {
	b := make([]byte, usualHead)
	n, err := r.file.f.ReadAt(b, position)
	if n < recordHeadSize {
		if err == nil || errors.Is(err, io.EOF) {
			return h, nil, r.damage("the segment is cut off before its record")
		}
		return h, nil, err
	}
	h, ok := parseRecordHead(b, r.file.salt, position)
	if !ok || h.kind != want {
		return h, nil, r.damage("its record's head is damaged")
	}
	size := tableSize(h.body)
	if int64(n) >= recordHeadSize+size {
		table = b[recordHeadSize : recordHeadSize+size]
	} else {
		table = make([]byte, size)
		if err := readFull(r.file.f, table, position+recordHeadSize); err != nil {
			return h, nil, err
		}
	}
	if crc32.Checksum(table, castagnoli) != h.table {
		return h, nil, r.damage("its table of checksums is damaged")
	}
	return h, table, nil
}

func (r *Reader) damage(what string) error {
	r.damaged()
	return &kvs.Error{Kind: kvs.Internal, Message: "the stored fragment is damaged",
		Cause: fmt.Errorf("fragment %s in segment %d: %s", r.number, r.file.id, what)}
}

// WriteHeader writes the bytes that came before the producer's first cluster to w, from
// byte off on. A header may be large, so it is never in memory whole. An error that is not
// one of w comes before anything of a damaged chunk was written.
func (r *Reader) WriteHeader(w io.Writer, off int64) (n int64, err error) {
	if r.file == nil {
		return 0, fs.ErrClosed
	}
	return r.write(w, &r.header, off)
}

// HeaderSize returns the length of the header in bytes.
func (r *Reader) HeaderSize() int64 { return r.header.size }

// Size returns the length of the body in bytes.
func (r *Reader) Size() int64 { return r.body.size }

// ReadAt implements io.ReaderAt on the body. Reads of whole chunks go straight into p.
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
			err = r.readChunks(&r.body, rest[:k], off/chunkSize)
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
	if off%chunkSize != 0 {
		return 0
	}
	if off+n == r.body.size {
		return n
	}
	return n / chunkSize * chunkSize
}

// readChunks fills p with chunks of a part from number i on and checks each.
func (r *Reader) readChunks(from *part, p []byte, i int64) error {
	if err := readFull(r.file.f, p, from.at+i*chunkSize); err != nil {
		return err
	}
	for ; len(p) > 0; i++ {
		c := p[:min(chunkSize, len(p))]
		if !chunkIntact(from.table, i, c) {
			what := "chunk %d has the wrong checksum"
			if from == &r.header {
				what = "its header record is damaged in chunk %d"
			}
			return r.damage(fmt.Sprintf(what, i))
		}
		p = p[len(c):]
	}
	return nil
}

// readPart copies from one chunk, which is kept for the next small read.
func (r *Reader) readPart(p []byte, off int64) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.chunk == nil {
		r.chunk = chunks.Get().(*[]byte)
	}
	i := off / chunkSize
	b := (*r.chunk)[:min(chunkSize, r.body.size-i*chunkSize)]
	if !r.chunkOK || r.chunkNo != i {
		r.chunkOK = false
		if err := r.readChunks(&r.body, b, i); err != nil {
			return 0, err
		}
		r.chunkNo, r.chunkOK = i, true
	}
	return int64(copy(p, b[off%chunkSize:])), nil
}

// WriteTo writes the whole body to w, chunk by chunk.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	if r.file == nil {
		return 0, fs.ErrClosed
	}
	return r.write(w, &r.body, 0)
}

// write writes a part from byte off on to w, chunk by chunk.
func (r *Reader) write(w io.Writer, from *part, off int64) (n int64, err error) {
	b := chunks.Get().(*[]byte)
	defer chunks.Put(b)
	for at := off / chunkSize * chunkSize; at < from.size; at += chunkSize {
		p := (*b)[:min(chunkSize, from.size-at)]
		if err := r.readChunks(from, p, at/chunkSize); err != nil {
			return n, err
		}
		k, err := w.Write(p[max(0, off-at):])
		n += int64(k)
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
		chunks.Put(r.chunk)
		r.chunk = nil
	}
	return r.files.release(f)
}
