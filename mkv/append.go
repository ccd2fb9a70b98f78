package mkv

// AppendEBML appends an EBML header; zero fields of h take their defaults.
func AppendEBML(b []byte, h Header) []byte { return b }

// AppendSegmentUnknown appends the head of a Segment of unknown size in its
// 8-byte form (wire-media section 5.4).
func AppendSegmentUnknown(b []byte) []byte { return b }

// AppendInfo appends an Info element.
func AppendInfo(b []byte, i *Info) []byte { return b }

// AppendTracks appends a Tracks element.
func AppendTracks(b []byte, tracks []Track) []byte { return b }

// AppendTags appends a Tags element; every size in it is a 4-byte one, as the
// service writes its tags (wire-media section 5.4).
func AppendTags(b []byte, tags []Tag) []byte { return b }

// AppendClusterUnknown appends the head of a Cluster of unknown size and its Timecode.
func AppendClusterUnknown(b []byte, timecode uint64) []byte { return b }

// AppendClusterSized appends a Cluster of known size: its Timecode and body,
// which holds whole elements.
func AppendClusterSized(b []byte, timecode uint64, body []byte) []byte { return b }

// AppendSimpleBlock appends a SimpleBlock of one frame. Of h it uses Track, Time and the flags.
func AppendSimpleBlock(b []byte, h BlockHeader, frame []byte) []byte { return b }

// AppendSimpleBlockHead appends all of a SimpleBlock but its frame of n bytes,
// for a caller that writes the frame from where it lies.
func AppendSimpleBlockHead(b []byte, h BlockHeader, n int) []byte { return b }

// AppendVoid appends a Void element of n bytes in all, 2 or more.
func AppendVoid(b []byte, n int) []byte { return b }

// AppendElement appends an element with a size of the shortest form.
func AppendElement(b []byte, id uint32, data []byte) []byte { return b }
