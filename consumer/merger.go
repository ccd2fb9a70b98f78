package consumer

import (
	"bytes"
	"io"

	"github.com/millrace/millrace/mkv"
)

// Merger writes fragments as one Matroska document: one header, then the clusters and
// the producer's tags as they came. Players that take a second header for an error can
// read the result. When a fragment has another header, or its cluster timecode is not
// greater than the one before, a new document begins. Fragments without a cluster are
// left out.
type Merger struct {
	w        io.Writer
	header   []byte
	timecode int64
	begun    bool
}

// NewMerger returns a Merger that writes to w.
func NewMerger(w io.Writer) *Merger { return &Merger{w: w} }

// Break says why a new document began.
type Break string

// The reasons for a new document.
const (
	NoBreak   Break = ""
	Beginning Break = "the first document"
	NewHeader Break = "the producer's header changed"
	ClockBack Break = "the producer's timecodes went back"
)

// Add writes a fragment; body gives its cluster, see [Reader.Read]. Each read is written
// at once. It returns why the fragment began a new document, or NoBreak.
func (m *Merger) Add(f *Fragment, body io.Reader) (Break, error) {
	if f.Timecode < 0 {
		return NoBreak, nil
	}
	why := m.look(f)
	if why != NoBreak {
		if _, err := m.w.Write(unknownSegment(f.Header)); err != nil {
			return why, err
		}
		m.begun, m.header = true, f.Header
	}
	m.timecode = f.Timecode
	if len(f.TagBytes) > 0 {
		if _, err := m.w.Write(f.TagBytes); err != nil {
			return why, err
		}
	}
	_, err := io.Copy(struct{ io.Writer }{m.w}, struct{ io.Reader }{body})
	return why, err
}

func (m *Merger) look(f *Fragment) Break {
	switch {
	case !m.begun:
		return Beginning
	case !bytes.Equal(m.header, f.Header):
		return NewHeader
	case f.Timecode <= m.timecode:
		return ClockBack
	}
	return NoBreak
}

// unknownSegment gives the Segment in a header an unknown size, which the service does
// already (wire-media section 5.4).
func unknownSegment(header []byte) []byte {
	r := mkv.NewReader(bytes.NewReader(header), mkv.Options{})
	var out []byte
	for {
		it, err := r.Next()
		switch {
		case err != nil:
			return append(out, header[r.Offset():]...)
		case it.Kind == mkv.SegmentStart && it.Size >= 0:
			return append(mkv.AppendSegmentUnknown(out), header[r.Offset():]...)
		}
		out = append(out, it.Raw...)
	}
}
