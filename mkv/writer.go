package mkv

import "io"

// Writer writes elements to an io.Writer, each with one call of its Write.
// The caller sees to their order: EBML header, Segment, Info, Tracks, then
// clusters and their blocks. For a Writer without an io.Writer there are the
// Append functions.
type Writer struct {
	w   io.Writer
	buf []byte // the element on its way, used again
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// write sends the element b and keeps its memory for the next.
func (w *Writer) write(b []byte) error {
	w.buf = b[:0]
	_, err := w.w.Write(b)
	return err
}

// WriteEBML writes an EBML header, see [AppendEBML].
func (w *Writer) WriteEBML(h Header) error { return w.write(AppendEBML(w.buf, h)) }

// SegmentUnknown begins a Segment of unknown size.
func (w *Writer) SegmentUnknown() error { return w.write(AppendSegmentUnknown(w.buf)) }

// Info writes an Info element.
func (w *Writer) Info(i *Info) error { return w.write(AppendInfo(w.buf, i)) }

// Tracks writes a Tracks element.
func (w *Writer) Tracks(tracks []Track) error { return w.write(AppendTracks(w.buf, tracks)) }

// Tags writes a Tags element.
func (w *Writer) Tags(tags []Tag) error { return w.write(AppendTags(w.buf, tags)) }

// ClusterUnknown begins a Cluster of unknown size with its Timecode.
func (w *Writer) ClusterUnknown(timecode uint64) error {
	return w.write(AppendClusterUnknown(w.buf, timecode))
}

// ClusterSized writes a whole Cluster: its Timecode and body, which holds
// whole elements.
func (w *Writer) ClusterSized(timecode uint64, body []byte) error {
	return w.write(AppendClusterSized(w.buf, timecode, body))
}

// SimpleBlock writes a SimpleBlock of one frame, see [AppendSimpleBlock].
func (w *Writer) SimpleBlock(h BlockHeader, frame []byte) error {
	return w.write(AppendSimpleBlock(w.buf, h, frame))
}

// BlockGroup writes a BlockGroup with one frame, see [AppendBlockGroup].
func (w *Writer) BlockGroup(h BlockHeader, duration, reference int64, frame []byte) error {
	return w.write(AppendBlockGroup(w.buf, h, duration, reference, frame))
}

// Void writes a Void element of n bytes in all, 2 or more.
func (w *Writer) Void(n int) error { return w.write(AppendVoid(w.buf, n)) }
