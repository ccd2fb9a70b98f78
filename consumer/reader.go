package consumer

import (
	"io"

	"github.com/millrace/millrace/mkv"
)

// Limits of what a Reader keeps in memory, in bytes.
const (
	maxHead = 4 << 20 // of a chunk in front of its cluster's timecode
	buffer  = 64 << 10
)

// Reader takes the output of GetMedia or GetMediaForFragmentList apart. Its memory is
// bounded by the headers; the clusters pass through. Matroska of other origin is read as
// well: each cluster is a fragment without a number.
type Reader struct {
	items *mkv.Reader
	ahead *mkv.Item // read already, the next fragment's
	ended bool      // the input has
	err   error     // final

	document
	fragment *Fragment
	ready    []byte // of the body
	over     bool   // the body has ended
}

// document is what the clusters of one document share.
type document struct {
	inHeader bool
	header   []byte
	info     *mkv.Info
	tracks   []mkv.Track
}

// NewReader returns a Reader of src. It reads nothing yet.
func NewReader(src io.Reader) *Reader {
	return &Reader{items: mkv.NewReader(src, mkv.Options{Buffer: buffer}), over: true}
}

// item returns the next item of the input.
func (r *Reader) item() (*mkv.Item, error) {
	if it := r.ahead; it != nil {
		r.ahead = nil
		return it, nil
	}
	it, err := r.items.Next()
	if err == io.EOF {
		r.ended = true
	}
	return it, err
}

// Read gives the bytes of the current fragment: its cluster and what the producer put
// behind it. io.EOF says that the fragment has ended; Complete says whether that was
// its end for the server, too.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		switch {
		case r.err != nil:
			return 0, r.err
		case r.over:
			return 0, io.EOF
		}
		r.body()
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// body handles an item of the current fragment.
func (r *Reader) body() {
	it, err := r.item()
	switch {
	case err == io.EOF:
		r.over = true
	case err != nil:
		r.err = err
	case it.Kind == mkv.EBML, it.Kind == mkv.ClusterStart:
		r.ahead, r.over = it, true
	case it.Kind == mkv.TagsElement:
		r.bodyTags(it)
	default:
		r.ready = it.Raw
	}
}

func (r *Reader) bodyTags(it *mkv.Item) {
	s, ours := serviceTags(it.Tags)
	switch {
	case !ours:
		r.fragment.TagsBehind = append(r.fragment.TagsBehind, it.Tags...)
		r.ready = it.Raw
	case s.begins() || s.failure() != nil:
		r.ahead, r.over = it, true
	default:
		r.err = r.fragment.learn(s)
		r.fragment.Complete, r.over = s.ends(), s.ends()
	}
}

// Next goes to the next fragment; what was not read of the last one is passed over. It
// returns when the cluster has begun, or when the chunk turned out to have none. io.EOF
// says that the input ended, a *[FragmentError] that the server could not give a
// fragment; after it Next may be called again. Other errors are final.
func (r *Reader) Next() (*Fragment, error) {
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		return nil, err
	}
	h := heading{Reader: r, f: &Fragment{Timecode: -1}}
	for !h.done {
		if err := h.step(); err == io.EOF {
			return nil, err
		} else if err != nil {
			r.err = err
			return nil, err
		}
	}
	if h.failed != nil {
		return nil, h.failed
	}
	h.f.Header, h.f.Info, h.f.Tracks = r.header, r.info, r.tracks
	r.fragment, r.ready, r.over = h.f, h.first, h.f.Timecode < 0
	return h.f, nil
}
