package mkv

// maxLace is the longest lace table in bytes that is accepted: 255 sizes of 8
// bytes, or 1 MiB of frames in Xiph's way of counting.
const maxLace = 4096

// maxNumber is the longest integer element in bytes that is accepted.
const maxNumber = 8

func (r *Reader) clusterTimecode(size int64, n int) error {
	if r.timed {
		return syntaxError(r.offset, "a second Timecode in one Cluster")
	}
	v, e, err := r.time(IDTimecode, size, n)
	if err != nil {
		return err
	}
	r.timed, r.timecode = true, v
	r.handWhole(ClusterTimecode, e)
	return nil
}

func (r *Reader) blockDuration(size int64, n int) error {
	v, e, err := r.time(IDBlockDuration, size, n)
	if err != nil {
		return err
	}
	r.handWhole(BlockDuration, e)
	r.item.Duration = v
	return nil
}

func (r *Reader) blockReference(size int64, n int) error {
	e, err := r.inMemory(IDReferenceBlock, size, n, maxNumber)
	if err != nil {
		return err
	}
	r.referenced = true
	r.handWhole(BlockReference, e)
	return e.int(&r.item.Reference)
}

// time reads an unsigned integer in timecode units.
func (r *Reader) time(id uint32, size int64, n int) (v uint64, e element, err error) {
	if e, err = r.inMemory(id, size, n, maxNumber); err != nil {
		return 0, e, err
	}
	if err = e.uint(&v); err != nil {
		return 0, e, err
	}
	if v >= maxTime {
		return 0, e, syntaxError(r.offset, "%s is %d, must be below 2^62", elementName(id), v)
	}
	return v, e, nil
}

// block reads a block's head and lace table and hands them on with as much of
// the frames as has arrived.
func (r *Reader) block(id uint32, size int64, n int) error {
	switch {
	case !r.timed:
		return syntaxError(r.offset, "%s before the Timecode of its Cluster", elementName(id))
	case size < 4:
		return syntaxError(r.offset, "%s of %d bytes, must be at least 4", elementName(id), size)
	case size > r.maxFrame:
		return syntaxError(r.offset, "%s of %d bytes, must be at most %d", elementName(id), size, r.maxFrame)
	}
	h, err := r.blockHeader(id, size, n)
	if err != nil {
		return err
	}
	end := r.offset + int64(n) + size
	r.hand(Block, id, size, int(min(end-r.offset, int64(r.buffered()))), end)
	r.item.Block = h
	return nil
}

// blockHeader reads track, time, flags (RFC 9559 section 10.1) and lace table.
func (r *Reader) blockHeader(id uint32, size int64, n int) (h BlockHeader, err error) {
	if err := r.need(n + 1); err != nil {
		return h, err
	}
	trackLen := vintLength(r.bytes()[n])
	head := n + trackLen + 3
	if trackLen > maxSizeLength || int64(head-n) > size {
		return h, syntaxError(r.offset+int64(n), "no track number of the %s begins with byte %02X", elementName(id), r.bytes()[n])
	}
	if err := r.need(head); err != nil {
		return h, err
	}
	b := r.bytes()[n:head]
	h.Track, _ = vintValue(b[:trackLen])
	if h.Track == 0 {
		return h, syntaxError(r.offset+int64(n), "track number 0, must be 1 or more")
	}
	h.Time = int16(uint16(b[trackLen])<<8 | uint16(b[trackLen+1]))
	h.setFlags(b[trackLen+2], id == IDSimpleBlock, r.referenced)
	h.Payload = size - int64(head-n)
	r.sizes = r.sizes[:0]
	h.HeaderLen = head
	if h.Lacing != NoLacing {
		h.HeaderLen, err = r.lace(h.Lacing, head, int64(n)+size)
	} else {
		r.sizes = append(r.sizes, int(h.Payload))
	}
	h.Sizes, h.Frames = r.sizes, len(r.sizes)
	return h, err
}

