package mkv

import "io"

// Options are a Reader's limits. The zero value gives the defaults.
type Options struct {
	Buffer    int   // bytes of the fixed buffer, default 16 KiB, at least 64
	MaxHeader int   // bytes an EBML header, Info, Tracks or Tags may have, default 1 MiB
	MaxFrame  int64 // bytes a block may have, default 64 MiB
}

// Reader is a pull scanner over Matroska. Make one with NewReader.
type Reader struct {
	src    io.Reader
	offset int64
}

// NewReader returns a Reader of r. It reads nothing yet.
func NewReader(r io.Reader, o Options) *Reader { return &Reader{src: r} }

// Offset is the number of bytes handed on so far.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next item, valid until the next call.
func (r *Reader) Next() (*Item, error) { return nil, io.EOF }
