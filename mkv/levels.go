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