// The bits of a block's flags (RFC 9559 sections 10.1 and 10.2).
const (
	flagKey         = 0x80
	flagInvisible   = 0x08
	flagDiscardable = 0x01
	lacingShift     = 1
)

func (h *BlockHeader) setFlags(flags byte, simple, referenced bool) {
	h.Simple = simple
	h.Invisible = flags&flagInvisible != 0
	h.Lacing = Lacing(flags>>lacingShift) & EBMLLacing
	if simple {
		h.Key = flags&flagKey != 0
		h.Discardable = flags&flagDiscardable != 0
	} else {
		h.Key = !referenced
	}
}

// laceTable reads a lace table byte by byte, waiting for no byte beyond it.
type laceTable struct {
	r     *Reader
	at    int   // next byte, counted from the element's first
	limit int   // no table goes on beyond this byte
	end   int64 // the element's end
	err   error // the first one
}

func (t *laceTable) byte() uint64 {
	if t.err != nil {
		return 0
	}
	switch {
	case int64(t.at) >= t.end:
		t.fail("the lace table does not end inside its block")
	case t.at >= t.limit:
		t.fail("a lace table longer than %d bytes", maxLace)
	default:
		t.err = t.r.need(t.at + 1)
	}
	if t.err != nil {
		return 0
	}
	t.at++
	return uint64(t.r.bytes()[t.at-1])
}

func (t *laceTable) fail(format string, args ...any) {
	if t.err == nil {
		t.err = syntaxError(t.r.offset+int64(t.at), format, args...)
	}
}

// lace reads the lace table that begins at byte `at` of an element of end
// bytes into r.sizes and returns where the frames begin.
func (r *Reader) lace(l Lacing, at int, end int64) (int, error) {
	t := &laceTable{r: r, at: at, limit: at + maxLace, end: end}
	frames := int(t.byte()) + 1
	switch l {
	case XiphLacing:
		t.xiph(frames - 1)
	case EBMLLacing:
		t.ebml(frames - 1)
	}
	if t.err != nil {
		return 0, t.err
	}
	room := end - int64(t.at)
	if l == FixedLacing {
		return t.at, r.laceFixed(t, frames, room)
	}
	for _, s := range r.sizes {
		room -= int64(s)
	}
	if room < 0 {
		t.fail("the frames of a lace are longer than its block by %d bytes", -room)
	}
	r.sizes = append(r.sizes, int(room))
	return t.at, t.err
}

func (r *Reader) laceFixed(t *laceTable, frames int, room int64) error {
	if room%int64(frames) != 0 {
		t.fail("%d bytes do not make %d frames of one size", room, frames)
	}
	for range frames {
		r.sizes = append(r.sizes, int(room)/frames)
	}
	return t.err
}

// xiph reads n sizes, each the sum of bytes up to one below 255
// (RFC 9559 section 10.3.2).
func (t *laceTable) xiph(n int) {
	for range n {
		size, b := 0, t.byte()
		for ; b == 255; b = t.byte() {
			size += 255
		}
		t.add(int64(size) + int64(b))
	}
}

// ebml reads a size and n-1 signed differences (RFC 9559 section 10.3.3).
func (t *laceTable) ebml(n int) {
	var size int64
	for i := range n {
		v, length := t.vint()
		if i > 0 {
			v += size - (1<<(7*length-1) - 1)
		}
		size = v
		t.add(size)
	}
}

// vint reads a variable-size integer and tells its length.
func (t *laceTable) vint() (v int64, length int) {
	first := t.byte()
	length = vintLength(byte(first))
	if length > maxSizeLength {
		t.fail("a frame size in a lace table is longer than %d bytes", maxSizeLength)
		return 0, 1
	}
	v = int64(first) & (0xFF >> length)
	for range length - 1 {
		v = v<<8 | int64(t.byte())
	}
	return v, length
}

// add notes a frame size that must fit into the block.
func (t *laceTable) add(size int64) {
	if size < 0 || size > t.end {
		t.fail("a laced frame of %d bytes in a block that has fewer", size)
	}
	if t.err == nil {
		t.r.sizes = append(t.r.sizes, int(size))
	}
}
