package mkv

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
