package mkv

// known is the first of the ends that is known, or -1.
func known(ends ...int64) int64 {
	for _, e := range ends {
		if e >= 0 {
			return e
		}
	}
	return -1
}

// end is where the innermost open master of known size ends, or -1.
func (l *levels) end() int64 {
	switch {
	case l.inGroup:
		return l.groupEnd
	case l.inCluster:
		return known(l.clusterEnd, l.segmentEnd)
	case l.inSegment:
		return l.segmentEnd
	}
	return -1
}

// mayEnd reports whether the input may end here: no master of known size is open.
func (l *levels) mayEnd() bool { return l.end() < 0 }

// leave closes the masters of known size that end here.
func (r *Reader) leave() {
	if r.inGroup && r.offset == r.groupEnd {
		r.inGroup = false
	}
	if r.inCluster && r.offset == r.clusterEnd {
		r.inCluster = false
	}
	if r.inSegment && r.offset == r.segmentEnd {
		r.inCluster, r.inSegment = false, false
	}
}

// leaveUnknown closes the masters of unknown size that the element id ends: a
// Cluster ends at the next element of level 1 or 0, a Segment at one of
// level 0 (RFC 8794 section 6.2).
func (l *levels) leaveUnknown(id uint32) {
	top := id == IDEBML || id == IDSegment
	if l.inCluster && !l.inGroup && l.clusterEnd < 0 && (top || levelOne(id)) {
		l.inCluster = false
	}
	if top && l.inSegment && !l.inCluster && l.segmentEnd < 0 {
		l.inSegment = false
	}
}

// levelOne reports whether id is a child of the Segment.
func levelOne(id uint32) bool {
	switch id {
	case IDSeekHead, IDInfo, IDTracks, IDTags, IDCues, IDAttachments, IDChapters, IDCluster:
		return true
	}
	return false
}

// clusterOnly reports whether id has no place outside a Cluster.
func clusterOnly(id uint32) bool {
	switch id {
	case IDTimecode, IDSimpleBlock, IDBlockGroup, IDBlock, IDBlockDuration, IDReferenceBlock:
		return true
	}
	return false
}

// topElement reads an element outside of segments.
func (r *Reader) topElement(id uint32, size int64, n int) error {
	switch {
	case id == IDEBML:
		return r.header(size, n)
	case id == IDSegment && r.inDocument:
		r.inSegment, r.segmentEnd = true, r.masterEnd(size, n)
		r.open(SegmentStart, id, size, n)
		return nil
	case (id == IDVoid || id == IDCRC32) && r.inDocument:
		r.other(id, size, n)
		return nil
	case !r.inDocument:
		return syntaxError(r.offset, "%s where an EBML header must come first", elementName(id))
	}
	return syntaxError(r.offset, "%s outside a Segment", elementName(id))
}

// inSegmentElement reads an element of level 1.
func (r *Reader) inSegmentElement(id uint32, size int64, n int) error {
	switch {
	case id == IDInfo || id == IDTracks || id == IDTags:
		return r.whole(id, size, n)
	case id == IDCluster:
		r.inCluster, r.clusterEnd = true, r.masterEnd(size, n)
		r.timed, r.timecode = false, 0
		r.open(ClusterStart, id, size, n)
		return nil
	case id == IDSegment || id == IDEBML:
		return r.misplaced(id, IDSegment)
	case clusterOnly(id):
		return syntaxError(r.offset, "%s outside a Cluster", elementName(id))
	}
	r.other(id, size, n)
	return nil
}

