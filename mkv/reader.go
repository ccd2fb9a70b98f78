// Package mkv reads and writes Matroska as a stream of elements.
//
// It knows EBML (RFC 8794) and the part of Matroska (RFC 9559) that live video
// uses; it knows nothing of Kinesis. [Reader] is a pull scanner over an
// io.Reader with one fixed buffer: every input byte is handed on exactly once,
// so that the concatenated Raw of all items is the input, whatever its frames
// weigh. [Assembler] turns the items into whole frames. The Append functions
// and [Writer] make headers, tracks, tags, clusters and blocks.
//
// Nothing in this package starts a goroutine, and nothing in it may be used
// from two goroutines at once.
package mkv

import "io"

// Defaults and floors of Options.
const (
	defaultBuffer    = 16 << 10
	minBuffer        = 64
	defaultMaxHeader = 1 << 20
	defaultMaxFrame  = 64 << 20
)

// Options are a Reader's limits. The zero value gives the defaults.
type Options struct {
	Buffer    int   // bytes of the fixed buffer, default 16 KiB, at least 64
	MaxHeader int   // bytes an EBML header, Info, Tracks or Tags may have, default 1 MiB
	MaxFrame  int64 // bytes a block may have, default 64 MiB
}

// Reader is a pull scanner over Matroska: one or more documents in a row, of
// known and unknown sizes. Its memory is the buffer, whatever the input
// claims; only a whole header element makes it larger, as the element's bytes
// arrive, and only until the next item.
//
// An error is final: a *SyntaxError where the input is no Matroska that this
// package accepts, io.ErrUnexpectedEOF where it ends inside an element, else
// the source's own error; all name the offset, and errors.Is and errors.As
// see the cause. CRC-32 elements are handed on, not checked.
type Reader struct {
	window
	maxHeader int64
	maxFrame  int64
	levels
	item  Item
	left  int64 // bytes of the current element that are not handed on yet
	sizes []int // backs item.Block.Sizes
	err   error
}

// levels is where in the tree of elements the Reader stands. An end is an
// offset in the input, or -1 for a master of unknown size.
type levels struct {
	inDocument bool // an EBML header was read
	inSegment  bool
	segmentEnd int64
	inCluster  bool
	clusterEnd int64
	timed      bool   // the cluster's Timecode was read
	timecode   uint64 // of the cluster
	inGroup    bool
	groupEnd   int64
	blocked    bool // the group's Block was read
	referenced bool // the group has a ReferenceBlock
}

// NewReader returns a Reader of src. It reads nothing yet.
func NewReader(src io.Reader, o Options) *Reader {
	if o.Buffer <= 0 {
		o.Buffer = defaultBuffer
	}
	if o.MaxHeader <= 0 {
		o.MaxHeader = defaultMaxHeader
	}
	if o.MaxFrame <= 0 {
		o.MaxFrame = defaultMaxFrame
	}
	return &Reader{
		window:    newWindow(src, max(o.Buffer, minBuffer)),
		maxHeader: int64(o.MaxHeader),
		maxFrame:  o.MaxFrame,
		sizes:     make([]int, 0, 8),
	}
}

// Offset is the number of bytes handed on so far: where the item of the last
// Next ends.
func (r *Reader) Offset() int64 { return r.offset + int64(r.held) }

// Next returns the next item, valid until the next call. It asks the source
// for no more than that item needs, so a Timecode or a piece of a block comes
// as soon as its bytes have arrived. io.EOF comes only where the input may
// end: between elements, with no master of known size open.
func (r *Reader) Next() (*Item, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.release()
	if r.left > 0 {
		r.err = r.piece()
	} else {
		r.err = r.element()
	}
	if r.err != nil {
		return nil, r.err
	}
	return &r.item, nil
}

// element starts the next element.
func (r *Reader) element() error {
	r.leave()
	if err := r.need(1); err != nil {
		if r.drained() && r.mayEnd() {
			return io.EOF
		}
		return err
	}
	id, size, n, err := r.head()
	if err != nil {
		return err
	}
	r.leaveUnknown(id)
	if err := r.checkSize(id, size, n); err != nil {
		return err
	}
	switch {
	case r.inGroup:
		return r.inGroupElement(id, size, n)
	case r.inCluster:
		return r.inClusterElement(id, size, n)
	case r.inSegment:
		return r.inSegmentElement(id, size, n)
	}
	return r.topElement(id, size, n)
}

// head reads an element's id and size, n bytes that stay in the window.
func (r *Reader) head() (id uint32, size int64, n int, err error) {
	idLen := vintLength(r.bytes()[0])
	if idLen > maxIDLength {
		return 0, 0, 0, syntaxError(r.offset, "no element id begins with byte %02X", r.bytes()[0])
	}
	if err := r.need(idLen + 1); err != nil {
		return 0, 0, 0, err
	}
	id, ok := decodeID(r.bytes()[:idLen])
	if !ok {
		return 0, 0, 0, syntaxError(r.offset, "%X is no element id", r.bytes()[:idLen])
	}
	n = idLen + vintLength(r.bytes()[idLen])
	if n > idLen+maxSizeLength {
		return 0, 0, 0, syntaxError(r.offset+int64(idLen), "the size of %s is longer than %d bytes", elementName(id), maxSizeLength)
	}
	if err := r.need(n); err != nil {
		return 0, 0, 0, err
	}
	return id, decodeSize(r.bytes()[idLen:n]), n, nil
}

// checkSize refuses an element that ends beyond its parents, and an unknown
// size where Matroska allows none (RFC 9559 section 5.1: Segment and Cluster).
func (r *Reader) checkSize(id uint32, size int64, n int) error {
	if size < 0 && id != IDSegment && id != IDCluster {
		return syntaxError(r.offset, "%s has no size; only Segment and Cluster may", elementName(id))
	}
	if end := r.end(); end >= 0 && r.offset+int64(n)+max(size, 0) > end {
		return syntaxError(r.offset, "%s of %d bytes ends beyond its parent, which ends at byte %d", elementName(id), max(size, 0), end)
	}
	return nil
}

// piece hands on what has arrived of the current element.
func (r *Reader) piece() error {
	if err := r.need(1); err != nil {
		return err
	}
	it := &r.item
	if it.Kind == Block {
		it.Kind = BlockData
		it.Block = BlockHeader{}
	}
	it.Cont = true
	it.Offset = r.offset
	r.hold(int(min(r.left, int64(r.buffered()))))
	return nil
}

// hand makes the item of a new element and hands on its first n bytes, all or
// a part of its head and data, which end at end.
func (r *Reader) hand(k Kind, id uint32, size int64, n int, end int64) {
	r.item = Item{Kind: k, ID: id, Offset: r.offset, Size: size, InCluster: r.inCluster, InGroup: r.inGroup}
	if r.inCluster {
		r.item.Timecode = r.timecode
	}
	r.left = end - r.offset
	r.hold(n)
}

// hold makes the window's first n bytes the item's.
func (r *Reader) hold(n int) {
	it := &r.item
	it.Raw = r.take(n)
	r.left -= int64(n)
	it.More = r.left > 0
	after := r.Offset()
	it.GroupEnd = r.inGroup && after == r.groupEnd
	it.ClusterEnd = r.inCluster && after == known(r.clusterEnd, r.segmentEnd)
}