// inClusterElement reads a child of a Cluster.
func (r *Reader) inClusterElement(id uint32, size int64, n int) error {
	switch id {
	case IDTimecode:
		return r.clusterTimecode(size, n)
	case IDSimpleBlock:
		return r.block(id, size, n)
	case IDBlockGroup:
		r.inGroup, r.groupEnd = true, r.masterEnd(size, n)
		r.blocked, r.referenced = false, false
		r.open(BlockGroupStart, id, size, n)
		return nil
	case IDBlock, IDBlockDuration, IDReferenceBlock:
		return syntaxError(r.offset, "%s outside a BlockGroup", elementName(id))
	case IDSegment, IDEBML:
		return r.misplaced(id, IDCluster)
	}
	if levelOne(id) {
		return r.misplaced(id, IDCluster)
	}
	r.other(id, size, n)
	return nil
}

// inGroupElement reads a child of a BlockGroup.
func (r *Reader) inGroupElement(id uint32, size int64, n int) error {
	switch id {
	case IDBlock:
		if r.blocked {
			return syntaxError(r.offset, "a second Block in one BlockGroup")
		}
		r.blocked = true
		return r.block(id, size, n)
	case IDBlockDuration:
		return r.blockDuration(size, n)
	case IDReferenceBlock:
		return r.blockReference(size, n)
	case IDSegment, IDEBML, IDTimecode, IDSimpleBlock, IDBlockGroup:
		return r.misplaced(id, IDBlockGroup)
	}
	if levelOne(id) {
		return r.misplaced(id, IDBlockGroup)
	}
	r.other(id, size, n)
	return nil
}

func (r *Reader) misplaced(id, parent uint32) error {
	return syntaxError(r.offset, "%s inside a %s", elementName(id), elementName(parent))
}

// masterEnd is where a master with a head of n bytes here ends.
func (r *Reader) masterEnd(size int64, n int) int64 {
	if size < 0 {
		return -1
	}
	return r.offset + int64(n) + size
}

// open hands on the head of a master.
func (r *Reader) open(k Kind, id uint32, size int64, n int) {
	r.hand(k, id, size, n, r.offset+int64(n))
}

// other hands on an element nobody looks into, as much as has arrived.
func (r *Reader) other(id uint32, size int64, n int) {
	end := r.offset + int64(n) + size
	r.hand(Other, id, size, int(min(end-r.offset, int64(r.buffered()))), end)
}

// inMemory makes an element lie in the window whole.
func (r *Reader) inMemory(id uint32, size int64, n int, limit int64) (element, error) {
	if size > limit {
		return element{}, syntaxError(r.offset, "%s of %d bytes, must be at most %d", elementName(id), size, limit)
	}
	if err := r.need(n + int(size)); err != nil {
		return element{}, err
	}
	return element{id: id, offset: r.offset, start: r.offset + int64(n), data: r.bytes()[n : n+int(size)]}, nil
}

// handWhole hands on all of an element that lies in the window.
func (r *Reader) handWhole(k Kind, e element) {
	end := e.start + int64(len(e.data))
	r.hand(k, e.id, int64(len(e.data)), int(end-e.offset), end)
}

// header reads an EBML header.
func (r *Reader) header(size int64, n int) error {
	e, err := r.inMemory(IDEBML, size, n, r.maxHeader)
	if err != nil {
		return err
	}
	h, err := parseHeader(e)
	if err != nil {
		return err
	}
	r.inDocument = true
	r.handWhole(EBML, e)
	r.item.Header = h
	return nil
}

// whole reads an Info, Tracks or Tags element.
func (r *Reader) whole(id uint32, size int64, n int) error {
	e, err := r.inMemory(id, size, n, r.maxHeader)
	if err != nil {
		return err
	}
	var parsed Item
	switch id {
	case IDInfo:
		parsed.Kind = InfoElement
		parsed.Info, err = parseInfo(e)
	case IDTracks:
		parsed.Kind = TracksElement
		parsed.Tracks, err = parseTracks(e)
	case IDTags:
		parsed.Kind = TagsElement
		parsed.Tags, err = parseTags(e)
	}
	if err != nil {
		return err
	}
	r.handWhole(parsed.Kind, e)
	r.item.Info, r.item.Tracks, r.item.Tags = parsed.Info, parsed.Tracks, parsed.Tags
	return nil
}
